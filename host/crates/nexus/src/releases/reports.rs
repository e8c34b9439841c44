//! What spores report: kept with their node, told as events where it is news.

use std::sync::Arc;

use serde_json::json;
use venom_protocol::{Event, SkillReport, SkillState, UpdateReport};

use super::Releases;

impl Releases {
    /// A spore said how it stands; `before` is what it said last.
    pub(crate) fn reported(&self, before: Option<&UpdateReport>, report: &UpdateReport) {
        self.stirred.notify_one();
        if let Some(alarm) = &report.alarm
            && before.and_then(|before| before.alarm.as_ref()) != Some(alarm)
        {
            self.alarm(&format!("node {}", report.node_id), alarm);
        }
        // of the first report nobody knows what in it is new
        for skill in before.map_or(&[][..], |_| &report.skills) {
            let known = before.and_then(|before| before.skills.iter().find(|known| known.skill == skill.skill));
            if let Some((kind, what)) = news(known, skill) {
                self.tell_skill(kind, what, report, skill);
            }
        }
    }

    fn tell_skill(&self, kind: &'static str, what: &str, report: &UpdateReport, skill: &SkillReport) {
        let facts = json!({ "node_id": report.node_id, "skill": skill.skill, "version": skill.version,
            "bundle_sha256": skill.bundle_sha256, "wanted_version": skill.wanted_version,
            "wanted_sha256": skill.wanted_sha256, "reason": skill.reason,
            "release_sha256": report.release.as_ref().map(|mark| &mark.sha256) });
        let wanted = skill.wanted_version.as_deref().unwrap_or("?");
        let reason = skill
            .reason
            .as_ref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let text = format!("{} {wanted} {what} on node {}{reason}", skill.skill, report.node_id);
        let event = Event::new(kind, text, facts.clone());
        if skill.state == SkillState::Committed {
            // ten thousand of them must not push what is rare out of the history; the spore's own audit has them
            return self.hive.tell_in_passing(event);
        }
        self.audit.record(super::words::audit_name(kind), facts);
        self.hive.tell_everybody(event);
    }
}

/// The event of a change, if it is one.
fn news(before: Option<&SkillReport>, now: &SkillReport) -> Option<(&'static str, &'static str)> {
    let is_same = before.is_some_and(|before| {
        before.state == now.state
            && before.wanted_sha256 == now.wanted_sha256
            && before.bundle_sha256 == now.bundle_sha256
    });
    if is_same {
        return None;
    }
    match now.state {
        SkillState::Committed => Some(("SKILL_UPDATED", "is installed")),
        SkillState::RolledBack => Some(("SKILL_ROLLED_BACK", "was rolled back")),
        SkillState::Held => Some(("SKILL_HELD", "waits for an operator")),
        SkillState::Failed => Some(("SKILL_FAILED", "failed")),
        SkillState::Local
        | SkillState::Waiting
        | SkillState::Fetching
        | SkillState::Staging
        | SkillState::Soaking
        | SkillState::Reverted
        | SkillState::Removed => None,
    }
}

/// The spore's own name in its report is the link's, whatever it says.
pub(crate) fn of_node(node_id: venom_protocol::NodeId, mut report: UpdateReport) -> Arc<UpdateReport> {
    report.node_id = node_id;
    Arc::new(report)
}
