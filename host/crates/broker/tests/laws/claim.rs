//! Leases.

use std::collections::HashSet;
use std::sync::Arc;

use venom_broker::{Claim, NewTask, Ready, Recorded, State, Want};
use venom_protocol::{SessionId, TaskId};

use crate::client::{ALL, completed, delayed, ids, lane, level, ms, task, want, want_of};
use crate::maker::Maker;

fn at(skill: &str, priority: u8) -> NewTask {
    NewTask {
        lane: lane(skill),
        priority: level(priority),
        ..task()
    }
}

fn want_at(skill: &str, priority: u8, most: usize) -> Want {
    Want {
        priority: level(priority),
        ..want_of(lane(skill), most)
    }
}

pub(crate) async fn tasks_of_a_lane_come_in_order(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let mut submitted = hive.submit_some(3).await;
    submitted.extend(hive.submit_some(30).await);
    // Ids do not decide: what came first does.
    let early = TaskId(uuid_of(1));
    submitted.extend(hive.submit(&[NewTask { id: early, ..task() }]).await);
    let mut claimed = Vec::new();
    while claimed.len() < submitted.len() {
        let leases = hive.claim(session, 7).await;
        assert!(!leases.is_empty());
        claimed.extend(ids(&leases));
    }
    assert_eq!(claimed, submitted);
}

fn uuid_of(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

pub(crate) async fn wants_are_served_in_turn(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let tasks: Vec<NewTask> = ["A", "A", "A", "B", "B", "C"]
        .iter()
        .map(|skill| at(skill, 5))
        .collect();
    let submitted = hive.submit(&tasks).await;
    let wants = [want_at("B", 5, 1), want_at("A", 5, 2), want_at("C", 5, 9)];
    let claim = hive.claim_wants(session, &wants, 3).await;
    assert_eq!(ids(&claim.leases), [submitted[3], submitted[0], submitted[1]]);
    let claim = hive.claim_wants(session, &wants, 9).await;
    assert_eq!(ids(&claim.leases), [submitted[4], submitted[2], submitted[5]]);
    assert_eq!(hive.claim_wants(session, &wants, 0).await.leases, []);
    assert_eq!(hive.counts().await.running, 6);
}

pub(crate) async fn a_session_that_is_not_live_gets_nothing(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(400)).await;
    hive.submit_some(2).await;
    let unknown = SessionId::random();
    assert_eq!(hive.claim_wants(unknown, &[want(1)], 1).await, Claim::default());
    let session = hive.session().await;
    tokio::time::sleep(ms(500)).await;
    assert_eq!(hive.claim_wants(session, &[want(1)], 1).await, Claim::default());
    hive.renew(session).await;
    assert_eq!(hive.claim(session, 1).await.len(), 1);
    hive.broker.leave(session).await.unwrap();
    assert_eq!(hive.claim_wants(session, &[want(1)], 1).await, Claim::default());
    assert_eq!(hive.counts().await.running, 0);
}

pub(crate) async fn lanes_without_work_are_told(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    hive.submit(&[at("A", 5), at("B", 5), at("B", 5), delayed(ms(60_000))])
        .await;
    let wants = [
        want_at("A", 5, 5),
        want_at("B", 5, 1),
        want_at("A", 4, 1),
        want_at("Unheard", 5, 1),
    ];
    let claim = hive.claim_wants(session, &wants, 9).await;
    assert_eq!(claim.leases.len(), 2);
    let mut empty = claim.empty;
    empty.sort();
    let mut expected = vec![
        (lane("A"), level(5)),
        (lane("A"), level(4)),
        (lane("Unheard"), level(5)),
    ];
    expected.sort();
    assert_eq!(empty, expected);
    assert_eq!(claim.held_back, []);
    let claim = hive.claim_wants(session, &[want(1)], 1).await;
    assert_eq!(
        claim.empty,
        [(lane("EchoSkill"), level(5))],
        "a delayed task is no work yet"
    );
}

pub(crate) async fn lanes_and_priorities_are_apart(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let mut expected = Vec::new();
    for priority in [0, 5, 10] {
        for skill in ["A", "B"] {
            expected.push((
                skill,
                priority,
                hive.submit(&[at(skill, priority), at(skill, priority)]).await,
            ));
        }
    }
    assert_eq!(hive.counts().await.pending, [4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 4]);
    for (skill, priority, tasks) in expected {
        let claim = hive.claim_wants(session, &[want_at(skill, priority, 9)], 9).await;
        assert_eq!(ids(&claim.leases), tasks, "{skill} {priority}");
        assert!(
            claim
                .leases
                .iter()
                .all(|lease| lease.lane == lane(skill) && lease.priority == level(priority))
        );
    }
}

pub(crate) async fn a_lease_carries_what_was_submitted(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let new = NewTask {
        body: format!("{{\"long\":\"{}\"}}", "ä".repeat(50_000)),
        ..task()
    };
    hive.submit(std::slice::from_ref(&new)).await;
    let lease = hive.claim_one(session).await;
    let stored = hive.task(new.id).await;
    assert_eq!(
        (lease.id, &lease.lane, lease.priority, lease.body),
        (new.id, &new.lane, new.priority, new.body)
    );
    assert_eq!(
        (lease.attempt, lease.losses, lease.last_node, lease.inputs),
        (1, 0, None, vec![])
    );
    assert_eq!(
        (stored.state, stored.session, stored.fence),
        (State::Running, Some(session), lease.fence)
    );
    assert_eq!((stored.attempt, stored.created_at), (1, lease.created_at));
    assert!(lease.fence > 0);
    assert!(stored.started_at.is_some_and(|at| at >= stored.created_at));
}

pub(crate) async fn ready_lanes_are_listed_by_priority(make: &Maker) {
    let hive = make.hive().await;
    assert_eq!(hive.broker.ready(ALL).await.unwrap(), []);
    hive.submit(&[
        at("A", 1),
        at("B", 9),
        at("C", 5),
        at("C", 5),
        at("A", 9),
        delayed(ms(60_000)),
    ])
    .await;
    let ready = hive.broker.ready(ALL).await.unwrap();
    let levels: Vec<u8> = ready.iter().map(|ready| ready.priority.level()).collect();
    assert_eq!(levels, [9, 9, 5, 1]);
    let names: HashSet<&str> = ready[..2].iter().map(|ready| ready.lane.as_str()).collect();
    assert_eq!(names, HashSet::from(["A", "B"]));
    assert_eq!(hive.broker.ready(1).await.unwrap().len(), 1);
    let session = hive.session().await;
    hive.claim_wants(
        session,
        &[want_at("A", 9, 9), want_at("B", 9, 9), want_at("C", 5, 1)],
        9,
    )
    .await;
    let left = |skill: &str, priority| Ready {
        lane: lane(skill),
        priority: level(priority),
    };
    assert_eq!(hive.broker.ready(ALL).await.unwrap(), [left("C", 5), left("A", 1)]);
}

pub(crate) async fn a_task_has_one_lease_at_a_time(make: &Maker) {
    let hive = Arc::new(make.hive().await);
    let submitted = hive.submit_some(300).await;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let hive = Arc::clone(&hive);
        workers.spawn(async move {
            let session = hive.session().await;
            let mut mine = Vec::new();
            loop {
                let leases = hive.claim(session, 5).await;
                if leases.is_empty() && hive.list(State::Pending).await.is_empty() {
                    return mine;
                }
                for lease in leases {
                    // Another one's lease of the same task would have a higher fence and make this one stale.
                    let recorded = hive.end(session, &lease, completed("1")).await;
                    assert_eq!(recorded, Recorded::Written(State::Completed));
                    mine.push(lease.id);
                }
            }
        });
    }
    let mut all: Vec<TaskId> = workers.join_all().await.into_iter().flatten().collect();
    all.sort();
    let mut expected = submitted;
    expected.sort();
    assert_eq!(all, expected);
    assert_eq!(hive.counts().await.completed, 300);
}
