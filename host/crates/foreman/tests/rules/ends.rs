//! How runs end otherwise than by an answer: nodes are lost or silent, time is up, somebody cancels.

use std::time::Duration;

use venom_foreman::{Action, Event, LinkId, Settings, Settlement, TaskOrder};
use venom_protocol::{ErrorCode, Priority};

use crate::hive::{Hive, SPORE, node};
use crate::tasks::{V1, cancels, lane, order, sent, settled, task, two};

#[test]
fn a_lost_node_gives_its_task_to_another_at_once() {
    let mut hive = two();
    hive.lease(1, lane("EchoSkill"));
    let actions = hive.step(Event::LinkClosed {
        link: LinkId(1),
        graceful: false,
        reason: "connection reset".to_owned(),
    });
    let [
        (
            _,
            Settlement::Retry {
                delay,
                code,
                message,
                lost_node,
            },
        ),
    ] = settled(&actions)[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!((*delay, *code, *lost_node), (Duration::ZERO, ErrorCode::NodeLost, true));
    assert!(message.contains("spore-1") && message.contains("reset"), "{message}");
}

#[test]
fn a_silent_node_is_asked_twice_and_then_loses_its_tasks() {
    let mut hive = two();
    hive.pass(30);
    hive.lease(1, lane("EchoSkill"));
    hive.lease(2, lane("EchoSkill"));
    let mut log = Vec::new();
    for quarter in 1..=20 {
        hive.step(Event::FrameSeen { link: LinkId(2) });
        for action in hive.tick(250) {
            log.push((quarter * 250, action));
        }
    }
    let ping = Action::PingLink { link: LinkId(1) };
    assert_eq!(log[..2], [(1_500, ping.clone()), (3_000, ping)]);
    assert!(log[2..].iter().all(|(at, _)| *at == 4_000), "{log:?}");
    let last: Vec<Action> = log.into_iter().skip(2).map(|(_, action)| action).collect();
    assert_eq!(cancels(&last), 1);
    assert!(
        matches!(settled(&last)[..], [(id, Settlement::Retry { lost_node: true, .. })] if id == task(1)),
        "{last:?}"
    );
    assert!(
        hive.foreman.node(&node(1)).unwrap().is_online(),
        "it has its heartbeat timeout yet"
    );
    assert!(hive.lease(3, lane("EchoSkill")).is_empty(), "but gets no task");
    let late = hive.done(1, 1);
    assert_eq!(
        (settled(&late).len(), sent(&late)),
        (0, vec![node(1)]),
        "until it says something"
    );
}

#[test]
fn a_nexus_that_slept_asks_before_it_gives_up() {
    let mut hive = two();
    hive.lease(1, lane("EchoSkill"));
    assert_eq!(hive.tick(20_000), [Action::PingLink { link: LinkId(1) }]);
    hive.step(Event::FrameSeen { link: LinkId(1) });
    assert!(hive.tick(1_000).is_empty());
    assert_eq!(hive.tasks(), (1, 0));
}

#[test]
fn a_node_without_tasks_may_be_silent_for_its_heartbeat_timeout() {
    let mut hive = two();
    hive.send(1, 1);
    for _ in 0..40 {
        assert!(hive.tick(1_000).is_empty());
    }
}

#[test]
fn a_task_that_overruns_is_stopped_after_the_grace_and_tried_again() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    hive.lease(1, lane("EchoSkill"));
    for _ in 0..31 {
        hive.step(Event::FrameSeen { link: LinkId(1) });
        assert!(hive.tick(1_000).is_empty());
    }
    let actions = hive.tick(1_000);
    assert_eq!(cancels(&actions), 1);
    let [
        (
            _,
            Settlement::Retry {
                code: ErrorCode::TimedOut,
                lost_node: false,
                delay,
                message,
            },
        ),
    ] = settled(&actions)[..]
    else {
        panic!("{actions:?}")
    };
    assert!(*delay > Duration::ZERO && message.contains("spore-1"), "{message}");
}

#[test]
fn a_v1_node_that_overruns_keeps_its_slot_taken_until_it_answers() {
    let mut hive = Hive::with(Settings {
        tasks_without_credits: 1,
        ..Settings::default()
    });
    hive.connect(&V1);
    hive.placed(TaskOrder {
        timeout: Duration::ZERO,
        ..order(1, lane("EchoSkill"))
    });
    let actions = hive.tick(2_000);
    assert_eq!((settled(&actions).len(), cancels(&actions)), (1, 0), "{actions:?}");
    assert_eq!(hive.tasks(), (0, 0));
    assert!(hive.lease(2, lane("EchoSkill")).is_empty(), "the slot is taken");
    hive.beat(1, 0.0, 1, None);
    let record = hive.foreman.node(&node(1)).unwrap();
    assert_eq!((record.in_flight(), record.active_tasks()), (0, 1), "counted once");
    let actions = hive.done(1, 1);
    assert_eq!(
        (settled(&actions).len(), sent(&actions)),
        (0, vec![node(1)]),
        "{actions:?}"
    );
}

#[test]
fn cancelling_reaches_the_skill_and_waits_for_its_word() {
    let cancel = |id| Event::TaskCancelRequested { task_id: task(id) };
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    assert!(hive.step(cancel(1)).is_empty(), "nothing to cancel");
    for id in 1..=3 {
        hive.lease(id, lane("EchoSkill"));
        let actions = hive.step(cancel(id));
        assert_eq!((cancels(&actions), actions.len()), (1, 1), "{actions:?}");
        assert!(hive.step(cancel(id)).is_empty(), "once is enough");
    }
    assert!(matches!(
        settled(&hive.failed(1, 1, ErrorCode::Cancelled))[..],
        [(_, Settlement::Cancel { .. })]
    ));
    assert_eq!(
        settled(&hive.done(1, 2)),
        [(task(2), &Settlement::Complete)],
        "it was done before"
    );
    let actions = hive.tick(2_000);
    assert!(
        matches!(settled(&actions)[..], [(_, Settlement::Cancel { .. })]),
        "it has the grace to answer: {actions:?}"
    );
    assert_eq!(cancels(&actions), 0);
}

#[test]
fn cancelling_what_is_held_or_on_a_v1_node_ends_it_at_once() {
    let mut hive = Hive::with(Settings {
        tasks_without_credits: 1,
        ..Settings::default()
    });
    hive.connect(&V1);
    hive.lease(1, lane("EchoSkill"));
    hive.lease(2, lane("EchoSkill"));
    for id in [2, 1] {
        let actions = hive.step(Event::TaskCancelRequested { task_id: task(id) });
        assert!(
            matches!(
                &actions[..],
                [Action::SettleTask {
                    settlement: Settlement::Cancel { .. },
                    ..
                }]
            ),
            "{actions:?}"
        );
    }
    assert_eq!(hive.tasks(), (0, 0));
    assert_eq!(
        hive.foreman.plan(&[(lane("EchoSkill"), Priority::HIGH)], 9).total,
        0,
        "it runs on there"
    );
}

#[test]
fn lost_leases_are_stopped_and_settled_by_nobody() {
    let mut hive = two();
    for id in 1..=3 {
        hive.lease(id, lane("EchoSkill"));
    }
    let actions = hive.step(Event::LeasesLost);
    assert_eq!((cancels(&actions), actions.len()), (2, 2), "{actions:?}");
    assert_eq!(hive.tasks(), (0, 0));
    assert!(hive.done(1, 1).is_empty());
    assert_eq!(hive.placed(order(4, lane("EchoSkill"))), node(1));
}
