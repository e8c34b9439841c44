//! Tasks: where they go, how their leases end.

use std::time::Duration;

use venom_foreman::{Action, CallReport, Counts, Event, LinkId, Settlement, TaskOrder};
use venom_protocol::{Backoff, ErrorCode, Lane, NodeId, Placement, Priority, Requirements, TaskId};

use crate::hive::{Hive, SPORE, Spore, call, node};

pub(crate) fn task(id: u128) -> TaskId {
    TaskId(uuid::Uuid::from_u128(id))
}

pub(crate) fn lane(skill: &str) -> Lane {
    Lane::of(skill, &Requirements::default(), None)
}

pub(crate) fn tagged(tag: &str) -> Lane {
    let tags = vec![tag.to_owned()];
    Lane::of(
        "EchoSkill",
        &Requirements {
            tags,
            ..Requirements::default()
        },
        None,
    )
}

pub(crate) fn pinned(id: u128) -> Lane {
    let node_id = Some(node(id));
    Lane::of(
        "EchoSkill",
        &Requirements {
            node_id,
            ..Requirements::default()
        },
        None,
    )
}

pub(crate) fn grouped(group: &str) -> Lane {
    Lane::of("EchoSkill", &Requirements::default(), Some(group))
}

pub(crate) fn order(id: u128, lane: Lane) -> TaskOrder {
    TaskOrder {
        request_id: call(id),
        task_id: task(id),
        fence: 1,
        attempt: 1,
        losses: 0,
        max_retries: 1,
        lane,
        priority: Priority::BACKGROUND,
        placement: Placement::default(),
        backoff: Backoff::default(),
        timeout: Duration::from_secs(30),
        avoid: None,
    }
}

impl Hive {
    pub(crate) fn lease_at(&mut self, id: u128, lane: Lane, priority: Priority) -> Vec<Action> {
        self.order(TaskOrder {
            priority,
            ..order(id, lane)
        })
    }

    pub(crate) fn lease(&mut self, id: u128, lane: Lane) -> Vec<Action> {
        self.order(order(id, lane))
    }

    pub(crate) fn order(&mut self, order: TaskOrder) -> Vec<Action> {
        self.step(Event::TaskLeased(Box::new(order)))
    }

    /// Leases it and gives where it went.
    pub(crate) fn placed(&mut self, order: TaskOrder) -> NodeId {
        match &self.order(order)[..] {
            [Action::SendCall { node_id, .. }] => *node_id,
            other => panic!("expected a task to be sent, got {other:?}"),
        }
    }

    pub(crate) fn failed(&mut self, link: u64, id: u128, code: ErrorCode) -> Vec<Action> {
        self.step(Event::CallFinished {
            link: LinkId(link),
            request_id: call(id),
            report: CallReport::failure(code, "no"),
        })
    }

    pub(crate) fn tick(&mut self, milliseconds: u64) -> Vec<Action> {
        self.now.0 += Duration::from_millis(milliseconds);
        self.step(Event::Tick)
    }

    pub(crate) fn tasks(&self) -> (usize, usize) {
        let Counts {
            tasks_running,
            tasks_held,
            ..
        } = self.foreman.counts();
        (tasks_running, tasks_held)
    }
}

pub(crate) fn settled(actions: &[Action]) -> Vec<(TaskId, &Settlement)> {
    let settled = actions.iter().filter_map(|action| match action {
        Action::SettleTask {
            task_id, settlement, ..
        } => Some((*task_id, settlement)),
        _ => None,
    });
    settled.collect()
}

pub(crate) fn sent(actions: &[Action]) -> Vec<NodeId> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::SendCall { node_id, .. } => Some(*node_id),
        _ => None,
    });
    sent.collect()
}

pub(crate) fn cancels(actions: &[Action]) -> usize {
    let is_cancel = |action: &&Action| matches!(action, Action::CancelCall { .. });
    actions.iter().filter(is_cancel).count()
}

/// Two nodes with room for one each.
pub(crate) fn two() -> Hive {
    let mut hive = Hive::new();
    for id in 1..=2 {
        hive.connect(&Spore {
            link: id,
            id: u128::from(id),
            concurrency: Some(1),
            ..SPORE
        });
    }
    hive
}

pub(crate) const V1: Spore = Spore {
    protocol: 1,
    boot: None,
    ..SPORE
};

#[test]
fn a_task_is_sent_and_its_answer_is_its_result() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    assert_eq!(hive.placed(order(1, lane("EchoSkill"))), node(1));
    assert_eq!(hive.tasks(), (1, 0));
    assert_eq!(hive.foreman.assigned().collect::<Vec<_>>(), [(task(1), 1, node(1))]);
    assert_eq!(hive.foreman.task_of(call(1)).unwrap().task_id, task(1));
    assert_eq!(hive.foreman.node_running(call(1)), Some(node(1)));
    assert!(
        hive.lease(1, lane("EchoSkill")).is_empty(),
        "the same lease twice is one"
    );
    let done = Action::SettleTask {
        request_id: call(1),
        task_id: task(1),
        fence: 1,
        node_id: Some(node(1)),
        settlement: Settlement::Complete,
    };
    assert_eq!(hive.done(1, 1), [done]);
    assert!(hive.done(1, 1).is_empty());
    assert_eq!((hive.tasks(), hive.foreman.assigned().count()), ((0, 0), 0));
}

#[test]
fn a_newer_lease_of_the_same_task_ends_the_older_and_an_older_one_is_given_back() {
    let mut hive = two();
    assert_eq!(hive.placed(order(1, lane("EchoSkill"))), node(1));
    let newer = TaskOrder {
        request_id: call(2),
        fence: 9,
        ..order(1, lane("EchoSkill"))
    };
    let actions = hive.order(newer);
    assert_eq!((cancels(&actions), sent(&actions).len()), (1, 1), "{actions:?}");
    assert!(matches!(
        &actions[1],
        Action::SettleTask {
            fence: 1,
            settlement: Settlement::Return,
            ..
        }
    ));
    let older = TaskOrder {
        request_id: call(3),
        fence: 5,
        ..order(1, lane("EchoSkill"))
    };
    assert!(matches!(
        &hive.order(older)[..],
        [Action::SettleTask {
            fence: 5,
            settlement: Settlement::Return,
            ..
        }]
    ));
    assert_eq!(hive.tasks(), (1, 0));
}

#[test]
fn a_lane_that_is_none_fails_its_task_and_one_that_nobody_serves_gives_it_back() {
    let mut hive = two();
    let none = hive.lease(1, lane(""));
    assert!(
        matches!(
            settled(&none)[..],
            [(
                _,
                Settlement::Fail {
                    code: ErrorCode::InvalidParams,
                    ..
                }
            )]
        ),
        "{none:?}"
    );
    assert_eq!(hive.foreman.plan(&[(lane(""), Priority::HIGH)], 9).total, 0);
    let unknown = hive.lease(2, lane("NoSkill"));
    assert_eq!(settled(&unknown), [(task(2), &Settlement::Return)]);
}

#[test]
fn a_task_without_room_waits_for_a_credit_and_the_most_urgent_gets_it() {
    let mut hive = two();
    hive.lease(1, lane("EchoSkill"));
    hive.lease(2, lane("EchoSkill"));
    assert!(hive.lease(3, lane("EchoSkill")).is_empty());
    assert!(hive.lease_at(4, lane("EchoSkill"), Priority::HIGH).is_empty());
    assert_eq!(hive.tasks(), (2, 2));
    let actions = hive.done(1, 1);
    assert!(
        matches!(actions[1], Action::SendCall { request_id, link: LinkId(1), .. } if request_id == call(4)),
        "{actions:?}"
    );
    let actions = hive.beat(2, 0.0, 1, Some(1));
    assert!(
        matches!(actions[..], [Action::SendCall { request_id, link: LinkId(2), .. }] if request_id == call(3)),
        "{actions:?}"
    );
    assert_eq!(hive.tasks(), (3, 0));
}

#[test]
fn a_task_is_held_for_a_second_and_goes_back() {
    let mut hive = two();
    hive.send(1, 1);
    hive.send(2, 2);
    hive.lease(3, lane("EchoSkill"));
    assert!(hive.tick(999).is_empty());
    assert_eq!(settled(&hive.tick(1)), [(task(3), &Settlement::Return)]);
    assert_eq!(hive.tasks(), (0, 0));
}

#[test]
fn what_is_held_goes_back_when_no_node_is_left_for_it() {
    let leave = |hive: &mut Hive| {
        hive.step(Event::LinkClosed {
            link: LinkId(1),
            graceful: false,
            reason: String::new(),
        })
    };
    let drain = |hive: &mut Hive| hive.step(Event::DrainRequested { node_id: node(1) });
    let forget = |hive: &mut Hive| {
        let capabilities = crate::hive::has(&["FileSkill"], &[], false);
        hive.step(Event::StatusChanged {
            link: LinkId(1),
            capabilities,
            draining: false,
        })
    };
    for lose in [&leave as &dyn Fn(&mut Hive) -> Vec<Action>, &drain, &forget] {
        let mut hive = Hive::new();
        hive.connect(&Spore {
            concurrency: Some(1),
            ..SPORE
        });
        hive.connect(&Spore {
            link: 2,
            id: 2,
            skills: &["FileSkill"],
            ..SPORE
        });
        hive.send(1, 1);
        hive.lease(2, lane("EchoSkill"));
        hive.lease(3, pinned(1));
        let actions = lose(&mut hive);
        assert_eq!(
            settled(&actions),
            [(task(2), &Settlement::Return), (task(3), &Settlement::Return)],
            "{actions:?}"
        );
        assert_eq!(hive.tasks(), (0, 0));
    }
}

#[test]
fn a_node_that_answers_busy_is_left_alone_for_a_moment() {
    for code in [ErrorCode::Busy, ErrorCode::Draining] {
        let mut hive = Hive::new();
        hive.connect(&SPORE);
        hive.lease(1, lane("EchoSkill"));
        assert_eq!(settled(&hive.failed(1, 1, code)), [(task(1), &Settlement::Return)]);
        assert_eq!(hive.foreman.plan(&[(lane("EchoSkill"), Priority::HIGH)], 9).total, 0);
        assert!(hive.lease(2, lane("EchoSkill")).is_empty(), "held");
        assert_eq!(sent(&hive.tick(1_000)), [node(1)]);
    }
}

#[test]
fn a_call_that_cannot_be_written_goes_back() {
    let mut hive = two();
    hive.lease(1, lane("EchoSkill"));
    let actions = hive.step(Event::CallAbandoned { request_id: call(1) });
    assert_eq!(settled(&actions), [(task(1), &Settlement::Return)]);
    assert_eq!(cancels(&actions), 0, "{actions:?}");
    assert_eq!(
        hive.placed(order(2, lane("EchoSkill"))),
        node(2),
        "the full link is left alone"
    );
}
