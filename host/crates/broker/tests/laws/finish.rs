//! Ends of leases.

use venom_broker::{Ending, EndingKind, Note, Outcome, Recorded, State};
use venom_protocol::{ErrorCode, NodeId};

use crate::client::{completed, ending, failed, ids, ms, retry};
use crate::maker::Maker;

pub(crate) async fn a_result_is_kept(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    let lease = hive.claim_one(session).await;
    let node = NodeId::random();
    let result = format!("{{\"text\":\"ä{}\"}}", "x".repeat(10_000));
    let told = Ending {
        node: Some(node),
        ..ending(&lease, completed(&result))
    };
    let settled = hive.finish(session, &[told]).await;
    assert_eq!(settled.recorded, [Recorded::Written(State::Completed)]);
    let stored = hive.task(id).await;
    assert_eq!(
        (stored.state, stored.node, stored.session),
        (State::Completed, Some(node), None)
    );
    assert_eq!(stored.outcome, Some(Outcome::Completed(result)));
    assert!(stored.ended_at >= stored.started_at && stored.ended_at.is_some());
    let counts = hive.counts().await;
    assert_eq!(
        (counts.completed, counts.running, counts.waiting(), counts.dead),
        (1, 0, 0, 0)
    );
}

pub(crate) async fn a_failed_task_is_a_dead_letter(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    let lease = hive.claim_one(session).await;
    let recorded = hive.end(session, &lease, failed("it broke")).await;
    assert_eq!(recorded, Recorded::Written(State::Failed));
    let dead = hive.list(State::Failed).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].id, id);
    assert_eq!(
        dead[0].outcome,
        Some(Outcome::Failed(ErrorCode::Trapped, "it broke".to_owned()))
    );
    let counts = hive.counts().await;
    assert_eq!(
        (counts.failed, counts.dead, counts.running, counts.completed),
        (1, 1, 0, 0)
    );
}

pub(crate) async fn an_old_fence_changes_nothing(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    let first = hive.claim_one(session).await;
    hive.end(session, &first, EndingKind::Returned).await;
    let second = hive.claim_one(session).await;
    assert!(second.fence > first.fence);
    for kind in [completed("1"), failed("no"), retry(ms(0)), EndingKind::Returned] {
        assert_eq!(hive.end(session, &first, kind).await, Recorded::Stale);
        let stored = hive.task(id).await;
        assert_eq!((stored.state, stored.fence), (State::Running, second.fence));
    }
    assert_eq!(
        hive.end(session, &second, completed("2")).await,
        Recorded::Written(State::Completed)
    );
    assert_eq!(hive.end(session, &first, failed("no")).await, Recorded::Stale);
    assert_eq!(hive.task(id).await.outcome, Some(Outcome::Completed("2".to_owned())));
    assert_eq!(hive.counts().await.completed, 1);
}

pub(crate) async fn another_session_cannot_end_a_lease(make: &Maker) {
    let hive = make.hive().await;
    let (session, other) = (hive.session().await, hive.session().await);
    let id = hive.submit_some(1).await[0];
    let lease = hive.claim_one(session).await;
    assert_eq!(hive.end(other, &lease, completed("1")).await, Recorded::Stale);
    assert_eq!(hive.state(id).await, State::Running);
    let recorded = hive.end(session, &lease, completed("1")).await;
    assert_eq!(recorded, Recorded::Written(State::Completed));
}

pub(crate) async fn an_ending_told_twice_is_stale(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    hive.submit_some(1).await;
    let lease = hive.claim_one(session).await;
    let told = ending(&lease, completed("1"));
    let settled = hive.finish(session, &[told.clone(), told.clone()]).await;
    assert_eq!(settled.recorded, [Recorded::Written(State::Completed), Recorded::Stale]);
    assert_eq!(hive.finish(session, &[told]).await.recorded, [Recorded::Stale]);
    assert_eq!(hive.counts().await.completed, 1);
}

pub(crate) async fn one_stale_ending_does_not_hold_up_others(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    hive.submit_some(3).await;
    let leases = hive.claim(session, 3).await;
    let mut endings: Vec<Ending> = leases.iter().map(|lease| ending(lease, completed("1"))).collect();
    endings[1].fence += 1;
    let settled = hive.finish(session, &endings).await;
    let written = Recorded::Written(State::Completed);
    assert_eq!(settled.recorded, [written, Recorded::Stale, written]);
    assert_eq!(hive.state(leases[1].id).await, State::Running);
}

pub(crate) async fn a_retry_goes_before_newer_work(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let first = hive.submit_some(1).await[0];
    let lease = hive.claim_one(session).await;
    let newer = hive.submit_some(2).await;
    assert_eq!(
        hive.end(session, &lease, retry(ms(0))).await,
        Recorded::Written(State::Pending)
    );
    let stored = hive.task(first).await;
    assert_eq!(
        (stored.state, stored.attempt, stored.session),
        (State::Pending, 1, None)
    );
    assert_eq!(
        stored.outcome,
        Some(Outcome::Failed(ErrorCode::TimedOut, "took too long".to_owned()))
    );
    let leases = hive.claim(session, 3).await;
    assert_eq!(ids(&leases), [first, newer[0], newer[1]]);
    assert_eq!((leases[0].attempt, leases[0].losses), (2, 0));
    assert!(leases[0].fence > lease.fence);
    assert_eq!(hive.counts().await.failed, 0);
}

pub(crate) async fn a_retry_with_a_delay_waits(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    let lease = hive.claim_one(session).await;
    assert_eq!(
        hive.end(session, &lease, retry(ms(400))).await,
        Recorded::Written(State::Delayed)
    );
    let stored = hive.task(id).await;
    assert_eq!(stored.state, State::Delayed);
    assert!(stored.due_at.is_some_and(|due| due >= stored.created_at + 400));
    assert_eq!(hive.counts().await.delayed, 1);
    assert_eq!(hive.claim(session, 1).await, []);
    hive.until(id, State::Pending).await;
    let again = hive.claim_one(session).await;
    assert_eq!((again.id, again.attempt), (id, 2));
    assert_eq!(hive.task(id).await.due_at, None);
}

pub(crate) async fn a_returned_lease_goes_to_the_front_and_does_not_count(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let submitted = hive.submit_some(3).await;
    let lease = hive.claim_one(session).await;
    let recorded = hive.end(session, &lease, EndingKind::Returned).await;
    assert_eq!(recorded, Recorded::Written(State::Pending));
    let stored = hive.task(submitted[0]).await;
    assert_eq!((stored.attempt, stored.outcome), (0, None));
    let leases = hive.claim(session, 3).await;
    assert_eq!(ids(&leases), submitted);
    assert_eq!(leases[0].attempt, 1);
    assert!(leases[0].fence > lease.fence);
}

pub(crate) async fn a_lost_node_is_counted(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    for losses in 0..3 {
        let lease = hive.claim_one(session).await;
        assert_eq!((lease.losses, lease.attempt), (losses, losses + 1));
        let lost = EndingKind::Retry {
            delay: ms(0),
            code: ErrorCode::NodeLost,
            error: "it went away".to_owned(),
            lost_node: true,
        };
        hive.end(session, &lease, lost).await;
    }
    assert_eq!(hive.task(id).await.losses, 3);
}

pub(crate) async fn the_next_lease_says_where_the_last_run_was(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    let (one, two) = (NodeId::random(), NodeId::random());
    let lease = hive.claim_one(session).await;
    let stale = (id, lease.fence + 1, two);
    let note = Note {
        assigned: vec![(id, lease.fence, one), stale],
        ..Note::default()
    };
    hive.renew_with(session, note).await;
    assert_eq!(hive.task(id).await.node, Some(one));
    hive.end(session, &lease, retry(ms(0))).await;
    let lease = hive.claim_one(session).await;
    assert_eq!(lease.last_node, Some(one));
    let told = Ending {
        node: Some(two),
        ..ending(&lease, retry(ms(0)))
    };
    hive.finish(session, &[told]).await;
    assert_eq!(hive.claim_one(session).await.last_node, Some(two));
}
