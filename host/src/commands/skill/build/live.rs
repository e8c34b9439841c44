//! Whether a bundle answers calls on the spores it was published for. Pure.

use venom_protocol::{RolloutView, SkillReport, SkillState, SporeProgress};

/// How far a bundle has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not on all of them yet; these are still to come.
    Coming(Vec<String>),
    /// It answers calls on so many spores.
    Live(usize),
    /// It will not, on these spores and for these reasons.
    Stuck(Vec<String>),
    /// No spore that is there would take it.
    Nowhere(Vec<String>),
}

/// Where the bundle with this digest stands on the spores that are there.
pub(super) fn standing(view: &RolloutView, skill: &str, digest: &str) -> Standing {
    let online: Vec<&SporeProgress> = view.spores.iter().filter(|spore| spore.is_online).collect();
    let (taking, others): (Vec<&SporeProgress>, Vec<&SporeProgress>) =
        online.into_iter().partition(|spore| takes_releases(spore));
    if taking.is_empty() {
        return Standing::Nowhere(others.iter().map(|spore| why_not(spore)).collect());
    }
    let (mut coming, mut stuck, mut live) = (Vec::new(), Vec::new(), 0);
    for spore in taking {
        match on(spore, skill, digest) {
            On::Live => live += 1,
            On::Coming => coming.push(spore.node_name.clone()),
            On::Stuck(why) => stuck.push(format!("{}: {why}", spore.node_name)),
        }
    }
    if !stuck.is_empty() {
        Standing::Stuck(stuck)
    } else if coming.is_empty() {
        Standing::Live(live)
    } else {
        Standing::Coming(coming)
    }
}

fn takes_releases(spore: &SporeProgress) -> bool {
    spore.wave.is_some()
}

fn why_not(spore: &SporeProgress) -> String {
    let why = match &spore.report {
        None => "it has not said that it takes releases".to_owned(),
        Some(report) if report.root_version == 0 => "it has no root.json".to_owned(),
        Some(report) => format!("it follows channel {}, or is not meant", report.channel),
    };
    format!("{}: {why}", spore.node_name)
}

enum On {
    Live,
    Coming,
    Stuck(String),
}

fn on(spore: &SporeProgress, skill: &str, digest: &str) -> On {
    let Some(report) = &spore.report else { return On::Coming };
    if let Some(alarm) = &report.alarm {
        return On::Stuck(alarm.clone());
    }
    let of_skill = report.skills.iter().find(|one| one.skill == skill);
    let Some(found) = of_skill.filter(|one| one.wanted_sha256.as_deref() == Some(digest)) else {
        return On::Coming;
    };
    let runs = found.bundle_sha256.as_deref() == Some(digest);
    match found.state {
        SkillState::Soaking | SkillState::Committed if runs => On::Live,
        SkillState::Held => On::Stuck(reason(found, "it asks for more than before; --approve approves that")),
        SkillState::RolledBack | SkillState::Failed | SkillState::Reverted => On::Stuck(reason(found, "it failed")),
        _ => On::Coming,
    }
}

fn reason(found: &SkillReport, otherwise: &str) -> String {
    match (&found.reason, found.state) {
        (Some(reason), SkillState::Held) => format!("{reason} ({otherwise})"),
        (Some(reason), _) => reason.clone(),
        (None, _) => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use venom_protocol::{NodeId, RolloutCounts, RolloutPlan, RolloutState, Timestamp, UpdateReport};

    use super::*;

    fn time() -> Timestamp {
        Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
    }

    fn spore(name: &str, skill: Option<(SkillState, &str, Option<&str>)>) -> SporeProgress {
        let skills = skill.map(|(state, runs, reason)| SkillReport {
            skill: "Echo".to_owned(),
            state,
            version: None,
            bundle_sha256: Some(runs.to_owned()),
            wanted_version: None,
            wanted_sha256: Some("new".to_owned()),
            reason: reason.map(str::to_owned),
            since: time(),
        });
        let node_id = NodeId(uuid::Uuid::nil());
        SporeProgress {
            node_id,
            node_name: name.to_owned(),
            is_online: true,
            wave: Some(1),
            report: Some(UpdateReport {
                node_id,
                channel: "stable".to_owned(),
                root_version: 1,
                release: None,
                rollout_counter: 1,
                stale: None,
                alarm: None,
                skills: skills.into_iter().collect(),
            }),
        }
    }

    fn of(spores: Vec<SporeProgress>) -> Standing {
        let view = RolloutView {
            channel: "stable".to_owned(),
            release_sha256: "aa".to_owned(),
            epoch: 1,
            seq: 1,
            created: time(),
            expires: time(),
            state: RolloutState::Running,
            reason: String::new(),
            wave: 1,
            plan: RolloutPlan::default(),
            wave_began: time(),
            counter: 1,
            counts: RolloutCounts::default(),
            spores,
        };
        standing(&view, "Echo", "new")
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn it_is_live_when_every_spore_that_is_there_answers_with_it() {
        let live = |name| spore(name, Some((SkillState::Soaking, "new", None)));
        let away = SporeProgress {
            is_online: false,
            ..spore("away", None)
        };
        assert_eq!(of(vec![live("a"), live("b"), away.clone()]), Standing::Live(2));
        // Committed is said of the bundle before, until the new one is heard of.
        let before = spore("c", Some((SkillState::Committed, "old", None)));
        let silent = SporeProgress {
            report: None,
            ..spore("d", None)
        };
        assert_eq!(
            of(vec![live("a"), before, silent]),
            Standing::Coming(words(&["c", "d"]))
        );
        assert_eq!(of(vec![away]), Standing::Nowhere(Vec::new()));
    }

    #[test]
    fn why_it_will_not_be_is_told() {
        let held = spore("a", Some((SkillState::Held, "old", Some("command ls"))));
        let failed = spore("b", Some((SkillState::RolledBack, "old", Some("2 traps"))));
        let Standing::Stuck(why) = of(vec![held, failed]) else {
            panic!("it is stuck")
        };
        assert!(
            why[0].starts_with("a: command ls (") && why[0].contains("--approve"),
            "{why:?}"
        );
        assert_eq!(why[1], "b: 2 traps");
        let mut unfit = SporeProgress {
            wave: None,
            ..spore("c", None)
        };
        if let Some(report) = &mut unfit.report {
            report.root_version = 0;
        }
        let other = SporeProgress {
            wave: None,
            ..spore("d", None)
        };
        assert_eq!(
            of(vec![unfit, other]),
            Standing::Nowhere(words(&[
                "c: it has no root.json",
                "d: it follows channel stable, or is not meant"
            ]))
        );
    }
}
