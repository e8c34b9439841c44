//! Simulated spores: the real link, with closures in place of skills.
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::value::RawValue;
use venom_protocol::{CallError, NodeId};
use venom_runtime::Call;

use crate::{SporeError, SporeSettings};

/// What a simulated skill answers.
pub type Answer = Pin<Box<dyn Future<Output = Result<Box<RawValue>, CallError>> + Send>>;

/// A simulated spore, not yet connected.
pub struct SimSpore {
    settings: SporeSettings,
}

impl SimSpore {
    /// With defaults; answers every call of `EchoSkill` with its parameters.
    pub fn new(nexus: &str, token: &str) -> Self {
        Self { settings: SporeSettings::new(nexus, token, NodeId::random()) }
    }
    /// Change any setting.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut SporeSettings)) -> Self {
        change(&mut self.settings);
        self
    }
    /// Names of its skills.
    #[must_use]
    pub fn skills(self, _names: &[&str]) -> Self {
        todo!()
    }
    /// How busy it says it is: shares of 0..1.
    #[must_use]
    pub fn load(self, _cpu: f32, _memory: f32) -> Self {
        todo!()
    }
    /// What answers its calls.
    #[must_use]
    pub fn answer(self, _answer: impl Fn(String, Call) -> Answer + Send + Sync + 'static) -> Self {
        todo!()
    }
    /// Connects and waits until the nexus took it.
    ///
    /// # Errors
    /// When it was not taken within `patience`.
    pub async fn connect(self, _patience: Duration) -> Result<SimHandle, SporeError> {
        todo!()
    }
}

/// A connected simulated spore. Dropping it breaks the link off without a goodbye.
pub struct SimHandle {
    node_id: NodeId,
}

impl SimHandle {
    /// Its id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }
    /// Drains and says goodbye.
    ///
    /// # Errors
    /// As [`crate::run`].
    pub async fn stop(self) -> Result<(), SporeError> {
        todo!()
    }
}
