//! Tasks: where they go, how their leases end.

use std::time::Duration;

use venom_foreman::{Action, CallReport, Counts, Event, LinkId, Settings, Settlement, TaskOrder};
use venom_protocol::{Backoff, ErrorCode, Lane, NodeId, Placement, Priority, Requirements, Strategy, TaskId};

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

fn grouped(group: &str) -> Lane {
    Lane::of("EchoSkill", &Requirements::default(), Some(group))
}

fn order(id: u128, lane: Lane) -> TaskOrder {
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

    fn order(&mut self, order: TaskOrder) -> Vec<Action> {
        self.step(Event::TaskLeased(Box::new(order)))
    }

    /// Leases it and gives where it went.
    fn placed(&mut self, order: TaskOrder) -> NodeId {
        match &self.order(order)[..] {
            [Action::SendCall { node_id, .. }] => *node_id,
            other => panic!("expected a task to be sent, got {other:?}"),
        }
    }

    fn failed(&mut self, link: u64, id: u128, code: ErrorCode) -> Vec<Action> {
        self.step(Event::CallFinished {
            link: LinkId(link),
            request_id: call(id),
            report: CallReport::failure(code, "no"),
        })
    }

    fn tick(&mut self, milliseconds: u64) -> Vec<Action> {
        self.now.0 += Duration::from_millis(milliseconds);
        self.step(Event::Tick)
    }

    fn tasks(&self) -> (usize, usize) {
        let Counts {
            tasks_running,
            tasks_held,
            ..
        } = self.foreman.counts();
        (tasks_running, tasks_held)
    }
}

fn settled(actions: &[Action]) -> Vec<(TaskId, &Settlement)> {
    let settled = actions.iter().filter_map(|action| match action {
        Action::SettleTask {
            task_id, settlement, ..
        } => Some((*task_id, settlement)),
        _ => None,
    });
    settled.collect()
}

fn sent(actions: &[Action]) -> Vec<NodeId> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::SendCall { node_id, .. } => Some(*node_id),
        _ => None,
    });
    sent.collect()
}

fn cancels(actions: &[Action]) -> usize {
    let is_cancel = |action: &&Action| matches!(action, Action::CancelCall { .. });
    actions.iter().filter(is_cancel).count()
}

/// Two nodes with room for one each.
fn two() -> Hive {
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

const V1: Spore = Spore {
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
    let actions = hive.done(1, 1);
    assert_eq!(
        (settled(&actions).len(), sent(&actions)),
        (0, vec![node(1)]),
        "{actions:?}"
    );
}

#[test]
fn nodes_that_say_nothing_of_credits_take_ten_tasks() {
    let mut hive = Hive::new();
    hive.connect(&V1);
    assert_eq!(hive.foreman.plan(&[(lane("EchoSkill"), Priority::HIGH)], 99).total, 10);
    for id in 1..=10 {
        hive.placed(order(id, lane("EchoSkill")));
    }
    assert!(hive.lease(11, lane("EchoSkill")).is_empty());
    hive.send(12, 1); // direct calls are as they were
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

#[test]
fn a_call_that_waits_for_the_hive_gives_its_credit_to_others() {
    for credits in [None, Some(1)] {
        let mut hive = Hive::new();
        hive.connect(&Spore {
            concurrency: Some(1),
            ..SPORE
        });
        if credits.is_some() {
            hive.beat(1, 0.0, 0, credits);
        }
        let (link, request_id) = (LinkId(1), call(1));
        hive.lease(1, lane("EchoSkill"));
        assert!(hive.lease(2, lane("EchoSkill")).is_empty());
        hive.step(Event::CallYielded {
            link: LinkId(7),
            request_id,
        });
        assert_eq!(hive.tasks(), (1, 1), "not over another link");
        assert_eq!(sent(&hive.step(Event::CallYielded { link, request_id })), [node(1)]);
        assert!(hive.step(Event::CallYielded { link, request_id }).is_empty());
        hive.step(Event::CallResumed { link, request_id });
        assert!(hive.lease(3, lane("EchoSkill")).is_empty());
        assert!(sent(&hive.done(1, 2)).is_empty(), "the first has its credit again");
        assert_eq!(sent(&hive.done(1, 1)), [node(1)]);
    }
}

#[test]
fn the_node_of_the_run_before_comes_last() {
    let mut hive = two();
    let again = |id| TaskOrder {
        avoid: Some(node(1)),
        ..order(id, lane("EchoSkill"))
    };
    assert_eq!(hive.placed(again(1)), node(2));
    assert_eq!(hive.placed(again(2)), node(1), "better than none");
}

#[test]
fn strategies_choose_by_load_by_turn_and_by_calls() {
    let expected = [
        (Strategy::LeastLoaded, [3, 3, 3, 3]),
        (Strategy::RoundRobin, [3, 2, 1, 3]),
        (Strategy::Spread, [3, 2, 1, 3]),
    ];
    for (strategy, nodes) in expected {
        let mut hive = Hive::new();
        for id in 1..=3 {
            hive.connect(&Spore {
                link: id,
                id: u128::from(id),
                ..SPORE
            });
            hive.beat(id, 1.0 - 0.3 * id as f64, 0, None);
        }
        let placement = Placement {
            strategy,
            ..Placement::default()
        };
        let chosen: Vec<NodeId> = (1..=4)
            .map(|id| {
                hive.placed(TaskOrder {
                    placement: placement.clone(),
                    ..order(id, lane("EchoSkill"))
                })
            })
            .collect();
        assert_eq!(chosen, nodes.map(node), "{strategy:?}");
    }
}

#[test]
fn preferred_tags_and_groups_come_first_but_are_no_must() {
    let mut hive = two();
    hive.connect(&Spore {
        link: 3,
        id: 3,
        tags: &["warm"],
        concurrency: Some(1),
        ..SPORE
    });
    let warm = Placement {
        prefer_tags: vec!["cold".to_owned(), "warm".to_owned()],
        ..Placement::default()
    };
    let mut place = |id, lane, placement: &Placement| {
        hive.placed(TaskOrder {
            placement: placement.clone(),
            ..order(id, lane)
        })
    };
    assert_eq!(place(1, lane("EchoSkill"), &warm), node(3));
    assert_eq!(place(2, lane("EchoSkill"), &warm), node(1), "better than none");

    for (with_group, expected) in [(Some(true), 2), (Some(false), 1), (None, 1)] {
        let mut hive = Hive::new();
        hive.connect(&SPORE);
        hive.connect(&Spore {
            link: 2,
            id: 2,
            ..SPORE
        });
        hive.beat(1, 0.5, 0, None);
        hive.lease(1, grouped("nightly"));
        hive.beat(1, 0.0, 0, None);
        let placement = Placement {
            with_group,
            ..Placement::default()
        };
        let order = TaskOrder {
            placement,
            ..order(2, grouped("nightly"))
        };
        assert_eq!(hive.placed(order), node(expected), "{with_group:?}");
    }
}

#[test]
fn what_runs_of_a_group_is_forgotten_with_its_end() {
    let mut hive = two();
    let near = Placement {
        with_group: Some(true),
        ..Placement::default()
    };
    hive.lease(1, grouped("nightly"));
    hive.done(1, 1);
    hive.beat(1, 1.0, 0, Some(1));
    assert_eq!(
        hive.placed(TaskOrder {
            placement: near,
            ..order(2, grouped("nightly"))
        }),
        node(2)
    );
}

#[test]
fn a_node_that_fails_or_dawdles_is_chosen_less_and_recovers() {
    for dawdle in [true, false] {
        let mut hive = two();
        for id in 1..=5 {
            let this = pinned(1);
            hive.placed(order(id, this));
            if dawdle {
                hive.done(1, id);
                hive.placed(order(100 + id, pinned(1)));
                hive.now.0 += Duration::from_millis(900);
                hive.done(1, 100 + id);
            } else {
                hive.failed(1, id, ErrorCode::Trapped);
            }
        }
        let record = hive.foreman.node(&node(1)).unwrap();
        assert_eq!((record.failures() > 0.6, record.lateness() > 0.3), (!dawdle, dawdle));
        assert_eq!(hive.placed(order(50, lane("EchoSkill"))), node(2));
        hive.done(2, 50);
        for _ in 0..10 {
            hive.pass(30);
            hive.beat(1, 0.0, 0, Some(1));
            hive.beat(2, 0.0, 0, Some(1));
        }
        assert_eq!(hive.placed(order(51, lane("EchoSkill"))), node(1), "time heals");
    }
    let mut hive = two();
    hive.lease(1, pinned(1));
    hive.failed(1, 1, ErrorCode::SkillFailed);
    assert_eq!(
        hive.foreman.node(&node(1)).unwrap().failures(),
        0.0,
        "a skill's failure is not the node's"
    );
}
