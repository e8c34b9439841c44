//! What time brings.

use venom_broker::State;

use crate::client::{delayed, eventually, ids, ms, task};
use crate::maker::Maker;

pub(crate) async fn a_delayed_task_waits_for_its_time(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let tasks = hive
        .submit(&[delayed(ms(900)), delayed(ms(60_000)), delayed(ms(400))])
        .await;
    let stored = hive.task(tasks[0]).await;
    assert_eq!(
        (stored.state, stored.due_at),
        (State::Delayed, Some(stored.created_at + 900))
    );
    let tended = hive.tend().await;
    assert_eq!(tended.promoted, 0);
    assert!(tended.next_due.is_some_and(|due| due <= ms(400)), "{tended:?}");
    assert_eq!(hive.claim(session, 9).await, []);
    let mut promoted = 0;
    eventually("the first is due", async || {
        promoted += hive.tend().await.promoted;
        hive.state(tasks[2]).await == State::Pending
    })
    .await;
    assert_eq!(hive.claim_one(session).await.id, tasks[2]);
    eventually("the second is due", async || {
        let tended = hive.tend().await;
        promoted += tended.promoted;
        tended.next_due.is_some_and(|due| due > ms(1_000)) && promoted == 2
    })
    .await;
    assert_eq!(ids(&hive.claim(session, 9).await), [tasks[0]]);
    assert_eq!(hive.counts().await.delayed, 1);
    assert_eq!(hive.state(tasks[1]).await, State::Delayed);
}

pub(crate) async fn ended_tasks_are_kept_and_then_forgotten(make: &Maker) {
    let hive = make.hive_with(|settings| settings.result_ttl = ms(200)).await;
    let session = hive.session().await;
    hive.submit_some(1).await;
    let completed = hive.complete_one(session).await;
    hive.broker
        .append_progress(session, vec![(completed, "1".to_owned())])
        .await
        .unwrap();
    let cancelled = hive.submit_some(1).await[0];
    hive.cancel(cancelled).await;
    hive.submit_some(1).await;
    let lease = hive.claim_one(session).await;
    hive.end(session, &lease, crate::client::failed("no")).await;
    assert_eq!(hive.counts().await.dead, 1);
    eventually("they are forgotten", async || {
        hive.tend().await;
        hive.tasks(&[completed, cancelled, lease.id]).await == [None, None, None]
    })
    .await;
    assert_eq!(hive.broker.progress(completed, 0, 9).await.unwrap(), []);
    for state in [State::Completed, State::Failed, State::Cancelled] {
        assert_eq!(hive.list(state).await, []);
    }
    let counts = hive.counts().await;
    assert_eq!(
        (counts.completed, counts.failed, counts.cancelled, counts.dead),
        (1, 1, 1, 0)
    );
    let gone = crate::client::after(&[completed]);
    assert!(hive.try_submit(&[gone]).await.is_err());
}

pub(crate) async fn what_has_not_ended_is_not_forgotten(make: &Maker) {
    let hive = make.hive_with(|settings| settings.result_ttl = ms(50)).await;
    let session = hive.session().await;
    let running = hive.submit_some(1).await[0];
    hive.claim_one(session).await;
    let first = task();
    let waiting = hive
        .submit(&[first.clone(), delayed(ms(60_000)), crate::client::after(&[first.id])])
        .await;
    let ended = hive.submit_some(1).await[0];
    hive.cancel(ended).await;
    eventually("an ended one is forgotten", async || {
        hive.tend().await;
        hive.tasks(&[ended]).await == [None]
    })
    .await;
    hive.tend().await;
    assert_eq!(hive.state(running).await, State::Running);
    let states = [State::Pending, State::Delayed, State::Blocked];
    for (id, state) in waiting.iter().zip(states) {
        assert_eq!(hive.state(*id).await, state);
    }
}
