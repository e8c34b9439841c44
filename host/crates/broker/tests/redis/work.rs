//! The life of tasks on a healthy server.

use std::time::Duration;

use venom_broker::redis::{RedisBroker, RedisSettings};
use venom_broker::{
    Broker, Cancelled, Ending, EndingKind, Hint, Idempotency, NewTask, Note, Outcome, Recorded, Settings, State, Want,
};
use venom_protocol::{ErrorCode, GroupLimits, Lane, Priority, TaskId};

use crate::hive::{begun, broker, completed, heard, ids, lane, leased, task, until_done, wants};
use crate::redis_server::RedisServer;

#[tokio::test]
async fn plain_tasks_are_leased_in_order_and_end_once() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let mut hints = broker.hints();
    let session = begun(&broker).await;
    let tasks: Vec<NewTask> = (0..1_200).map(|_| task()).collect();
    let taken = broker.submit(tasks.clone()).await.unwrap();
    assert!(
        taken
            .iter()
            .zip(&tasks)
            .all(|(taken, task)| taken.id == task.id && !taken.existing)
    );
    assert_eq!(broker.submit(tasks.clone()).await.unwrap(), taken);
    heard(&mut hints, |hint| {
        *hint == Hint::Ready(vec![(lane(), Priority::BACKGROUND)])
    })
    .await;
    let counts = broker.counts().await.unwrap();
    assert_eq!((counts.pending[2], counts.waiting()), (1_200, 1_200));
    assert_eq!(broker.ready(5).await.unwrap().len(), 1);

    let claim = broker.claim(session, wants(1_000), 700).await.unwrap();
    assert_eq!(leased(&claim), ids(&tasks)[..700]);
    assert_eq!(
        (claim.empty.len(), claim.leases[0].attempt, claim.leases[0].fence),
        (0, 1, 1)
    );
    let rest = broker.claim(session, wants(1_000), 1_000).await.unwrap();
    assert_eq!(leased(&rest), ids(&tasks)[700..]);
    assert_eq!(rest.empty, [(lane(), Priority::BACKGROUND)]);
    assert_eq!(broker.ready(5).await.unwrap(), []);
    let running = broker.tasks(vec![tasks[0].id]).await.unwrap().remove(0).unwrap();
    assert_eq!((running.state, running.session), (State::Running, Some(session)));

    let endings: Vec<Ending> = claim
        .leases
        .iter()
        .map(|lease| completed(lease.id, lease.fence))
        .collect();
    let settled = broker.finish(session, endings.clone()).await.unwrap();
    assert!(
        settled
            .recorded
            .iter()
            .all(|recorded| *recorded == Recorded::Written(State::Completed))
    );
    let again = broker.finish(session, endings).await.unwrap();
    assert!(again.recorded.iter().all(|recorded| *recorded == Recorded::Stale));
    let ended = broker.tasks(vec![tasks[3].id]).await.unwrap().remove(0).unwrap();
    assert_eq!(ended.outcome, Some(Outcome::Completed(r#"{"ok":true}"#.to_owned())));
    assert_eq!((ended.started_at, ended.session), (Some(1_700_000_000_000), None));
    assert!(ended.ended_at.is_some() && ended.node.is_some());
    let counts = broker.counts().await.unwrap();
    assert_eq!((counts.completed, counts.running, counts.waiting()), (700, 500, 0));
    assert_eq!(broker.list(State::Running, 10).await.unwrap().len(), 10);
    assert_eq!(broker.list(State::Completed, 1).await.unwrap()[0].id, tasks[699].id);
}

#[tokio::test]
async fn what_goes_back_comes_first_and_has_a_higher_fence() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let session = begun(&broker).await;
    let tasks: Vec<NewTask> = (0..6).map(|_| task()).collect();
    broker.submit(tasks.clone()).await.unwrap();
    let claim = broker.claim(session, wants(4), 4).await.unwrap();
    let end = |place: usize, kind| Ending {
        kind,
        ..completed(claim.leases[place].id, 1)
    };
    let retry = |delay, lost_node| EndingKind::Retry {
        delay,
        code: ErrorCode::NodeLost,
        error: "gone".to_owned(),
        lost_node,
    };
    let failed = EndingKind::Failed {
        code: ErrorCode::Denied,
        error: "no grant\nfor it".to_owned(),
    };
    let endings = vec![
        end(0, retry(Duration::ZERO, true)),
        end(1, EndingKind::Returned),
        end(2, failed),
        end(3, retry(Duration::from_millis(30), false)),
        end(3, EndingKind::Returned),
        completed(claim.leases[0].id, 7),
    ];
    let settled = broker.finish(session, endings).await.unwrap();
    let written = Recorded::Written;
    assert_eq!(
        settled.recorded,
        [
            written(State::Pending),
            written(State::Pending),
            written(State::Failed),
            written(State::Delayed),
            Recorded::Stale,
            Recorded::Stale
        ]
    );
    let again = broker.claim(session, wants(2), 2).await.unwrap();
    let leases = &again.leases;
    let lease = |place: usize| {
        (
            leases[place].id,
            leases[place].fence,
            leases[place].attempt,
            leases[place].losses,
        )
    };
    assert_eq!(
        (lease(0), lease(1)),
        ((tasks[0].id, 2, 2, 1), (tasks[1].id, 2, 1, 0)),
        "in their old order"
    );
    assert!(leases[0].last_node.is_some());
    let dead = broker.list(State::Failed, 5).await.unwrap();
    assert_eq!(
        dead[0].outcome,
        Some(Outcome::Failed(ErrorCode::Denied, "no grant\nfor it".to_owned()))
    );
    let promoted = until_done(|| async {
        match broker.tend().await?.promoted {
            1 => Ok(true),
            _ => Err(venom_broker::BrokerError::Unavailable {
                broker: String::new(),
                why: "not due".to_owned(),
            }),
        }
    });
    assert!(promoted.await);
    assert!(broker.requeue(tasks[2].id).await.unwrap());
    assert!(!broker.requeue(tasks[2].id).await.unwrap());
    let last = broker.claim(session, wants(9), 9).await.unwrap();
    assert_eq!(leased(&last), [tasks[4].id, tasks[5].id, tasks[3].id, tasks[2].id]);
    assert_eq!((last.leases[3].attempt, last.leases[3].fence), (1, 2));
    let counts = broker.counts().await.unwrap();
    assert_eq!(
        (counts.failed, counts.dead, counts.running, counts.waiting()),
        (1, 0, 6, 0)
    );
}

#[tokio::test]
async fn dependents_wait_get_results_and_fail_with_what_they_wait_for() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let session = begun(&broker).await;
    let (first, second) = (task(), task());
    let both = NewTask {
        depends_on: vec![first.id, second.id, first.id],
        ..task()
    };
    let after = NewTask {
        depends_on: vec![both.id],
        ..task()
    };
    let doomed = NewTask {
        depends_on: vec![after.id],
        ..task()
    };
    let all = vec![
        first.clone(),
        second.clone(),
        both.clone(),
        after.clone(),
        doomed.clone(),
    ];
    broker.submit(all.clone()).await.unwrap();
    broker.submit(all).await.unwrap();
    assert_eq!(broker.counts().await.unwrap().blocked, 3);
    broker.claim(session, wants(9), 9).await.unwrap();
    let settled = broker.finish(session, vec![completed(first.id, 1)]).await.unwrap();
    assert_eq!(settled.dependents, []);
    let settled = broker.finish(session, vec![completed(second.id, 1)]).await.unwrap();
    assert_eq!((settled.dependents.len(), settled.dependents[0].id), (1, both.id));
    let claim = broker.claim(session, wants(9), 9).await.unwrap();
    let mut inputs = claim.leases[0].inputs.clone();
    inputs.sort();
    let result = r#"{"ok":true}"#.to_owned();
    assert_eq!(inputs, [(first.id, result.clone()), (second.id, result)]);
    let failed = Ending {
        kind: EndingKind::Failed {
            code: ErrorCode::Trapped,
            error: "boom".to_owned(),
        },
        ..completed(both.id, 1)
    };
    let settled = broker.finish(session, vec![failed]).await.unwrap();
    assert_eq!(settled.dependents.len(), 2);
    let counts = broker.counts().await.unwrap();
    assert_eq!((counts.blocked, counts.failed, counts.dead), (0, 3, 3));
    let late = NewTask {
        depends_on: vec![doomed.id],
        ..task()
    };
    broker.submit(vec![late.clone()]).await.unwrap();
    assert_eq!(
        broker.tasks(vec![late.id]).await.unwrap()[0].as_ref().unwrap().state,
        State::Failed
    );
    let lost = NewTask {
        depends_on: vec![TaskId::next()],
        ..task()
    };
    let error = broker.submit(vec![task(), lost]).await.unwrap_err();
    assert!(error.to_string().contains("not known"), "{error}");
    assert_eq!(
        broker.counts().await.unwrap().waiting(),
        0,
        "none of the batch is taken"
    );
}

#[tokio::test]
async fn a_wide_fan_out_is_settled_in_steps() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let session = begun(&broker).await;
    let root = task();
    let mut all = vec![root.clone()];
    all.extend((0..2_500).map(|_| NewTask {
        depends_on: vec![root.id],
        ..task()
    }));
    broker.submit(all).await.unwrap();
    broker.claim(session, wants(1), 1).await.unwrap();
    let settled = broker.finish(session, vec![completed(root.id, 1)]).await.unwrap();
    assert_eq!(settled.dependents.len(), 2_500);
    let counts = broker.counts().await.unwrap();
    assert_eq!((counts.blocked, counts.pending[2]), (0, 2_500));
    assert!(
        server.command(&["KEYS", "*:d:*"]).starts_with("*0"),
        "no set of dependents is left"
    );
}

#[tokio::test]
async fn keys_stand_for_one_task_and_queues_have_a_limit() {
    let server = RedisServer::new();
    let settings = Settings {
        max_waiting: 3,
        ..Settings::default()
    };
    let broker = RedisBroker::new(RedisSettings::new(server.url()), settings).unwrap();
    let keyed = |fingerprint: &str| NewTask {
        idempotency: Some(Idempotency {
            key: "nightly backup".to_owned(),
            fingerprint: fingerprint.to_owned(),
        }),
        ..task()
    };
    let (first, second) = (keyed("a b"), keyed("a b"));
    let taken = broker.submit(vec![first.clone(), second.clone()]).await.unwrap();
    assert_eq!(
        (taken[0].existing, taken[1].existing, taken[1].id),
        (false, true, first.id)
    );
    assert!(!broker.submit(vec![first.clone()]).await.unwrap()[0].existing);
    let error = broker.submit(vec![task(), keyed("c")]).await.unwrap_err();
    assert_eq!(
        error,
        venom_broker::BrokerError::KeyReused {
            key: "nightly backup".to_owned(),
            task_id: first.id
        }
    );
    let tasks = vec![task(), task()];
    broker.submit(tasks.clone()).await.unwrap();
    let full = broker.submit(vec![task(), second.clone()]).await.unwrap_err();
    assert_eq!(
        full,
        venom_broker::BrokerError::QueueFull {
            waiting: 3,
            limit: 3,
            asked: 1
        }
    );
    broker.submit(tasks).await.unwrap();
    broker.submit(vec![second]).await.unwrap();
    assert_eq!(broker.counts().await.unwrap().waiting(), 3);
}

#[tokio::test]
async fn cancelling_reaches_waiting_and_running_tasks() {
    let server = RedisServer::new();
    let (broker, other) = (broker(&server), broker(&server));
    let session = begun(&broker).await;
    let mut hints = broker.hints();
    let (runs, waits) = (task(), task());
    let late = NewTask {
        delay: Duration::from_secs(60),
        ..task()
    };
    let child = NewTask {
        depends_on: vec![waits.id],
        ..task()
    };
    broker
        .submit(vec![runs.clone(), waits.clone(), late.clone(), child.clone()])
        .await
        .unwrap();
    broker.claim(session, wants(1), 1).await.unwrap();
    assert_eq!(other.cancel(TaskId::next()).await.unwrap(), Cancelled::Unknown);
    assert_eq!(other.cancel(runs.id).await.unwrap(), Cancelled::Asked);
    heard(&mut hints, |hint| *hint == Hint::Cancel(runs.id)).await;
    assert_eq!(broker.renew(session, Note::default()).await.unwrap().cancels, [runs.id]);
    let Cancelled::Now(dependents) = other.cancel(waits.id).await.unwrap() else {
        panic!()
    };
    assert_eq!(
        (dependents.len(), dependents[0].id, dependents[0].state),
        (1, child.id, State::Failed)
    );
    assert_eq!(other.cancel(late.id).await.unwrap(), Cancelled::Now(vec![]));
    heard(&mut hints, |hint| *hint == Hint::Ended(vec![late.id])).await;
    assert_eq!(other.cancel(late.id).await.unwrap(), Cancelled::Ended(State::Cancelled));
    let back = Ending {
        kind: EndingKind::Returned,
        ..completed(runs.id, 1)
    };
    let settled = broker.finish(session, vec![back]).await.unwrap();
    assert_eq!(settled.recorded, [Recorded::Written(State::Cancelled)]);
    assert_eq!(broker.renew(session, Note::default()).await.unwrap().cancels, []);
    let counts = broker.counts().await.unwrap();
    assert_eq!(
        (counts.cancelled, counts.failed, counts.waiting(), counts.running),
        (3, 1, 0, 0)
    );
    assert_eq!(broker.ready(9).await.unwrap(), []);
    assert_eq!(broker.list(State::Cancelled, 9).await.unwrap().len(), 3);
    assert!(broker.requeue(waits.id).await.unwrap());
    let claim = broker.claim(session, wants(9), 9).await.unwrap();
    assert_eq!(leased(&claim), [waits.id]);
}

#[tokio::test]
async fn groups_limit_how_many_run_and_begin() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let session = begun(&broker).await;
    let lane: Lane = "EchoSkill;group=n%3Aight".parse().unwrap();
    let grouped = || NewTask {
        lane: lane.clone(),
        ..task()
    };
    let limits = GroupLimits {
        concurrency: Some(2),
        rate: Some(0.5),
    };
    broker
        .limit_group("n:ight", Some(GroupLimits { rate: None, ..limits }))
        .await
        .unwrap();
    broker.submit((0..9).map(|_| grouped()).collect()).await.unwrap();
    let want = vec![Want {
        lane: lane.clone(),
        priority: Priority::BACKGROUND,
        most: 5,
    }];
    let claim = broker.claim(session, want.clone(), 5).await.unwrap();
    assert_eq!((claim.leases.len(), claim.held_back.len()), (2, 1));
    let held = broker.claim(session, want.clone(), 5).await.unwrap();
    assert_eq!((held.leases.len(), held.held_back.len(), held.empty.len()), (0, 1, 0));
    let groups = broker.groups().await.unwrap();
    assert_eq!(
        (groups[0].name.as_str(), groups[0].running, groups[0].limits.concurrency),
        ("n:ight", 2, Some(2))
    );
    broker
        .finish(
            session,
            claim.leases.iter().map(|lease| completed(lease.id, 1)).collect(),
        )
        .await
        .unwrap();
    broker.limit_group("n:ight", Some(limits)).await.unwrap();
    let claim = broker.claim(session, want.clone(), 5).await.unwrap();
    assert_eq!((claim.leases.len(), claim.held_back.len()), (1, 1));
    assert!(claim.held_back[0].2 > Duration::from_secs(1) && claim.held_back[0].2 <= Duration::from_secs(2));
    broker.limit_group("n:ight", None).await.unwrap();
    assert_eq!(broker.claim(session, want, 5).await.unwrap().leases.len(), 5);
    assert_eq!(broker.groups().await.unwrap()[0].running, 6);
}

#[tokio::test]
async fn progress_is_numbered_and_bounded() {
    let server = RedisServer::new();
    let settings = Settings {
        max_progress: 3,
        ..Settings::default()
    };
    let broker = RedisBroker::new(RedisSettings::new(server.url()), settings).unwrap();
    let other = crate::hive::broker(&server);
    let (session, task) = (begun(&broker).await, task());
    begun(&other).await;
    let mut hints = other.hints();
    broker.submit(vec![task.clone()]).await.unwrap();
    let entry = |text: &str| (task.id, text.to_owned());
    let unknown = (TaskId::next(), "?".to_owned());
    let entries = vec![entry("a"), unknown, entry("b"), entry("c"), entry("d")];
    assert_eq!(broker.append_progress(session, entries).await.unwrap(), [1, 0, 2, 3, 4]);
    heard(&mut hints, |hint| *hint == Hint::Progress(task.id)).await;
    let after = |seq| broker.progress(task.id, seq, 2);
    let numbers = |log: Vec<venom_broker::Progress>| log.iter().map(|entry| entry.seq).collect::<Vec<_>>();
    assert_eq!(numbers(after(0).await.unwrap()), [2, 3]);
    assert_eq!(after(3).await.unwrap()[0].text, "d");
    assert_eq!(numbers(after(4).await.unwrap()), [0_u64; 0]);
}

#[tokio::test]
async fn the_cache_counts_bytes_and_gives_back_those_of_expired_entries() {
    let server = RedisServer::new();
    let broker = broker(&server);
    let set = |key: &str, length: usize, ms| {
        let (broker, key) = (&broker, key.to_owned());
        async move {
            broker
                .cache_set("a:b", 1_000, &key, vec![7; length], Duration::from_millis(ms))
                .await
        }
    };
    set("x", 400, 60_000).await.unwrap();
    set("y", 400, 1).await.unwrap();
    let deadline = std::time::Instant::now() + crate::hive::LIMIT;
    while set("z", 400, 60_000).await.is_err() {
        assert!(
            std::time::Instant::now() < deadline,
            "the bytes of y are not given back"
        );
    }
    let full = set("w", 400, 60_000).await.unwrap_err();
    assert!(full.to_string().contains("930 of 1000 bytes"), "{full}");
    set("x", 300, 60_000).await.unwrap();
    assert_eq!(broker.cache_keys("a:b", 9).await.unwrap(), ["x", "z"]);
    assert_eq!(broker.cache_keys("a:b", 1).await.unwrap(), ["x"]);
    let (value, left) = broker.cache_get("a:b", "x").await.unwrap().unwrap();
    assert_eq!((value.len(), left > Duration::from_secs(50)), (300, true));
    assert_eq!(broker.cache_get("a", "b:x").await.unwrap(), None);
    assert!(broker.cache_delete("a:b", "z").await.unwrap());
    assert!(!broker.cache_delete("a:b", "z").await.unwrap());
    set("w", 500, 60_000).await.unwrap();
    broker
        .cache_set("brief", 1_000, "k", vec![1], Duration::from_millis(1))
        .await
        .unwrap();
    let lives = server.command(&["PTTL", "{venom}:cache:5:brief:u"]);
    assert_ne!(lives, ":-1\r\n", "the books of a namespace end with its entries");
    assert_ne!(server.command(&["PTTL", "{venom}:cache:3:a:b:u"]), ":-1\r\n");
}

#[tokio::test]
async fn what_was_kept_long_enough_goes() {
    let server = RedisServer::new();
    let settings = Settings {
        result_ttl: Duration::from_millis(1),
        ..Settings::default()
    };
    let broker = RedisBroker::new(RedisSettings::new(server.url()), settings).unwrap();
    let session = begun(&broker).await;
    let mut tasks: Vec<NewTask> = (0..600).map(|_| task()).collect();
    tasks[599].idempotency = Some(Idempotency {
        key: "k".to_owned(),
        fingerprint: "f".to_owned(),
    });
    broker.submit(tasks.clone()).await.unwrap();
    let claim = broker.claim(session, wants(600), 600).await.unwrap();
    broker
        .append_progress(session, vec![(tasks[0].id, "1".to_owned())])
        .await
        .unwrap();
    broker
        .finish(
            session,
            claim.leases.iter().map(|lease| completed(lease.id, 1)).collect(),
        )
        .await
        .unwrap();
    let gone = until_done(|| async {
        broker.tend().await?;
        match server.command(&["KEYS", "*:[tpk]:*"]).as_str() {
            "*0\r\n" => Ok(true),
            _ => Err(venom_broker::BrokerError::Unavailable {
                broker: String::new(),
                why: "kept".to_owned(),
            }),
        }
    });
    assert!(gone.await);
    assert_eq!(broker.tasks(ids(&tasks)).await.unwrap(), vec![None; 600]);
    assert_eq!(broker.counts().await.unwrap().completed, 600);
}
