//! What can only be seen from within: rounds of the writer, and a disk that is full.

use std::sync::mpsc;

use rusqlite::Connection;
use tempfile::TempDir;
use venom_protocol::Requirements;

use super::*;

fn open() -> (TempDir, SqliteBroker) {
    let dir = tempfile::tempdir().unwrap();
    let broker = SqliteBroker::open(&dir.path().join("hive.db"), Durability::Process, Settings::default());
    (dir, broker.unwrap())
}

fn task(body: &str) -> NewTask {
    NewTask {
        id: TaskId::next(),
        lane: venom_protocol::Lane::of("EchoSkill", &Requirements::default(), None),
        priority: venom_protocol::Priority::BACKGROUND,
        delay: Duration::ZERO,
        idempotency: None,
        depends_on: Vec::new(),
        body: body.to_owned(),
    }
}

async fn limit_pages(broker: &SqliteBroker, pages: u32) {
    let limit = move |conn: &Connection| conn.pragma_update(None, "max_page_count", pages);
    broker.writer.ask(1, move |txn| Ok(limit(txn.conn)?)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_and_everything_goes_on_when_it_has_room() {
    let (_dir, broker) = open();
    let first = task("{}");
    broker.submit(vec![first.clone()]).await.unwrap();
    limit_pages(&broker, 1).await;
    let large: Vec<NewTask> = (0..50).map(|_| task(&"x".repeat(10_000))).collect();
    for _ in 0..3 {
        let error = broker.submit(large.clone()).await.unwrap_err();
        assert!(matches!(error, BrokerError::OutOfSpace { .. }), "{error:?}");
        assert!(
            error.is_retryable() && error.to_string().contains("free space"),
            "{error}"
        );
        assert_eq!(broker.counts().await.unwrap().waiting(), 1);
    }
    let session = SessionId::random();
    broker
        .renew(session, Note::default())
        .await
        .expect("what needs no room goes on");
    limit_pages(&broker, 1_000_000).await;
    broker.submit(large.clone()).await.unwrap();
    assert_eq!(broker.counts().await.unwrap().waiting(), 51);
    assert_eq!(broker.list(State::Pending, 100).await.unwrap().len(), 51);
    let want = Want {
        lane: first.lane,
        priority: first.priority,
        most: 100,
    };
    assert_eq!(broker.claim(session, vec![want], 100).await.unwrap().leases.len(), 51);
}

#[tokio::test]
async fn one_that_cannot_be_stored_does_not_undo_the_others_of_its_round() {
    let (_dir, broker) = open();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    // While this one is at work the others gather behind it.
    let busy = broker.writer.ask(1, move |_| {
        let _dropped = wait.lock().unwrap().recv();
        Ok(())
    });
    let wrong = broker.writer.ask(1, |txn| {
        Ok(txn.conn.execute("INSERT INTO totals VALUES (NULL, 1, 1)", [])?)
    });
    let (one, other) = (task("1"), task("2"));
    let others = async { tokio::join!(broker.submit(vec![one]), wrong, broker.submit(vec![other])) };
    let release = async {
        // All have been asked by now: polled in this order, on one thread.
        drop(go);
    };
    let (busy, (first, failed, last), ()) = tokio::join!(busy, others, release);
    busy.unwrap();
    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    assert!(matches!(failed, Err(BrokerError::Unavailable { .. })), "{failed:?}");
    assert_eq!(broker.counts().await.unwrap().waiting(), 2);
    assert_eq!(broker.list(State::Pending, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_was_asked_is_written_before_it_ends() {
    let (dir, broker) = open();
    let broker = Arc::new(broker);
    let last = task("{}");
    let id = last.id;
    {
        let submit = broker.submit(vec![last]);
        tokio::pin!(submit);
        // Asked, and then given up.
        let _answer = futures_util::poll!(submit.as_mut());
    }
    drop(broker);
    let broker = SqliteBroker::open(&dir.path().join("hive.db"), Durability::Process, Settings::default()).unwrap();
    assert!(broker.tasks(vec![id]).await.unwrap()[0].is_some());
}
