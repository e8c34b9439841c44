//! Keys that somebody else wrote to: what cannot be read is put aside and counted, and the rest goes on.

use venom_broker::{Broker, BrokerError, NewTask, Recorded, State};

use crate::hive::{begun, broker, completed, ids, leased, task, wants};
use crate::redis_server::RedisServer;

fn key(task: &NewTask) -> String {
    format!("{{venom}}:t:{}", task.id)
}

#[tokio::test]
async fn a_record_that_is_none_is_skipped_by_a_claim() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let session = begun(&broker).await;
    let tasks: Vec<NewTask> = (0..6).map(|_| task()).collect();
    broker.submit(tasks.clone()).await.unwrap();
    server.command(&["SET", &key(&tasks[0]), "nonsense"]);
    server.command(&["SET", &key(&tasks[1]), "P|5 6 2 9 0 0 99|EchoSkill{}"]);
    server.command(&["DEL", &key(&tasks[2])]);
    server.commands(&[&["DEL", &key(&tasks[3])], &["LPUSH", &key(&tasks[3]), "x"]]);
    server.command(&["LPUSH", "{venom}:venom:tasks:background:EchoSkill:2", "no id at all"]);
    let claim = broker.claim(session, wants(9), 9).await.unwrap();
    assert_eq!(leased(&claim), ids(&tasks)[4..]);
    let counts = broker.counts().await.unwrap();
    assert_eq!((counts.waiting(), counts.running), (0, 2));
    assert_eq!(broker.tend().await.unwrap().corrupt, 3);
    assert_eq!(broker.tend().await.unwrap().corrupt, 0);
    let kept = server.command(&["LRANGE", "{venom}:corrupt", "0", "-1"]);
    assert!(
        kept.contains("nonsense") && kept.contains(&tasks[3].id.to_string()),
        "{kept}"
    );
    for number in [0, 1, 3] {
        let error = broker.tasks(vec![tasks[number].id]).await.unwrap_err();
        assert!(matches!(error, BrokerError::Corrupt { .. }), "{error}");
    }
    let found = broker.tasks(ids(&tasks)).await.unwrap();
    assert_eq!(
        found.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, false, false, false, true, true]
    );
    assert!(matches!(
        broker.cancel(tasks[0].id).await,
        Err(BrokerError::Corrupt { .. })
    ));
    assert!(matches!(
        broker.requeue(tasks[3].id).await,
        Err(BrokerError::Corrupt { .. })
    ));
}

#[tokio::test]
async fn a_running_record_that_is_none_does_not_hold_up_the_others() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let session = begun(&broker).await;
    let tasks = vec![task(), task(), task()];
    broker.submit(tasks.clone()).await.unwrap();
    broker.claim(session, wants(3), 3).await.unwrap();
    server.command(&["SET", &key(&tasks[1]), "nonsense"]);
    let endings = tasks.iter().map(|task| completed(task.id, 1)).collect();
    let settled = broker.finish(session, endings).await.unwrap();
    let written = Recorded::Written(State::Completed);
    assert_eq!(settled.recorded, [written, Recorded::Stale, written]);
    let counts = broker.counts().await.unwrap();
    assert_eq!((counts.completed, counts.running), (2, 0));
    assert_eq!(broker.tend().await.unwrap().corrupt, 1);
}

#[tokio::test]
async fn keys_of_the_wrong_type_are_put_aside_and_made_anew() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let session = begun(&broker).await;
    for name in [
        "n",
        "ready",
        "due",
        "blocked",
        "done",
        "dead",
        "gone",
        "settle",
        "sessions",
        "lost",
        "grouprun",
        "venom:tasks:background:EchoSkill:2",
    ] {
        let whole = format!("{{venom}}:{name}");
        server.commands(&[&["DEL", &whole], &["SET", &whole, "x"]]);
        let first = task();
        let mut second = task();
        second.depends_on = vec![first.id];
        broker.submit(vec![first.clone(), second.clone()]).await.unwrap();
        broker.tend().await.unwrap();
        broker.renew(session, venom_broker::Note::default()).await.unwrap();
        let claim = broker.claim(session, wants(9), 9).await.unwrap();
        assert!(leased(&claim).contains(&first.id), "{name}");
        let endings = claim
            .leases
            .iter()
            .map(|lease| completed(lease.id, lease.fence))
            .collect();
        let settled = broker.finish(session, endings).await.unwrap();
        assert!(
            settled.recorded.contains(&Recorded::Written(State::Completed)),
            "{name}"
        );
        assert_eq!(settled.dependents.len(), 1, "{name}");
        broker.cancel(second.id).await.unwrap();
        broker.tend().await.unwrap();
        broker.counts().await.unwrap();
    }
    let aside = server.command(&["KEYS", "{venom}:aside:*"]);
    assert!(aside.starts_with("*12\r\n"), "{aside}");
}

#[tokio::test]
async fn documents_outlive_what_others_write_to_their_keys() {
    let server = RedisServer::new();
    let broker = broker(&server);
    assert!(broker.put_record("d", b"one".to_vec(), 0).await.unwrap());
    let first = broker.record("d").await.unwrap().unwrap();
    server.commands(&[&["DEL", "{venom}:versions"], &["LPUSH", "{venom}:versions", "x"]]);
    assert!(broker.put_record("d", b"two".to_vec(), first.version).await.unwrap());
    let second = broker.record("d").await.unwrap().unwrap();
    assert!(second.version > first.version, "{} {}", second.version, first.version);
    server.command(&["SET", "{venom}:versions", "nonsense"]);
    assert!(broker.put_record("d", b"three".to_vec(), second.version).await.unwrap());
    assert!(broker.record("d").await.unwrap().unwrap().version > second.version);

    server.command(&["HSET", "{venom}:r:d", "v", "nonsense"]);
    let error = broker.record("d").await.unwrap_err();
    assert!(
        matches!(&error, BrokerError::Corrupt { what, .. } if what == "record `d`"),
        "{error}"
    );
    server.command(&["LPUSH", "{venom}:r:e", "x"]);
    assert!(broker.record("e").await.is_err());
    assert!(
        broker.put_record("e", b"anew".to_vec(), 0).await.unwrap(),
        "what was there is put aside"
    );
    assert_eq!(broker.record("e").await.unwrap().unwrap().bytes, b"anew");
}
