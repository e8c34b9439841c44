//! What people read of a rollout, for every state a spore can be in.

use venom_protocol::{ReleaseMark, RolloutPlan, Timestamp};

use super::*;

const RELEASE: &str = "aa";

fn time() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
}

fn view(spores: Vec<SporeProgress>) -> RolloutView {
    RolloutView {
        channel: "stable".to_owned(),
        release_sha256: RELEASE.to_owned(),
        epoch: 1,
        seq: 4,
        created: time(),
        expires: time(),
        state: RolloutState::Paused,
        reason: "wave 1 failed".to_owned(),
        wave: 1,
        plan: RolloutPlan::default(),
        wave_began: time(),
        counter: 3,
        counts: RolloutCounts {
            targeted: 4,
            committed: 2,
            failed: 1,
            silent: 1,
            ..RolloutCounts::default()
        },
        spores,
    }
}

fn spore(name: &str, wave: Option<usize>, report: Option<UpdateReport>) -> SporeProgress {
    SporeProgress {
        node_id: NodeId(uuid::Uuid::nil()),
        node_name: name.to_owned(),
        is_online: true,
        wave,
        report,
    }
}

fn report(release: Option<&str>, skills: Vec<SkillReport>) -> UpdateReport {
    UpdateReport {
        node_id: NodeId(uuid::Uuid::nil()),
        channel: "stable".to_owned(),
        root_version: 1,
        release: release.map(|sha256| ReleaseMark {
            epoch: 1,
            seq: 4,
            sha256: sha256.to_owned(),
        }),
        rollout_counter: 3,
        stale: None,
        alarm: None,
        skills,
    }
}

fn skill(state: SkillState, version: Option<&str>, wanted: Option<&str>, reason: Option<&str>) -> SkillReport {
    SkillReport {
        skill: "Echo".to_owned(),
        state,
        version: version.map(str::to_owned),
        bundle_sha256: None,
        wanted_version: wanted.map(str::to_owned),
        wanted_sha256: None,
        reason: reason.map(str::to_owned),
        since: time(),
    }
}

#[test]
fn the_headline_says_where_it_stands_and_why() {
    let plain = anstream::adapter::strip_str(&headline(&view(Vec::new()))).to_string();
    assert_eq!(
        plain,
        "release 1.4 of stable: paused, wave 1 of 1 (100%), 2 of 4 committed, 1 failed, 1 silent - wave 1 failed"
    );
}

#[test]
fn every_spore_has_a_row_that_says_why() {
    let no_root = UpdateReport {
        root_version: 0,
        ..report(None, Vec::new())
    };
    let alarmed = UpdateReport {
        alarm: Some("two releases 1.4".to_owned()),
        ..report(Some("bb"), Vec::new())
    };
    let here = |skills| Some(report(Some(RELEASE), skills));
    let local = skill(SkillState::Local, Some("9.0.0"), None, None);
    let spores = vec![
        spore(
            "z-later",
            Some(2),
            here(vec![skill(
                SkillState::Waiting,
                Some("1.0.0"),
                Some("2.0.0"),
                Some("wave 2"),
            )]),
        ),
        spore("other", None, here(vec![local.clone()])),
        spore(
            "new",
            Some(1),
            here(vec![
                local,
                skill(SkillState::Soaking, Some("2.0.0"), Some("2.0.0"), None),
            ]),
        ),
        spore(
            "first",
            Some(1),
            here(vec![skill(SkillState::Fetching, None, Some("2.0.0"), None)]),
        ),
        spore(
            "back",
            Some(1),
            here(vec![skill(
                SkillState::RolledBack,
                Some("1.0.0"),
                Some("2.0.0"),
                Some("2 traps"),
            )]),
        ),
        spore("quiet", Some(1), None),
        spore("unfit", Some(1), Some(no_root)),
        spore("behind", Some(1), Some(report(Some("bb"), Vec::new()))),
        spore("alarmed", Some(1), Some(alarmed)),
    ];
    let lines: Vec<String> = rows(&view(spores)).iter().map(Row::line).collect();
    assert_eq!(
        lines,
        [
            "alarmed  online  1  waiting  ALARM: two releases 1.4",
            "back  online  1  Echo  1.0.0 -> 2.0.0  ROLLED BACK  2 traps",
            "behind  online  1  waiting  has not heard of it yet",
            "first  online  1  Echo  - -> 2.0.0  fetching",
            "new  online  1  Echo  2.0.0  soaking",
            "quiet  online  1  silent  has not reported",
            "unfit  online  1  no root  it takes no releases: give it the nexus's root.json",
            "z-later  online  2  Echo  1.0.0 -> 2.0.0  waiting  wave 2",
            "other  online  not for it  nothing to do",
        ]
    );
}
