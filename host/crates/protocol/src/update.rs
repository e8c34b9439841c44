//! Updates over the air, as they travel over a link (v2): what a spore knows and asks for, what the nexus has, and what
//! became of it on the spore. Documents travel as the exact text of their signed envelopes; nothing here is believed
//! because it came over a link.

use serde::{Deserialize, Serialize};

use crate::lenient::null_as_default;
use crate::{NodeId, Timestamp};

/// A spore asks what it does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseAsk {
    /// For example `stable`.
    pub channel: String,
    /// Version of the newest root it trusts.
    pub root_version: u64,
    /// Digest of the newest release it accepted, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_sha256: Option<String>,
    /// Counter of the newest rollout it accepted for that release; 0: none.
    #[serde(default)]
    pub rollout_counter: u64,
}

/// What the spore that asked does not have. Everything absent: it has all there is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReleaseAnswer {
    /// As asked.
    pub channel: String,
    /// Envelopes of the roots after the one it has, in the order of their versions, at most
    /// [`MAX_ROOTS_IN_ANSWER`]; there may be more.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
    /// Envelope of the current release, when it is another than the spore has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Envelope of the newest rollout of that release, when the spore has an older one or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
}

/// Roots in one answer: 16 of 64 KiB fit a frame many times over.
pub const MAX_ROOTS_IN_ANSWER: usize = 16;

/// How a spore stands: sent after each change, and at the beginning of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateReport {
    /// Who.
    pub node_id: NodeId,
    /// The channel it follows.
    pub channel: String,
    /// Version of the root it trusts; 0: none, it takes no releases.
    pub root_version: u64,
    /// The newest release it accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseMark>,
    /// Counter of the newest rollout it accepted for that release.
    #[serde(default)]
    pub rollout_counter: u64,
    /// Why what it has is stale and nothing is installed, for people; absent: it is fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
    /// A document that should not exist: two releases of one number, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// Where its skills stand, by name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub skills: Vec<SkillReport>,
}

/// Which release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseMark {
    /// Grows when trust is begun anew.
    pub epoch: u64,
    /// Grows with each release of an epoch.
    pub seq: u64,
    /// Digest of its payload, 64 hex digits.
    pub sha256: String,
}

/// Where one skill stands on one spore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SkillReport {
    /// Its name.
    pub skill: String,
    /// How far the wanted bundle has come.
    pub state: SkillState,
    /// Version that answers calls now; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its bundle, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_sha256: Option<String>,
    /// Version the release wants here; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_version: Option<String>,
    /// Its bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_sha256: Option<String>,
    /// Why it stands there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// How far a wanted bundle has come on a spore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SkillState {
    /// From the spore's own skills directory; no release names it.
    Local,
    /// Not its turn: wave, window, interval, or the rollout is paused.
    Waiting,
    /// It asks for more than the skill had; an operator must approve.
    Held,
    /// Its bundle comes.
    Fetching,
    /// Being verified, compiled, linked and probed.
    Staging,
    /// Answers calls, watched; the one before is kept ready.
    Soaking,
    /// Answers calls, for good.
    Committed,
    /// It failed and the one before answers calls again.
    RolledBack,
    /// It failed and nothing took its place, or it could not be fetched.
    Failed,
    /// Taken back by the rollout; the one before answers calls again.
    Reverted,
    /// No release names it any more, or it is revoked; it is gone.
    Removed,
}

impl SkillState {
    /// Whether the wanted bundle did not come to stay.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::RolledBack | Self::Failed)
    }
}
