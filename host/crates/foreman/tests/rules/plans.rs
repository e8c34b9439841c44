//! What is claimed: by urgency, by turns, within the room there is.

use venom_foreman::{Event, LinkId, Plan};
use venom_protocol::{Lane, Priority};

use crate::hive::{Hive, SPORE, Spore, node};
use crate::tasks::{lane, pinned, tagged};

fn wants(plan: &Plan) -> Vec<(&str, u8, usize)> {
    let wants = plan.wants.iter();
    wants
        .map(|want| (want.lane.as_str(), want.priority.level(), want.most))
        .collect()
}

fn at(lane: &Lane, level: u8) -> (Lane, Priority) {
    (lane.clone(), Priority::new(level).unwrap())
}

#[test]
fn the_most_urgent_comes_first_within_the_room_there_is() {
    let mut hive = Hive::new();
    let ready = [
        at(&lane("EchoSkill"), 2),
        at(&lane("FileSkill"), 8),
        at(&lane("NoSkill"), 10),
    ];
    assert_eq!(hive.foreman.plan(&ready, 10), Plan::default(), "nobody is there");
    hive.connect(&Spore {
        concurrency: Some(3),
        ..SPORE
    });
    hive.connect(&Spore {
        link: 2,
        id: 2,
        skills: &["FileSkill"],
        concurrency: Some(2),
        ..SPORE
    });
    let plan = hive.foreman.plan(&ready, 10);
    assert_eq!(wants(&plan), [("FileSkill", 8, 2), ("EchoSkill", 2, 3)]);
    assert_eq!(plan.total, 5);
    assert_eq!(hive.foreman.plan(&ready, 1).total, 1);
    assert_eq!(hive.foreman.plan(&ready, 0), Plan::default());
    assert_eq!(hive.foreman.plan(&[], 10), Plan::default());
}

#[test]
fn room_that_lanes_share_is_counted_once() {
    let mut hive = Hive::new();
    hive.connect(&Spore {
        concurrency: Some(4),
        tags: &["rack:7"],
        ..SPORE
    });
    let ready = [
        at(&lane("EchoSkill"), 2),
        at(&tagged("rack:7"), 2),
        at(&pinned(1), 2),
        at(&pinned(2), 2),
    ];
    let plan = hive.foreman.plan(&ready, 100);
    assert_eq!(plan.total, 4);
    assert_eq!(plan.wants.len(), 3, "nobody is node 2");
    hive.lease(1, lane("EchoSkill"));
    assert_eq!(hive.foreman.plan(&ready, 100).total, 3, "what runs takes its room");
    hive.send(50, 1);
    assert_eq!(hive.foreman.plan(&ready, 100).total, 2, "and so do direct calls");
}

#[test]
fn nodes_that_take_nothing_have_no_room() {
    let ready = [at(&lane("EchoSkill"), 2)];
    let mut hive = Hive::new();
    hive.connect(&Spore {
        concurrency: Some(3),
        ..SPORE
    });
    hive.beat(1, 0.0, 0, Some(7));
    assert_eq!(
        hive.foreman.plan(&ready, 100).total,
        7,
        "credits come before concurrency"
    );
    hive.beat(1, 0.0, 0, Some(0));
    assert_eq!(hive.foreman.plan(&ready, 100), Plan::default());
    hive.beat(1, 0.0, 0, Some(7));
    hive.step(Event::DrainRequested { node_id: node(1) });
    assert_eq!(hive.foreman.plan(&ready, 100), Plan::default());
    hive.step(Event::UndrainRequested { node_id: node(1) });
    assert_eq!(hive.foreman.plan(&ready, 100).total, 7);
    let reason = String::new();
    hive.step(Event::NodeLeft {
        link: LinkId(1),
        reason,
    });
    assert_eq!(hive.foreman.plan(&ready, 100), Plan::default());
}

#[test]
fn one_pick_of_ten_goes_to_a_lower_priority_with_one_credit_too() {
    let mut hive = Hive::new();
    hive.connect(&Spore {
        concurrency: Some(1),
        ..SPORE
    });
    let ready = [
        at(&lane("EchoSkill"), 10),
        at(&lane("EchoSkill"), 0),
        at(&lane("EchoSkill"), 5),
    ];
    let mut low = Vec::new();
    for request in 1..=100 {
        let plan = hive.foreman.plan(&ready, 64);
        assert_eq!(plan.total, 1);
        let first = plan.wants[0].clone();
        hive.lease_at(request, first.lane, first.priority);
        hive.done(1, request);
        if first.priority < Priority::HIGHEST {
            low.push((request, first.priority.level()));
        }
    }
    let expected: Vec<_> = (1..=10)
        .map(|tenth| (tenth * 10, if tenth % 2 == 1 { 0 } else { 5 }))
        .collect();
    let sorted = |mut low: Vec<(u128, u8)>| {
        low.sort_unstable();
        low
    };
    let levels = |low: &[(u128, u8)], level| low.iter().filter(|pick| pick.1 == level).count();
    assert_eq!((levels(&low, 0), levels(&low, 5)), (5, 5), "{low:?}");
    let at = |low: Vec<(u128, u8)>| low.into_iter().map(|pick| pick.0).collect::<Vec<_>>();
    assert_eq!(at(sorted(low)), at(expected));
}

#[test]
fn lanes_of_a_priority_take_turns() {
    let mut hive = Hive::new();
    hive.connect(&Spore {
        skills: &["A", "B", "C"],
        concurrency: Some(1),
        ..SPORE
    });
    let ready = ["A", "B", "C"].map(|skill| at(&lane(skill), 2));
    let mut served = String::new();
    for request in 1..=7 {
        let first = hive.foreman.plan(&ready, 64).wants[0].clone();
        served.push_str(first.lane.as_str());
        hive.lease_at(request, first.lane, first.priority);
        hive.done(1, request);
    }
    assert_eq!(served, "ABCABCA");
}
