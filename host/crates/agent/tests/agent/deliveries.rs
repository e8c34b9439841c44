//! Batches reach a nexus that misbehaves, each counted once, and none waits for one that fails.

use std::time::Duration;

use serde_json::json;
use venom_agent::{BatchKind, Patience, Phase};

use crate::server::{Misdeed, Server, TOKEN};
use crate::stage::Stage;

const INGEST: &str = "/ingest/discovery";

fn body(n: usize) -> serde_json::Value {
    json!({"target": "10.0.0.0/24", "n": n})
}

#[tokio::test]
async fn each_batch_counts_once_whatever_happens_to_answers() {
    let server = Server::start().await;
    server.with(|world| {
        world.misdo(
            INGEST,
            [
                Misdeed::LoseAnswer,
                Misdeed::Say(500, "a fault"),
                Misdeed::HangAfter,
                Misdeed::Hang,
                Misdeed::Page,
                Misdeed::Say(503, "busy"),
                Misdeed::LoseAnswer,
                Misdeed::Endless,
                Misdeed::Say(429, "slower"),
                Misdeed::Say(408, "too slow"),
                Misdeed::Say(404, "a proxy that knows nothing"),
            ],
        );
    });
    let stage = Stage::new(&server);
    let mut life = stage.start();
    let keys: Vec<String> = (0..20).map(|n| life.put(&body(n))).collect();
    server.until("all are there", |world| world.batches.len() == 20).await;
    life.until("none waits", |state| state.outbox.waiting == 0).await;
    server.with(|world| {
        for key in &keys {
            assert!(world.batches.contains_key(key));
        }
        assert!(
            world.batches.values().any(|(_, times)| *times > 1),
            "an answer was lost, and it came again"
        );
    });
    let state = life.stop().await;
    assert_eq!((state.delivered, state.outbox.tally), (20, Default::default()));
    // after a restart nothing is sent again
    let requests = server.with(|world| world.paths(INGEST).len());
    let mut life = stage.start();
    life.until("it is online", |state| state.phase == Phase::Online).await;
    let key = life.put(&body(99));
    server
        .until("the new one is there", |world| world.batches.contains_key(&key))
        .await;
    assert_eq!(server.with(|world| world.paths(INGEST).len()), requests + 1);
}

#[tokio::test]
async fn what_the_nexus_will_never_take_is_put_aside_and_blocks_nobody() {
    let server = Server::start().await;
    server.with(|world| {
        for (word, status) in [("bad-400", 400), ("bad-409", 409), ("bad-413", 413), ("bad-422", 422)] {
            world.poison.push((word, Misdeed::Say(status, "it makes no sense")));
        }
    });
    let stage = Stage::new(&server);
    let mut life = stage.start();
    for status in [400, 409, 413, 422] {
        life.put(&json!({"target": format!("bad-{status}")}));
        life.put(&body(status));
    }
    let state = life
        .until("none waits", |state| state.outbox.waiting == 0 && state.delivered == 4)
        .await;
    assert_eq!(state.outbox.tally.dead, 4);
    assert!(state.last_refusal.unwrap().contains("it makes no sense"));
    assert_eq!(
        std::fs::read_dir(stage.data_dir().join("outbox/dead")).unwrap().count(),
        4
    );
    // it is said with the heartbeats
    server
        .until("a heartbeat says so", |world| {
            let last = world
                .paths("/heartbeat")
                .last()
                .map(|seen| seen.body["outbox"]["dead"].clone());
            last == Some(json!(4))
        })
        .await;
    life.stop().await;
}

#[tokio::test]
async fn a_batch_that_always_fails_lets_the_others_by_and_is_kept() {
    let server = Server::start().await;
    server.with(|world| {
        world.poison.push(("cursed", Misdeed::Say(500, "a fault")));
        world.poison.push(("slow", Misdeed::Hang));
    });
    let mut stage = Stage::new(&server);
    stage.patience = Patience {
        ingest: Duration::from_millis(50),
        ..stage.patience
    };
    let mut life = stage.start();
    life.put(&json!({"target": "cursed"}));
    life.put(&json!({"target": "slow"}));
    for n in 0..20 {
        life.put(&body(n));
    }
    server
        .until("the others are there", |world| world.batches.len() == 20)
        .await;
    let state = life.until("two wait", |state| state.outbox.waiting == 2).await;
    assert_eq!(state.outbox.tally, Default::default());
    server.with(|world| world.poison.clear());
    server.until("they were kept", |world| world.batches.len() == 22).await;
    life.stop().await;
}

#[tokio::test]
async fn who_is_revoked_says_so_keeps_everything_and_does_not_knock_all_the_time() {
    let server = Server::start().await;
    let mut stage = Stage::new(&server);
    stage.backoff.cap = Duration::from_millis(400);
    let mut life = stage.start();
    life.until("it is online", |state| state.phase == Phase::Online).await;
    server.with(|world| world.tokens.clear());
    for n in 0..10 {
        life.put(&body(n));
    }
    let state = life.until("it knows", |state| state.phase == Phase::Revoked).await;
    assert!(state.error.unwrap().contains("401"));
    let begin = std::time::Instant::now();
    let before = server.with(|world| world.seen.len());
    server
        .until("some time passed", |world| {
            world.seen.len() > before + 4 || begin.elapsed() > Duration::from_secs(2)
        })
        .await;
    let knocks = server.with(|world| world.seen.len()) - before;
    let most = begin.elapsed().as_millis() as usize / 200 + 3;
    assert!(knocks <= most, "{knocks} requests in {:?}", begin.elapsed());
    assert_eq!(life.outbox.report().waiting, 10);
    // let in again (a mistake of an operator): everything arrives
    server.with(|world| world.tokens.insert(TOKEN.to_owned()));
    server
        .until("everything is there", |world| world.batches.len() == 10)
        .await;
    let state = life.until("none waits", |state| state.outbox.waiting == 0).await;
    assert_eq!(state.phase, Phase::Online);
    life.stop().await;
}

#[tokio::test]
async fn who_is_not_approved_keeps_what_it_sees() {
    let server = Server::start().await;
    server.with(|world| world.unapproved = true);
    let stage = Stage::new(&server);
    let mut life = stage.start();
    life.until("it knows", |state| state.phase == Phase::Unapproved).await;
    life.put(&body(1));
    let beats = server.with(|world| world.paths("/heartbeat").len());
    server
        .until("it beats on", |world| world.paths("/heartbeat").len() > beats + 3)
        .await;
    assert_eq!(server.with(|world| world.paths(INGEST).len()), 0);
    server.with(|world| world.unapproved = false);
    server.until("it is there", |world| world.batches.len() == 1).await;
    life.stop().await;
}

#[tokio::test]
async fn a_nexus_that_asks_for_time_gets_it() {
    let server = Server::start().await;
    server.with(|world| world.misdo(INGEST, [Misdeed::SayLater(503, "1")]));
    let stage = Stage::new(&server);
    let life = stage.start();
    life.put(&body(1));
    server.until("it is there", |world| world.batches.len() == 1).await;
    let times = server.with(|world| world.paths(INGEST).iter().map(|seen| seen.at).collect::<Vec<_>>());
    assert!(
        times[1] - times[0] >= Duration::from_secs(1),
        "{:?}",
        times[1] - times[0]
    );
    life.stop().await;
}

#[tokio::test]
async fn a_nexus_that_is_gone_finds_everything_when_it_is_back() {
    let server = Server::start().await;
    let mut stage = Stage::new(&server);
    let address = stage.file.nexus.clone();
    stage.file.nexus = "http://127.0.0.1:1".to_owned();
    let mut life = stage.start();
    for n in 0..30 {
        life.put(&body(n));
    }
    life.until("it knows", |state| state.phase == Phase::Unreachable).await;
    life.kill().await;
    stage.file.nexus = address;
    let mut life = stage.start();
    server
        .until("everything is there", |world| world.batches.len() == 30)
        .await;
    life.until("none waits", |state| state.outbox.waiting == 0).await;
    server.with(|world| assert!(world.batches.values().all(|(_, times)| *times == 1)));
    life.stop().await;
}

#[tokio::test]
async fn each_kind_goes_where_it_belongs() {
    let server = Server::start().await;
    let stage = Stage::new(&server);
    let life = stage.start();
    let now = venom_protocol::Timestamp::now();
    life.outbox.put(BatchKind::Shield, b"{\"target\":\"a\"}", now).unwrap();
    life.outbox
        .put(BatchKind::Discovery, b"{\"target\":\"b\"}", now)
        .unwrap();
    server.until("both are there", |world| world.batches.len() == 2).await;
    server.with(|world| {
        assert_eq!(world.paths("/ingest/shield")[0].body["target"], "a");
        assert_eq!(world.paths("/ingest/discovery")[0].body["target"], "b");
    });
    life.stop().await;
}
