//! Limits of groups.

use std::time::{Duration, Instant};

use venom_broker::{NewTask, Want};
use venom_protocol::GroupLimits;

use crate::client::{Hive, completed, ending, eventually, grouped, level, ms, task, want_of};
use crate::maker::Maker;

fn in_group(skill: &str) -> NewTask {
    NewTask {
        lane: grouped(skill, "g"),
        ..task()
    }
}

async fn submit(hive: &Hive, skill: &str, count: usize) {
    let tasks: Vec<NewTask> = (0..count).map(|_| in_group(skill)).collect();
    hive.submit(&tasks).await;
}

fn want(skill: &str, most: usize) -> Want {
    want_of(grouped(skill, "g"), most)
}

const fn concurrency(most: u32) -> Option<GroupLimits> {
    Some(GroupLimits {
        concurrency: Some(most),
        rate: None,
    })
}

pub(crate) async fn concurrency_counts_over_sessions_and_lanes(make: &Maker) {
    let hive = make.hive().await;
    let neighbour = make.neighbour(&hive).await;
    let (one, other) = (hive.session().await, neighbour.session().await);
    hive.broker.limit_group("g", concurrency(3)).await.unwrap();
    submit(&hive, "A", 3).await;
    submit(&hive, "B", 3).await;
    hive.submit_some(5).await;
    let claim = hive.claim_wants(one, &[want("A", 2)], 9).await;
    assert_eq!(
        (claim.leases.len(), claim.held_back.len()),
        (2, 0),
        "it asked for no more than it may have"
    );
    let claim = neighbour.claim_wants(other, &[want("B", 9), want("A", 9)], 9).await;
    assert_eq!(claim.leases.len(), 1);
    let held: Vec<_> = claim
        .held_back
        .iter()
        .map(|(lane, priority, _)| (lane.clone(), *priority))
        .collect();
    assert_eq!(held, [(grouped("B", "g"), level(5)), (grouped("A", "g"), level(5))]);
    assert!(claim.held_back.iter().all(|(_, _, wait)| !wait.is_zero()));
    assert_eq!(claim.empty, []);
    assert_eq!(hive.claim(one, 9).await.len(), 5, "tasks of no group have no limit");
}

pub(crate) async fn an_end_makes_room_in_a_group(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    hive.broker.limit_group("g", concurrency(1)).await.unwrap();
    submit(&hive, "A", 5).await;
    let kinds = [
        completed("1"),
        crate::client::retry(ms(60_000)),
        crate::client::failed("no"),
        venom_broker::EndingKind::Returned,
    ];
    for kind in kinds {
        let claim = hive.claim_wants(session, &[want("A", 9)], 9).await;
        assert_eq!((claim.leases.len(), claim.held_back.len()), (1, 1));
        hive.finish(session, &[ending(&claim.leases[0], kind)]).await;
    }
    assert_eq!(hive.claim_wants(session, &[want("A", 9)], 9).await.leases.len(), 1);
}

pub(crate) async fn a_dead_session_makes_room_in_a_group(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(600)).await;
    hive.broker.limit_group("g", concurrency(2)).await.unwrap();
    submit(&hive, "A", 3).await;
    let session = hive.session().await;
    assert_eq!(hive.claim_wants(session, &[want("A", 9)], 9).await.leases.len(), 2);
    let next = hive.session().await;
    assert_eq!(hive.claim_wants(next, &[want("A", 9)], 9).await.leases.len(), 0);
    eventually("there is room again", async || {
        hive.renew(next).await;
        hive.tend().await;
        hive.claim_wants(next, &[want("A", 9)], 9).await.leases.len() == 2
    })
    .await;
}

pub(crate) async fn a_rate_is_kept(make: &Maker) {
    const RATE: f64 = 20.0;
    let hive = make.hive().await;
    let session = hive.session().await;
    let limits = GroupLimits {
        concurrency: None,
        rate: Some(RATE),
    };
    let begin = Instant::now();
    hive.broker.limit_group("g", Some(limits)).await.unwrap();
    submit(&hive, "A", 60).await;
    let mut begun = 0;
    let mut was_held = false;
    while begun < 30 {
        let claim = hive.claim_wants(session, &[want("A", 60)], 60).await;
        begun += claim.leases.len();
        let may = begin.elapsed().as_secs_f64().mul_add(RATE, RATE);
        assert!(
            f64::from(u32::try_from(begun).unwrap()) <= may + 0.5,
            "{begun} after {:?}",
            begin.elapsed()
        );
        let [(_, _, wait)] = claim.held_back[..] else {
            panic!("{claim:?}")
        };
        assert!(!wait.is_zero() && wait <= Duration::from_millis(60), "{wait:?}");
        was_held = true;
        tokio::time::sleep(wait).await;
    }
    assert!(was_held);
    assert!(begun < 60);
}

pub(crate) async fn limits_are_set_shown_and_removed(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    assert_eq!(hive.broker.groups().await.unwrap(), []);
    let limits = GroupLimits {
        concurrency: Some(1),
        rate: Some(100.5),
    };
    hive.broker.limit_group("g", Some(limits)).await.unwrap();
    submit(&hive, "A", 4).await;
    assert_eq!(hive.claim_wants(session, &[want("A", 9)], 9).await.leases.len(), 1);
    let groups = hive.broker.groups().await.unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(
        (groups[0].name.as_str(), groups[0].limits, groups[0].running),
        ("g", limits, 1)
    );
    hive.broker.limit_group("g", concurrency(2)).await.unwrap();
    assert_eq!(hive.claim_wants(session, &[want("A", 9)], 9).await.leases.len(), 1);
    hive.broker.limit_group("g", None).await.unwrap();
    let groups = hive.broker.groups().await.unwrap();
    assert_eq!((groups[0].limits, groups[0].running), (GroupLimits::default(), 2));
    assert_eq!(hive.claim_wants(session, &[want("A", 9)], 9).await.leases.len(), 2);
    hive.broker.leave(session).await.unwrap();
    assert_eq!(hive.broker.groups().await.unwrap(), []);
}
