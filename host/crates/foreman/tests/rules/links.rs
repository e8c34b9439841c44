//! Links: coming, coming back, clones, goodbyes, silence, draining.

use std::time::Duration;

use venom_foreman::{Action, Event, LinkId, Moment, Presence, Rejection, Settings, Target};
use venom_protocol::{ErrorCode, Requirements, close};

use crate::hive::{Hive, SPORE, Spore, call, codes_of_failures, has, node, online};

#[test]
fn a_broken_link_fails_its_calls_and_keeps_the_node_listed() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    hive.send(1, 1);
    let actions = hive.step(Event::LinkClosed {
        link: LinkId(1),
        graceful: false,
        reason: "connection reset".to_owned(),
    });
    let Action::FailCall { code, message, .. } = &actions[0] else {
        panic!("{actions:?}")
    };
    assert_eq!(*code, ErrorCode::NodeLost);
    assert!(
        message.contains("EchoSkill") && message.contains("spore-1") && message.contains("reset"),
        "{message}"
    );
    assert!(matches!(&actions[1], Action::NodeOffline { .. }));
    assert_eq!((hive.foreman.counts().online, hive.foreman.counts().total), (0, 1));
    assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Offline);
    hive.pass(1);
    assert_eq!(
        hive.connect(&Spore {
            link: 2,
            boot: Some("b"),
            ..SPORE
        }),
        [online(1, 2, None)]
    );
    assert_eq!(hive.foreman.node(&node(1)).unwrap().registered_at(), Moment::default());
}

#[test]
fn a_v1_node_that_comes_again_replaces_its_old_link() {
    let mut hive = Hive::new();
    let v1 = Spore {
        protocol: 1,
        boot: None,
        ..SPORE
    };
    hive.connect(&v1);
    hive.send(1, 1);
    let actions = hive.connect(&Spore { link: 2, ..v1 });
    assert!(
        matches!(&actions[0], Action::CloseLink { link: LinkId(1), .. }),
        "{actions:?}"
    );
    assert_eq!(codes_of_failures(&actions), [(call(1), ErrorCode::NodeLost)]);
    assert_eq!(actions.last(), Some(&online(1, 2, Some(1))));
    let late = Event::LinkClosed {
        link: LinkId(1),
        graceful: false,
        reason: String::new(),
    };
    assert!(hive.step(late).is_empty(), "the old socket's end is no news");
    assert!(hive.foreman.node(&node(1)).unwrap().is_online());
}

#[test]
fn a_clone_of_a_live_node_is_refused_until_the_node_falls_silent() {
    let clone = Spore {
        link: 2,
        boot: Some("b"),
        ..SPORE
    };
    let boot_less = Spore {
        link: 2,
        boot: None,
        protocol: 1,
        ..SPORE
    };
    for newcomer in [clone, boot_less] {
        let mut hive = Hive::new();
        hive.connect(&SPORE);
        hive.send(1, 1);
        hive.pass(35);
        let actions = hive.connect(&newcomer);
        assert!(
            matches!(&actions[0], Action::CloneAlarm { link: LinkId(2), .. }),
            "{actions:?}"
        );
        assert!(
            matches!(&actions[1], Action::CloseLink { link: LinkId(2), code: close::POLICY, reason } if reason.len() <= 123)
        );
        assert_eq!(actions.len(), 2);
        assert_eq!(hive.foreman.node(&node(1)).unwrap().link(), Some(LinkId(1)));
        assert_eq!(hive.done(1, 1).len(), 1, "the node's call is not touched");
        hive.pass(36);
        assert_eq!(hive.connect(&newcomer).last(), Some(&online(1, 2, Some(1))));
    }
}

#[test]
fn the_same_process_over_a_new_link_still_answers_its_calls() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    hive.send(1, 1);
    hive.send(2, 1);
    assert!(codes_of_failures(&hive.connect(&Spore { link: 2, ..SPORE })).is_empty());
    assert!(hive.done(1, 1).is_empty(), "not over the old link");
    assert_eq!(hive.done(2, 1).len(), 1);
    assert!(codes_of_failures(&hive.beat(2, 0.0, 1, None)).is_empty());
    hive.send(3, 1);
    let actions = hive.beat(2, 0.0, 0, None);
    assert_eq!(
        codes_of_failures(&actions),
        [(call(2), ErrorCode::NodeLost)],
        "only what the old link carried"
    );
}

#[test]
fn goodbye_takes_a_node_off_at_once_and_lets_it_answer() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    hive.send(1, 1);
    let actions = hive.step(Event::NodeLeft {
        link: LinkId(1),
        reason: String::new(),
    });
    assert!(matches!(&actions[..], [Action::NodeOffline { .. }]), "{actions:?}");
    assert_eq!(hive.foreman.counts().online, 0);
    assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Offline);
    assert!(matches!(
        hive.refused(Target::Best(Requirements::default()), "EchoSkill"),
        Rejection::NoneFits { .. }
    ));
    let actions = hive.done(1, 1);
    assert!(
        matches!(
            &actions[..],
            [
                Action::CompleteCall { .. },
                Action::CloseLink {
                    code: close::NORMAL,
                    ..
                }
            ]
        ),
        "{actions:?}"
    );
    assert!(matches!(
        hive.foreman.node(&node(1)).unwrap().presence(),
        Presence::Offline { .. }
    ));
}

#[test]
fn silence_takes_a_node_off_and_any_frame_keeps_it() {
    let mut hive = Hive::with(Settings::with_heartbeat_timeout(Duration::from_secs(10)));
    hive.connect(&SPORE);
    hive.connect(&Spore {
        link: 2,
        id: 2,
        ..SPORE
    });
    hive.send(1, 1);
    hive.pass(9);
    assert!(hive.step(Event::Tick).is_empty());
    hive.step(Event::FrameSeen { link: LinkId(2) });
    hive.pass(1);
    let actions = hive.step(Event::Tick);
    assert!(
        matches!(&actions[0], Action::CloseLink { link: LinkId(1), .. }),
        "{actions:?}"
    );
    assert_eq!(codes_of_failures(&actions), [(call(1), ErrorCode::NodeLost)]);
    assert!(matches!(&actions[2], Action::NodeOffline { reason, .. } if reason == "no frame for 10 s"));
    assert!(hive.foreman.node(&node(2)).unwrap().is_online());
}

#[test]
fn draining_takes_nothing_new_finishes_and_holds_over_a_reconnect() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    hive.send(1, 1);
    let draining = hive.step(Event::DrainRequested { node_id: node(1) });
    assert_eq!(
        draining,
        [Action::NodeDraining {
            node_id: node(1),
            in_flight: 1
        }]
    );
    assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Draining);
    assert_eq!(
        hive.refused(Target::Best(Requirements::default()), "EchoSkill"),
        Rejection::Draining
    );
    assert_eq!(hive.done(1, 1)[1], Action::NodeDrained { node_id: node(1) });
    hive.connect(&Spore { link: 2, ..SPORE });
    assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Draining);
    let resumed = hive.step(Event::UndrainRequested { node_id: node(1) });
    assert_eq!(resumed, [Action::NodeResumed { node_id: node(1) }]);
    hive.send(2, 1);
}

#[test]
fn a_status_changes_skills_and_draining() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    let status = |skills, draining| Event::StatusChanged {
        link: LinkId(1),
        capabilities: has(skills, &[], false),
        draining,
    };
    assert_eq!(
        hive.step(status(&["FileSkill"], false)),
        [Action::NodeChanged { node_id: node(1) }]
    );
    let known = vec!["FileSkill".to_owned()];
    assert_eq!(
        hive.refused(Target::Node(node(1)), "EchoSkill"),
        Rejection::UnknownSkill { known }
    );
    let actions = hive.step(status(&["EchoSkill"], true));
    assert!(
        actions.contains(&Action::NodeDraining {
            node_id: node(1),
            in_flight: 0
        }),
        "{actions:?}"
    );
    assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Draining);
}

#[test]
fn only_so_many_offline_nodes_are_kept() {
    let mut hive = Hive::with(Settings {
        max_offline_nodes: 1,
        ..Settings::default()
    });
    let gone = |link| Event::LinkClosed {
        link: LinkId(link),
        graceful: true,
        reason: String::new(),
    };
    for id in [1, 2] {
        hive.connect(&Spore {
            link: id,
            id: u128::from(id),
            ..SPORE
        });
    }
    hive.step(gone(1));
    hive.pass(1);
    let actions = hive.step(gone(2));
    assert_eq!(actions.last(), Some(&Action::NodeForgotten { node_id: node(1) }));
    assert_eq!(hive.foreman.counts().total, 1);
    assert!(hive.foreman.node(&node(1)).is_none());
    hive.connect(&Spore {
        link: 3,
        id: 3,
        ..SPORE
    });
    assert_eq!(hive.foreman.nodes().count(), 2);
}

#[test]
fn the_clone_window_is_a_setting() {
    let mut hive = Hive::with(Settings {
        clone_window: Duration::from_secs(5),
        ..Settings::default()
    });
    let clone = Spore {
        link: 2,
        boot: Some("b"),
        ..SPORE
    };
    hive.connect(&SPORE);
    hive.pass(4);
    assert!(matches!(hive.connect(&clone)[0], Action::CloneAlarm { .. }));
    hive.pass(1);
    assert_eq!(hive.connect(&clone).last(), Some(&online(1, 2, Some(1))));
}
