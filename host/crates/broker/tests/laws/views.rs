//! Looking at all of it.

use venom_broker::{Note, State};
use venom_protocol::TaskId;

use crate::client::{Hive, after, completed, delayed, failed, ms, retry, task};
use crate::maker::Maker;

/// Counts are what a recount gives; nothing has been forgotten or put back.
pub(crate) async fn assert_recount(hive: &Hive) {
    let counts = hive.counts().await;
    let mut pending = [0; 11];
    for task in hive.list(State::Pending).await {
        pending[usize::from(task.priority.level())] += 1;
    }
    assert_eq!(counts.pending, pending);
    let mut found = Vec::new();
    for state in [State::Delayed, State::Blocked, State::Running, State::Failed] {
        found.push(u64::try_from(hive.list(state).await.len()).unwrap());
    }
    assert_eq!([counts.delayed, counts.blocked, counts.running, counts.dead][..], found);
}

pub(crate) async fn states_are_listed_in_their_order(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let listed = async |state: State| -> Vec<TaskId> {
        let tasks = hive.list(state).await;
        assert!(tasks.iter().all(|task| task.state == state));
        tasks.into_iter().map(|task| task.id).collect()
    };
    let waiting = hive.submit_some(6).await;
    assert_eq!(listed(State::Pending).await, waiting);
    let due = hive.submit(&[delayed(ms(70_000)), delayed(ms(60_000))]).await;
    let mut found = listed(State::Delayed).await;
    found.sort();
    assert_eq!(found, due);
    let children = hive.submit(&[after(&waiting[5..]), after(&waiting[5..])]).await;
    let mut found = listed(State::Blocked).await;
    found.sort();
    assert_eq!(found, children);
    for (lease, kind) in
        hive.claim(session, 4)
            .await
            .iter()
            .zip([completed("1"), completed("2"), failed("3"), failed("4")])
    {
        hive.end(session, lease, kind).await;
        tokio::time::sleep(ms(3)).await;
    }
    assert_eq!(
        listed(State::Completed).await,
        [waiting[1], waiting[0]],
        "the latest first"
    );
    assert_eq!(listed(State::Failed).await, [waiting[3], waiting[2]]);
    let latest = hive.broker.list(State::Failed, 1).await.unwrap();
    assert_eq!(latest[0].id, waiting[3]);
    hive.cancel(waiting[4]).await;
    assert_eq!(listed(State::Cancelled).await, [waiting[4]]);
    let lease = hive.claim_one(session).await;
    assert_eq!(listed(State::Running).await, [lease.id]);
    assert_eq!(hive.broker.list(State::Pending, 0).await.unwrap(), []);
}

pub(crate) async fn a_broker_says_who_it_is(make: &Maker) {
    let hive = make.hive_with(|settings| settings.max_waiting = 77).await;
    assert!(["sqlite", "redis"].contains(&hive.broker.kind()));
    assert!(
        hive.broker.place().starts_with(hive.broker.kind()),
        "{}",
        hive.broker.place()
    );
    assert_eq!(hive.broker.settings().max_waiting, 77);
    assert_eq!(hive.broker.check().await, Ok(()));
}

pub(crate) async fn counts_follow_every_move(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let tasks = hive.submit_some(8).await;
    hive.submit(&[delayed(ms(60_000)), after(&tasks[..1]), after(&tasks[1..2])])
        .await;
    assert_recount(&hive).await;
    let leases = hive.claim(session, 5).await;
    assert_recount(&hive).await;
    for (lease, kind) in leases
        .iter()
        .zip([completed("1"), failed("2"), retry(ms(0)), retry(ms(60_000))])
    {
        hive.end(session, lease, kind).await;
        assert_recount(&hive).await;
    }
    hive.cancel(tasks[7]).await;
    hive.requeue(tasks[1]).await;
    assert_recount(&hive).await;
    insist_leave(&hive, session).await;
    assert_recount(&hive).await;
    let counts = hive.counts().await;
    assert_eq!((counts.completed, counts.failed, counts.cancelled), (1, 2, 1));
    assert_eq!(
        (counts.running, counts.delayed, counts.blocked, counts.dead),
        (0, 2, 0, 1)
    );
    assert_eq!(counts.pending[5], 6);
}

async fn insist_leave(hive: &Hive, session: venom_protocol::SessionId) {
    crate::client::insist(|| hive.broker.leave(session)).await.0.unwrap();
}

pub(crate) async fn everything_is_there_for_the_next_process(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let tasks = hive.submit_some(6).await;
    let child = hive.submit(&[after(&tasks[1..2]), delayed(ms(60_000))]).await[0];
    let done = hive.complete_one(session).await;
    let held = hive.claim_one(session).await;
    let wished = hive.claim_one(session).await;
    hive.cancel(wished.id).await;
    hive.cancel(tasks[5]).await;
    let before = (hive.counts().await, hive.tasks(&tasks).await);
    drop(hive);
    let hive = make.hive().await;
    assert_eq!((hive.counts().await, hive.tasks(&tasks).await), before);
    assert_eq!(hive.state(done).await, State::Completed);
    // The same session may go on when nobody gave it up.
    let renewal = hive.renew_with(session, Note::default()).await;
    assert_eq!((renewal.fresh, renewal.cancels), (false, vec![wished.id]));
    hive.end(session, &held, completed("7")).await;
    assert_eq!(hive.state(child).await, State::Pending);
    let leases = hive.claim(session, 9).await;
    let ids: Vec<TaskId> = leases.iter().map(|lease| lease.id).collect();
    assert_eq!(ids, [tasks[3], tasks[4], child]);
    assert_eq!(leases[2].inputs, [(held.id, "7".to_owned())]);
    hive.submit(&[task()]).await;
    assert_recount(&hive).await;
}
