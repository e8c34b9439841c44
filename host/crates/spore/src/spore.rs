//! The life of a spore.
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use venom_protocol::NodeId;
use venom_runtime::SkillSet;

use crate::{SporeError, SporeSettings};

/// What a spore knows once a nexus took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its own id.
    pub node_id: NodeId,
    /// Swarm protocol of this link: 1 or 2.
    pub protocol: u32,
    /// Version of the nexus; absent when it speaks 1.
    pub nexus_version: Option<String>,
}

/// Runs a spore.
///
/// # Errors
/// [`SporeError`].
pub async fn run(
    settings: SporeSettings,
    skills: SkillSet,
    ready: oneshot::Sender<Ready>,
    drain: CancellationToken,
    quit: CancellationToken,
) -> Result<(), SporeError> {
    let _ = (settings, skills, ready, drain, quit);
    todo!()
}
