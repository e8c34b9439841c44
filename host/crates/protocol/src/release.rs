//! Bodies of the REST of bundles, releases and rollouts. Signed documents travel as the exact text of their envelopes.

use serde::{Deserialize, Serialize};

use crate::{NodeId, Timestamp, UpdateReport};

/// A bundle in the nexus's store. Answer to `POST /api/v1/bundles` (the body is the `.venom` file).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleView {
    /// The skill's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for lists.
    pub summary: String,
    /// Who signed it, by the root.
    pub publisher: String,
    /// The bundle's id: digest of its manifest.
    pub bundle_sha256: String,
    /// Digest of the `.venom` file, by which it is fetched.
    pub file_sha256: String,
    /// Bytes of the file.
    pub size: u64,
    /// What it asks for, one line each.
    pub asks: Vec<String>,
    /// When it came.
    pub stored_at: Timestamp,
}

/// `GET /api/v1/bundles`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleList {
    /// Newest first.
    pub bundles: Vec<BundleView>,
}

/// `POST /api/v1/trust/roots`: the envelope of a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootDocument {
    /// Exact text of the envelope.
    pub root: String,
}

/// What the nexus trusts. `GET /api/v1/trust`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrustView {
    /// The swarm's id.
    pub swarm_id: String,
    /// Version of the newest root.
    pub root_version: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Digest of its payload.
    pub root_sha256: String,
    /// When it ends.
    pub expires: Timestamp,
    /// Exact text of its envelope.
    pub root: String,
}

/// How a release comes to the spores: in waves, each watched before the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutPlan {
    /// In order; the last has 100 percent.
    pub waves: Vec<Wave>,
    /// What happens when a wave fails.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl Default for RolloutPlan {
    /// Everybody at once.
    fn default() -> Self {
        Self {
            waves: vec![Wave::at(100.0)],
            on_failure: OnFailure::default(),
        }
    }
}

/// One wave and what it must show before the next begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Wave {
    /// Share of the spores that may install by then, those of earlier waves included: over 0, up to 100, in steps of
    /// 0.01. Which spores is decided by a digest of release and spore.
    pub percent: f64,
    /// Seconds the wave must have been good (0).
    #[serde(default)]
    pub soak: f64,
    /// Spores that must have reported that all is committed (1). No more than the wave has.
    #[serde(default = "one")]
    pub min_reports: u32,
    /// Share of the reports that must be good, 0..1 (0.9); below it the wave has failed.
    #[serde(default = "mostly")]
    pub min_success: f64,
}

impl Wave {
    /// With defaults.
    #[must_use]
    pub fn at(percent: f64) -> Self {
        Self {
            percent,
            soak: 0.0,
            min_reports: one(),
            min_success: mostly(),
        }
    }
}

fn one() -> u32 {
    1
}
fn mostly() -> f64 {
    0.9
}

/// What happens when a wave fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OnFailure {
    /// Nobody else installs; an operator decides.
    #[default]
    Pause,
    /// Those that have it go back.
    Revert,
}

/// `POST /api/v1/releases`, and with `?dry_run=true` the question what it would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PublishRelease {
    /// Exact text of the signed envelope. A dry run takes an unsigned one too.
    pub release: String,
    /// How it comes to the spores; absent: to all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<RolloutPlan>,
}

/// What a release would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DryRun {
    /// Digest of its payload.
    pub release_sha256: String,
    /// What it changes against the current release.
    pub changes: Vec<SkillChange>,
    /// What it would do on each spore known now.
    pub spores: Vec<SporePlan>,
    /// Why it could not be published as it is, for people; empty: it could.
    pub problems: Vec<String>,
}

/// What a release changes for one skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SkillChange {
    /// Its name.
    pub skill: String,
    /// Version before; absent: it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Version after; absent: it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What it asks for beyond what it did, one line each.
    pub asks_more: Vec<String>,
    /// What it no longer asks for.
    pub asks_less: Vec<String>,
    /// It asks for more and the release does not approve that: spores will hold it.
    pub held: bool,
}

/// What a release would do on one spore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SporePlan {
    /// Who.
    pub node_id: NodeId,
    /// For people.
    pub node_name: String,
    /// Whether it is there now.
    pub is_online: bool,
    /// The first wave it belongs to, from 1; absent: the release is not for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<usize>,
    /// `EchoSkill 1.0.0 -> 2.0.0`, one line each.
    pub changes: Vec<String>,
}

/// Where a rollout stands. Answer of most routes of releases and rollouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutView {
    /// The channel.
    pub channel: String,
    /// The release.
    pub release_sha256: String,
    /// Its epoch.
    pub epoch: u64,
    /// Its number.
    pub seq: u64,
    /// Of the release document.
    pub created: Timestamp,
    /// Of the release document.
    pub expires: Timestamp,
    /// How it goes.
    pub state: RolloutState,
    /// Why, for people; empty while all is well.
    pub reason: String,
    /// Waves begun, from 1.
    pub wave: usize,
    /// The plan.
    pub plan: RolloutPlan,
    /// When the wave began.
    pub wave_began: Timestamp,
    /// Counter of the newest signed rollout document.
    pub counter: u64,
    /// Spores in numbers.
    pub counts: RolloutCounts,
    /// Every spore known; absent where `?spores=false`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spores: Vec<SporeProgress>,
}

/// How a rollout goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RolloutState {
    /// Waves go on.
    Running,
    /// Nobody installs; it can be resumed.
    Paused,
    /// Nobody installs, and it cannot be resumed: publish another release.
    Aborted,
    /// Those that have it go back; it cannot be resumed.
    Reverted,
    /// The last wave is good.
    Completed,
}

/// Spores of a rollout in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutCounts {
    /// The release is for them.
    pub targeted: usize,
    /// Of those: their wave has begun.
    pub in_wave: usize,
    /// Of those: all that is wanted is committed.
    pub committed: usize,
    /// Answer with it and are watched.
    pub soaking: usize,
    /// Rolled back or failed.
    pub failed: usize,
    /// Ask for more than they had.
    pub held: usize,
    /// Went back.
    pub reverted: usize,
    /// Have not reported on this release.
    pub silent: usize,
}

/// One spore of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SporeProgress {
    /// Who.
    pub node_id: NodeId,
    /// For people.
    pub node_name: String,
    /// Whether it is there now.
    pub is_online: bool,
    /// The first wave it belongs to, from 1; absent: the release is not for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<usize>,
    /// What it said last; absent: nothing yet, or it takes no releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<UpdateReport>,
}

/// A release in the list. `GET /api/v1/releases?channel=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseView {
    /// The channel.
    pub channel: String,
    /// Its epoch.
    pub epoch: u64,
    /// Its number.
    pub seq: u64,
    /// Digest of its payload.
    pub release_sha256: String,
    /// When it was made, by its maker's clock.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// `EchoSkill 2.0.0`, one for each entry.
    pub entries: Vec<String>,
    /// Whether it is the one spores are given.
    pub current: bool,
}

/// `GET /api/v1/releases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseList {
    /// Newest first.
    pub releases: Vec<ReleaseView>,
}

/// The current release itself. `GET /api/v1/releases/current?channel=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseDocument {
    /// Exact text of its envelope.
    pub release: String,
    /// Digest of its payload.
    pub release_sha256: String,
}
