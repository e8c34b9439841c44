//! Cancelling and putting back.

use venom_broker::{Cancelled, EndingKind, Outcome, Recorded, State};
use venom_protocol::TaskId;

use crate::client::{after, completed, delayed, failed, ms, retry, task};
use crate::maker::Maker;

pub(crate) async fn what_has_not_begun_is_cancelled_at_once(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let parent = hive.submit_some(1).await[0];
    hive.claim_one(session).await;
    let waiting = hive.submit(&[task(), delayed(ms(50)), after(&[parent])]).await;
    for id in &waiting {
        assert_eq!(hive.cancel(*id).await, Cancelled::Now(vec![]));
        let stored = hive.task(*id).await;
        assert_eq!((stored.state, stored.due_at), (State::Cancelled, None));
        assert!(stored.ended_at.is_some() && matches!(stored.outcome, Some(Outcome::Cancelled(_))));
    }
    let counts = hive.counts().await;
    assert_eq!((counts.cancelled, counts.waiting(), counts.dead), (3, 0, 0));
    tokio::time::sleep(ms(80)).await;
    assert_eq!(hive.tend().await.promoted, 0);
    assert_eq!(hive.claim(session, 9).await, []);
}

pub(crate) async fn a_running_task_is_asked_for(make: &Maker) {
    let hive = make.hive().await;
    let (session, other) = (hive.session().await, hive.session().await);
    let id = hive.submit_some(2).await[0];
    let lease = hive.claim(session, 2).await.remove(0);
    assert_eq!(hive.renew(session).await.cancels, []);
    assert_eq!(hive.cancel(id).await, Cancelled::Asked);
    assert_eq!(hive.cancel(id).await, Cancelled::Asked);
    assert_eq!(hive.state(id).await, State::Running);
    assert_eq!(hive.renew(session).await.cancels, [id]);
    assert_eq!(hive.renew(session).await.cancels, [id], "until it ends");
    assert_eq!(hive.renew(other).await.cancels, []);
    let reason = "as somebody wished".to_owned();
    let recorded = hive
        .end(session, &lease, EndingKind::Cancelled { reason: reason.clone() })
        .await;
    assert_eq!(recorded, Recorded::Written(State::Cancelled));
    assert_eq!(hive.task(id).await.outcome, Some(Outcome::Cancelled(reason)));
    assert_eq!(hive.renew(session).await.cancels, []);
}

pub(crate) async fn a_cancelled_run_does_not_come_back(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    for kind in [retry(ms(0)), retry(ms(50)), EndingKind::Returned] {
        let id = hive.submit_some(1).await[0];
        let lease = hive.claim_one(session).await;
        assert_eq!(hive.cancel(id).await, Cancelled::Asked);
        hive.end(session, &lease, kind).await;
        let stored = hive.task(id).await;
        assert_eq!((stored.state, stored.fence), (State::Cancelled, lease.fence));
        assert!(matches!(stored.outcome, Some(Outcome::Cancelled(_))));
    }
    assert_eq!(hive.claim(session, 9).await, []);
    assert_eq!(hive.counts().await.cancelled, 3);
}

pub(crate) async fn a_wish_to_cancel_outlives_the_session(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(600)).await;
    let session = hive.session().await;
    let root = task();
    let child = after(&[root.id]);
    hive.submit(&[root.clone(), child.clone()]).await;
    hive.claim_one(session).await;
    assert_eq!(hive.cancel(root.id).await, Cancelled::Asked);
    hive.until(root.id, State::Cancelled).await;
    assert_eq!(hive.state(child.id).await, State::Failed);
    let counts = hive.counts().await;
    assert_eq!((counts.cancelled, counts.failed, counts.running), (1, 1, 0));
}

pub(crate) async fn a_task_that_completes_although_cancelled_is_completed(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    for (kind, state) in [(completed("1"), State::Completed), (failed("no"), State::Failed)] {
        let id = hive.submit_some(1).await[0];
        let lease = hive.claim_one(session).await;
        hive.cancel(id).await;
        assert_eq!(hive.end(session, &lease, kind).await, Recorded::Written(state));
        assert_eq!(hive.state(id).await, state);
    }
}

pub(crate) async fn what_ended_or_is_unknown_is_not_cancelled(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    hive.complete_one(session).await;
    assert_eq!(hive.cancel(id).await, Cancelled::Ended(State::Completed));
    let id = hive.submit_some(1).await[0];
    hive.cancel(id).await;
    assert_eq!(hive.cancel(id).await, Cancelled::Ended(State::Cancelled));
    assert_eq!(hive.cancel(TaskId::next()).await, Cancelled::Unknown);
    assert_eq!(hive.counts().await.cancelled, 1);
}

pub(crate) async fn a_requeued_task_is_as_new(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    let first = hive.claim_one(session).await;
    hive.end(session, &first, failed("no")).await;
    assert!(hive.requeue(id).await);
    let stored = hive.task(id).await;
    assert_eq!((stored.state, stored.attempt, stored.losses), (State::Pending, 0, 0));
    assert_eq!((stored.ended_at, stored.outcome), (None, None));
    let counts = hive.counts().await;
    assert_eq!((counts.dead, counts.failed, counts.waiting()), (0, 1, 1));
    let second = hive.claim_one(session).await;
    assert_eq!((second.id, second.attempt), (id, 1));
    assert!(second.fence > first.fence);
    hive.cancel(id).await;
    hive.end(session, &second, EndingKind::Returned).await;
    assert!(hive.requeue(id).await, "a cancelled one too");
    let third = hive.claim_one(session).await;
    assert_eq!(hive.renew(session).await.cancels, [], "the wish was for the run before");
    assert_eq!(
        hive.end(session, &third, completed("1")).await,
        Recorded::Written(State::Completed)
    );
    let counts = hive.counts().await;
    assert_eq!(
        (counts.completed, counts.failed, counts.cancelled, counts.dead),
        (1, 1, 1, 0)
    );
}

pub(crate) async fn only_what_failed_or_was_cancelled_is_requeued(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    assert!(!hive.requeue(TaskId::next()).await);
    let waiting = hive.submit(&[task(), delayed(ms(60_000))]).await;
    for id in waiting {
        assert!(!hive.requeue(id).await);
    }
    let lease = hive.claim_one(session).await;
    assert!(!hive.requeue(lease.id).await);
    hive.end(session, &lease, completed("1")).await;
    assert!(!hive.requeue(lease.id).await);
    assert_eq!(hive.counts().await.waiting(), 1);
}
