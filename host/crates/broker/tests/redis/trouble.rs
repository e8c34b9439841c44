//! What may happen to a server, or to the way there, and that work goes on by itself afterwards.

use std::sync::Arc;
use std::time::Duration;

use venom_broker::redis::{RedisBroker, RedisSettings};
use venom_broker::{Broker, BrokerError, Ending, Hint, NewTask, Note, Recorded, Settings, State};
use venom_protocol::{SessionId, TaskId};

use crate::hive::{begun, broker, completed, heard, ids, leased, open, task, until_done, until_refused, wants};
use crate::redis_server::RedisServer;

/// A whole round of work.
async fn works(broker: &impl Broker) {
    let session = SessionId::random();
    until_done(|| broker.renew(session, Note::default())).await;
    let task = task();
    until_done(|| broker.submit(vec![task.clone()])).await;
    let claim = broker.claim(session, wants(1), 1).await.unwrap();
    assert_eq!(leased(&claim), [task.id]);
    let settled = broker.finish(session, vec![completed(task.id, 1)]).await.unwrap();
    assert_eq!(settled.recorded, [Recorded::Written(State::Completed)]);
    assert_eq!(broker.list(State::Completed, 1).await.unwrap()[0].id, task.id);
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_waited_for() {
    let mut server = RedisServer::stopped(&[]);
    let broker = broker(&server);
    let error = broker.check().await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("start Redis"), "{error}");
    server.start();
    works(&broker).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_works_once_it_is_right() {
    let server = RedisServer::with(&["--requirepass", "right"]);
    for password in [None, Some("wrong-one".to_owned())] {
        let broker = open(RedisSettings {
            password: password.clone(),
            ..RedisSettings::new(server.url())
        });
        let error = until_refused(|| broker.check()).await;
        assert!(matches!(error, BrokerError::Refused { .. }), "{error}");
        assert!(
            error.to_string().contains("password") && !error.to_string().contains("wrong-one"),
            "{error}"
        );
        let new = password.clone().unwrap_or_default();
        let login = ["AUTH", "right"];
        server.commands(&[&login, &["CONFIG", "SET", "requirepass", &new]]);
        works(&broker).await;
        // and back, which does not end connections that are there
        let set: &[&str] = &["CONFIG", "SET", "requirepass", "right"];
        server.commands(&[&["AUTH", &new], set]);
        server.commands(&[set]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_the_server_is_killed_in_the_middle() {
    let mut server = RedisServer::durable();
    let broker = Arc::new(broker(&server));
    let writing = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move {
            let mut taken: Vec<TaskId> = Vec::new();
            for _ in 0..60 {
                let batch: Vec<NewTask> = (0..20).map(|_| task()).collect();
                until_done(|| broker.submit(batch.clone())).await;
                taken.extend(ids(&batch));
            }
            taken
        }
    });
    for _ in 0..3 {
        until_done(|| async { broker.counts().await }).await;
        server.kill();
        server.start();
    }
    let taken = writing.await.unwrap();
    let session = SessionId::random();
    until_done(|| broker.renew(session, Note::default())).await;
    let mut done: Vec<TaskId> = Vec::new();
    while done.len() < taken.len() {
        let claim = broker.claim(session, wants(100), 100).await.unwrap();
        assert!(!claim.leases.is_empty(), "{} of {} are there", done.len(), taken.len());
        done.extend(leased(&claim));
    }
    assert_eq!(done, taken, "each once and in order");
    let endings: Vec<Ending> = done.iter().map(|id| completed(*id, 1)).collect();
    server.kill();
    let error = until_refused(|| broker.finish(session, endings.clone())).await;
    assert!(matches!(error, BrokerError::Unavailable { .. }), "{error}");
    server.start();
    let settled = until_done(|| broker.finish(session, endings.clone())).await;
    assert_eq!(settled.recorded, vec![Recorded::Written(State::Completed); taken.len()]);
    let counts = broker.counts().await.unwrap();
    assert_eq!((counts.completed, counts.running, counts.waiting()), (1_200, 0, 0));
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time() {
    let server = RedisServer::new();
    let broker = open(RedisSettings {
        answer_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_millis(300),
        ..RedisSettings::new(server.url())
    });
    works(&broker).await;
    server.freeze();
    let error = broker.submit(vec![task()]).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 0.3 s"), "{error}");
    let error = until_refused(|| broker.check()).await;
    assert!(matches!(error, BrokerError::Unavailable { .. }), "{error}");
    server.thaw();
    until_done(|| broker.check()).await;
}

#[tokio::test]
async fn a_full_server_takes_no_more_work_and_lets_work_end() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let session = begun(&broker).await;
    let tasks = vec![task(), task(), task()];
    broker.submit(tasks.clone()).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = broker.submit(vec![task()]).await.unwrap_err();
    assert!(matches!(error, BrokerError::OutOfSpace { .. }), "{error}");
    assert!(error.to_string().contains("raise maxmemory"), "{error}");
    let cached = broker.cache_set("n", 1_000, "k", vec![1], Duration::from_secs(9)).await;
    assert!(matches!(cached, Err(BrokerError::OutOfSpace { .. })));
    let claim = broker.claim(session, wants(3), 3).await.unwrap();
    assert_eq!(leased(&claim), ids(&tasks));
    broker.renew(session, Note::default()).await.unwrap();
    broker.tend().await.unwrap();
    broker.finish(session, vec![completed(tasks[0].id, 1)]).await.unwrap();
    broker.cancel(tasks[1].id).await.unwrap();
    broker.leave(session).await.unwrap();
    broker.cancel(tasks[2].id).await.unwrap();
    let counts = broker.counts().await.unwrap();
    assert_eq!((counts.completed, counts.cancelled, counts.waiting()), (1, 2, 0));
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    works(&broker).await;
}

#[tokio::test]
async fn a_script_cache_that_is_flushed_is_filled_again() {
    let server = RedisServer::new();
    let broker = broker(&server);
    for _ in 0..3 {
        works(&broker).await;
        server.command(&["SCRIPT", "FLUSH"]);
    }
    works(&broker).await;
}

#[tokio::test]
async fn hints_that_may_be_missing_are_told() {
    let server = RedisServer::new();
    let (broker, other) = (broker(&server), broker(&server));
    let session = begun(&broker).await;
    let mut hints = broker.hints();
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    heard(&mut hints, |hint| *hint == Hint::Resync).await;
    other.submit(vec![task()]).await.unwrap();
    heard(&mut hints, |hint| matches!(hint, Hint::Ready(_))).await;
    let from = SessionId::random();
    let text = "still there?".to_owned();
    let message = Hint::Message {
        from,
        text: text.clone(),
    };
    assert!(other.send(from, Some(session), text).await.unwrap());
    heard(&mut hints, |hint| *hint == message).await;
}

#[tokio::test]
async fn sessions_are_not_given_up_for_the_time_the_server_was_away() {
    let mut server = RedisServer::durable();
    let settings = Settings {
        session_ttl: Duration::from_millis(1_500),
        ..Settings::default()
    };
    let open = || RedisBroker::new(RedisSettings::new(server.url()), settings.clone()).unwrap();
    let (one, two) = (open(), open());
    let (a, b) = (begun(&one).await, begun(&two).await);
    server.kill();
    tokio::time::sleep(settings.session_ttl).await;
    server.start();
    until_done(|| one.check()).await;
    until_done(|| two.check()).await;
    let tended = until_done(|| one.tend()).await;
    assert_eq!(tended.sessions_ended, [], "nobody could renew");
    assert!(!until_done(|| two.renew(b, Note::default())).await.fresh);
    assert!(!one.renew(a, Note::default()).await.unwrap().fresh);
    let gave_up = || async {
        one.renew(a, Note::default()).await?;
        match one.tend().await?.sessions_ended {
            ended if ended == [b] => Ok(()),
            _ => Err(BrokerError::Unavailable {
                broker: String::new(),
                why: "b lives".to_owned(),
            }),
        }
    };
    until_done(gave_up).await;
}
