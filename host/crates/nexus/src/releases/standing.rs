//! What spores reported, seen from one release: whom it is for, and how far each has come. Pure.

use venom_bundle::{Digest, Entry, Release, bucket};
use venom_protocol::{NodeView, RolloutCounts, RolloutPlan, SkillReport, SkillState, SporeProgress, UpdateReport};

use super::rollout::{Seen, Standing, reach, wave_of};

/// One known spore.
#[derive(Debug)]
pub(crate) struct Surveyed {
    pub(crate) node: NodeView,
    /// The release is for it.
    pub(crate) is_targeted: bool,
    pub(crate) seen: Seen,
}

/// Whether a spore takes releases of this channel: it has said so.
fn follows(node: &NodeView, channel: &str) -> bool {
    let report = node.update.as_deref();
    report.is_some_and(|report| report.channel == channel && report.root_version > 0)
}

/// How all known spores stand.
pub(crate) fn survey(nodes: Vec<NodeView>, release: &Release, digest: &Digest) -> Vec<Surveyed> {
    let (channel, sha256) = (release.channel.as_str(), digest.to_string());
    let one = |node: NodeView| {
        let wanted = release.wanted(node.node_id, &node.capabilities.tags);
        // a release that wants nothing at all is for everybody: what was there goes
        let is_meant = !wanted.is_empty() || release.entries.is_empty();
        let standing = standing(node.update.as_deref(), &sha256, &wanted);
        Surveyed {
            is_targeted: is_meant && follows(&node, channel),
            seen: Seen {
                bucket: bucket(digest, node.node_id),
                is_online: node.is_online,
                standing,
            },
            node,
        }
    };
    nodes.into_iter().map(one).collect()
}

fn standing(report: Option<&UpdateReport>, release: &str, wanted: &[&Entry]) -> Standing {
    let Some(report) = report else { return Standing::Silent };
    if report.release.as_ref().is_none_or(|mark| mark.sha256 != release) {
        return Standing::Silent;
    }
    let each = wanted.iter().map(|entry| of_skill(report, entry));
    each.max_by_key(|standing| weight(*standing))
        .unwrap_or(Standing::Committed)
}

/// Of several skills the worst counts.
const fn weight(standing: Standing) -> u8 {
    match standing {
        Standing::Committed => 0,
        Standing::Soaking => 1,
        Standing::Working => 2,
        Standing::Silent => 3,
        Standing::Held => 4,
        Standing::Reverted => 5,
        Standing::Failed => 6,
    }
}

fn of_skill(report: &UpdateReport, entry: &Entry) -> Standing {
    let wanted = entry.bundle.sha256.to_string();
    let is_it = |skill: &&SkillReport| skill.skill == entry.skill && skill.wanted_sha256.as_ref() == Some(&wanted);
    let Some(skill) = report.skills.iter().find(is_it) else {
        return Standing::Silent;
    };
    match skill.state {
        SkillState::Local | SkillState::Waiting => Standing::Silent,
        SkillState::Held => Standing::Held,
        SkillState::Fetching | SkillState::Staging | SkillState::Removed => Standing::Working,
        SkillState::Soaking => Standing::Soaking,
        SkillState::Committed if skill.bundle_sha256.as_ref() == Some(&wanted) => Standing::Committed,
        SkillState::Committed => Standing::Working,
        SkillState::RolledBack | SkillState::Failed => Standing::Failed,
        SkillState::Reverted => Standing::Reverted,
    }
}

/// What the rollout is decided by.
pub(crate) fn seen(surveyed: &[Surveyed]) -> Vec<Seen> {
    let targeted = surveyed.iter().filter(|spore| spore.is_targeted);
    targeted.map(|spore| spore.seen).collect()
}

/// Spores of the waves so far that failed.
pub(crate) fn failures(surveyed: &[Surveyed], reach: u16) -> usize {
    let failed =
        |spore: &&Surveyed| spore.is_targeted && spore.seen.bucket < reach && spore.seen.standing == Standing::Failed;
    surveyed.iter().filter(failed).count()
}

/// Spores in numbers.
pub(crate) fn counts(surveyed: &[Surveyed], plan: &RolloutPlan, wave: usize) -> RolloutCounts {
    let mut counts = RolloutCounts::default();
    for spore in surveyed.iter().filter(|spore| spore.is_targeted) {
        counts.targeted += 1;
        if spore.seen.bucket >= reach(plan, wave) {
            continue;
        }
        counts.in_wave += 1;
        match spore.seen.standing {
            Standing::Silent => counts.silent += 1,
            Standing::Working => {}
            Standing::Soaking => counts.soaking += 1,
            Standing::Committed => counts.committed += 1,
            Standing::Failed => counts.failed += 1,
            Standing::Held => counts.held += 1,
            Standing::Reverted => counts.reverted += 1,
        }
    }
    counts
}

/// Spores one by one, for people.
pub(crate) fn progress(surveyed: Vec<Surveyed>, plan: &RolloutPlan) -> Vec<SporeProgress> {
    let one = |spore: Surveyed| SporeProgress {
        wave: spore.is_targeted.then(|| wave_of(plan, spore.seen.bucket)),
        node_id: spore.node.node_id,
        node_name: spore.node.node_name,
        is_online: spore.node.is_online,
        report: spore.node.update.map(std::sync::Arc::unwrap_or_clone),
    };
    surveyed.into_iter().map(one).collect()
}
