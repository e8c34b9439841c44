//! Where tasks go: credits, strategies, preferences, health.

use std::time::Duration;

use venom_foreman::{Event, LinkId, TaskOrder};
use venom_protocol::{ErrorCode, NodeId, Placement, Priority, Strategy};

use crate::hive::{Hive, SPORE, Spore, call, node};
use crate::tasks::{V1, grouped, lane, order, pinned, sent, two};

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
