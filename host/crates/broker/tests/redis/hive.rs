//! What the tests ask of a broker, in few words.

use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use venom_broker::redis::{RedisBroker, RedisSettings};
use venom_broker::{Broker, BrokerError, Claim, Ending, EndingKind, Hint, NewTask, Note, Settings, Want};
use venom_protocol::{Lane, NodeId, Priority, SessionId, TaskId};

use crate::redis_server::RedisServer;

/// How long anything may take that is waited for.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn lane() -> Lane {
    "EchoSkill".parse().unwrap()
}

pub(crate) fn task() -> NewTask {
    NewTask {
        id: TaskId::next(),
        lane: lane(),
        priority: Priority::BACKGROUND,
        delay: Duration::ZERO,
        idempotency: None,
        depends_on: Vec::new(),
        body: r#"{"skill_name":"EchoSkill"}"#.to_owned(),
    }
}

pub(crate) fn ids(tasks: &[NewTask]) -> Vec<TaskId> {
    tasks.iter().map(|task| task.id).collect()
}

/// Of a claim.
pub(crate) fn leased(claim: &Claim) -> Vec<TaskId> {
    claim.leases.iter().map(|lease| lease.id).collect()
}

pub(crate) fn wants(most: usize) -> Vec<Want> {
    vec![Want {
        lane: lane(),
        priority: Priority::BACKGROUND,
        most,
    }]
}

pub(crate) fn completed(id: TaskId, fence: u64) -> Ending {
    Ending {
        id,
        fence,
        node: Some(NodeId::random()),
        started_at: 1_700_000_000_000,
        kind: EndingKind::Completed {
            result: r#"{"ok":true}"#.to_owned(),
        },
    }
}

pub(crate) fn broker(server: &RedisServer) -> RedisBroker {
    open(RedisSettings::new(server.url()))
}

pub(crate) fn open(redis: RedisSettings) -> RedisBroker {
    RedisBroker::new(redis, Settings::default()).unwrap()
}

/// With sessions that do not live long.
pub(crate) fn impatient(server: &RedisServer) -> RedisBroker {
    let settings = Settings {
        session_ttl: Duration::from_millis(200),
        ..Settings::default()
    };
    RedisBroker::new(RedisSettings::new(server.url()), settings).unwrap()
}

pub(crate) async fn begun(broker: &impl Broker) -> SessionId {
    let session = SessionId::random();
    assert!(broker.renew(session, Note::default()).await.unwrap().fresh);
    session
}

/// Asks until it is answered, as the nexus does.
pub(crate) async fn until_done<T, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, BrokerError>>,
{
    let deadline = Instant::now() + LIMIT;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) if !error.is_retryable() || Instant::now() > deadline => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Asks until it is refused, and gives the refusal.
pub(crate) async fn until_refused<T, F>(mut ask: impl FnMut() -> F) -> BrokerError
where
    F: Future<Output = Result<T, BrokerError>>,
{
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Err(error) = ask().await {
            return error;
        }
        assert!(Instant::now() < deadline, "it is still done");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for a hint.
pub(crate) async fn heard(hints: &mut broadcast::Receiver<Hint>, wanted: impl Fn(&Hint) -> bool) -> Hint {
    let search = async {
        loop {
            let hint = hints.recv().await.unwrap();
            if wanted(&hint) {
                return hint;
            }
        }
    };
    tokio::time::timeout(LIMIT, search).await.expect("a hint")
}
