//! A loaded skill: linked code, ready rights, and what it says of itself. Immutable; a new version is a new one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use semver::Version;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use venom_bundle::capability::Grants;
use venom_bundle::{Digest, Probe};
use venom_protocol::{CallError, ErrorCode, RequestId};

use crate::admission::Admission;
use crate::bindings::SkillPre;
use crate::record::Record;
use crate::rights::Rights;
use crate::runtime::Inner;
use crate::state::CallState;
use crate::{Call, Health, Outcome, invoke};

/// What a skill says of itself.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Description {
    /// As callers write it.
    pub name: String,
    /// For people.
    pub summary: String,
    /// What it can do.
    pub methods: Vec<MethodDescription>,
}

/// One method.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MethodDescription {
    /// As callers write it.
    pub name: String,
    /// For people and for agents that choose tools.
    pub summary: String,
    /// JSON Schema of the parameters object.
    pub params_schema: serde_json::Value,
    /// JSON Schema of the result; `true` (anything) when the skill gives none.
    pub result_schema: serde_json::Value,
}

/// A skill that is loaded and may be called: one generation of it. Clones share everything, and all that the generation
/// holds is freed with the last of them.
#[derive(Clone)]
pub struct Skill {
    loaded: Arc<Loaded>,
}

pub(crate) struct Loaded {
    /// Keeps the engine's ticker going for as long as anything can run.
    pub(crate) runtime: Arc<Inner>,
    pub(crate) pre: SkillPre<CallState>,
    pub(crate) rights: Arc<Rights>,
    pub(crate) admission: Admission,
    pub(crate) record: Record,
    pub(crate) description: Description,
    pub(crate) version: Version,
    pub(crate) digest: Digest,
}

/// A call from being asked to being answered.
pub(crate) struct InFlight {
    loaded: Arc<Loaded>,
}

impl Skill {
    pub(crate) fn new(loaded: Loaded) -> Self {
        loaded.runtime.generations.fetch_add(1, Ordering::Relaxed);
        Self {
            loaded: Arc::new(loaded),
        }
    }

    /// As callers write it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.rights.skill
    }

    /// The bundle's version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.loaded.version
    }

    /// The bundle's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.loaded.digest
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.loaded.description
    }

    /// The rights in force.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.loaded.rights.grants
    }

    /// How its calls went since it was loaded.
    #[must_use]
    pub fn health(&self) -> Health {
        self.loaded.record.health()
    }

    /// Runs one call in a fresh store. Never panics because of what the guest does, and never outlives the call's
    /// deadline. Dropping the future stops the guest.
    pub async fn invoke(&self, call: Call) -> Outcome {
        self.enter().invoke(call).await
    }

    /// Makes the probe call of a manifest, in the sandbox and with the skill's rights. It counts neither in
    /// [`Skill::health`] nor as in flight.
    ///
    /// # Errors
    /// When the skill does not answer it within `timeout` with a result; which result does not matter.
    pub async fn probe(&self, probe: &Probe, timeout: Duration) -> Result<(), CallError> {
        let params = serde_json::to_string(&probe.params).and_then(RawValue::from_string);
        let params = params.map_err(|error| CallError::new(ErrorCode::InvalidParams, error.to_string()))?;
        let call = Call {
            request_id: RequestId::random(),
            task_id: "probe".to_owned(),
            traceparent: None,
            attempt: 1,
            method: probe.method.clone(),
            params,
            timeout,
            cancel: CancellationToken::new(),
            progress: None,
            depth: 0,
        };
        let outcome = invoke::invoke(&self.loaded, call, &Record::default()).await;
        outcome.result.map(drop)
    }

    /// Resolves when no call of this generation is in flight. Meant for one that is in no [`crate::SkillSet`] any more:
    /// otherwise the next call may begin at once.
    pub async fn drained(&self) {
        self.loaded.record.drained().await;
    }

    /// Ends this generation: calls still in flight are answered at once with `unavailable`, and so is every later one.
    /// It cannot be undone.
    pub fn retire(&self) {
        self.loaded.record.retire();
    }

    /// Resolves when more calls have failed than `after` says: at once when they have already.
    pub async fn troubled(&self, after: &Health) {
        self.loaded.record.troubled(after).await;
    }

    /// Counts a call as in flight, from now until what it answers is dropped.
    pub(crate) fn enter(&self) -> InFlight {
        self.loaded.record.enter();
        InFlight {
            loaded: Arc::clone(&self.loaded),
        }
    }
}

impl InFlight {
    pub(crate) async fn invoke(self, call: Call) -> Outcome {
        invoke::invoke(&self.loaded, call, &self.loaded.record).await
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.loaded.record.leave();
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.runtime.generations.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Skill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Skill")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}
