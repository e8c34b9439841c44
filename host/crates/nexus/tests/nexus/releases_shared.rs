//! Two nexuses on one Redis: what one is given the other serves, both drive, one wins, and nobody believes Redis.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use venom_broker::redis::{RedisBroker, RedisSettings};
use venom_broker::{Broker, Settings};
use venom_bundle::Digest;

use crate::harness::{FakeSpore, SPORE_TOKEN, TestNexus, soon, until};
use crate::redis_server::RedisServer;
use crate::release_kit::*;

fn broker_at(redis: &RedisServer) -> Arc<dyn Broker> {
    let settings = Settings {
        session_ttl: Duration::from_secs(1),
        ..Settings::default()
    };
    Arc::new(RedisBroker::new(RedisSettings::new(redis.url()), settings).unwrap())
}

/// A nexus with a directory of its own.
async fn nexus(redis: &RedisServer, directory: &tempfile::TempDir) -> TestNexus {
    started(keeping(directory.path()), broker_at(redis)).await
}

struct Pair {
    redis: RedisServer,
    one: TestNexus,
    two: TestNexus,
    directories: [tempfile::TempDir; 2],
}

impl Pair {
    async fn start() -> Self {
        let redis = tokio::task::spawn_blocking(RedisServer::new).await.unwrap();
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let one = nexus(&redis, &directories[0]).await;
        let two = nexus(&redis, &directories[1]).await;
        for nexus in [&one, &two] {
            until("both nexuses", async || {
                (nexus.get("/api/v1/cluster").await.body["nexuses"] == 2).then_some(())
            })
            .await;
        }
        Self {
            redis,
            one,
            two,
            directories,
        }
    }

    async fn stop(self) -> [tempfile::TempDir; 2] {
        self.one.stop().await;
        self.two.stop().await;
        self.directories
    }
}

async fn file(nexus: &TestNexus, digest: &Digest) -> (u16, Vec<u8>) {
    let path = format!("/api/v1/bundles/{digest}");
    let answer = soon(
        "a file",
        nexus.http.get(nexus.url(&path)).bearer_auth(SPORE_TOKEN).send(),
    )
    .await
    .unwrap();
    (
        answer.status().as_u16(),
        soon("bytes", answer.bytes()).await.unwrap().to_vec(),
    )
}

#[tokio::test]
async fn what_one_nexus_is_given_the_other_serves() {
    let pair = Pair::start().await;
    let mut spore = FakeSpore::v2(&pair.two, &[]).await;
    let release = published(&pair.one, 1, None, None).await;
    let hint = heard(&mut spore, "BROADCAST").await;
    assert_eq!(hint["data"]["release_sha256"], json!(release.unsigned().digest()));
    let answer = asked(&mut spore, 1, None, 0).await;
    assert_eq!(
        answer["release"],
        release_text(&release),
        "who was hinted finds it on the other nexus"
    );
    let bundle = &release.entries[0].bundle;
    let (status, bytes) = file(&pair.two, &bundle.file_sha256).await;
    assert_eq!((status, Digest::of(&bytes)), (200, bundle.file_sha256));
    let kept = pair.directories[1]
        .path()
        .join("releases")
        .join(format!("{}.venom", bundle.file_sha256));
    assert!(kept.exists(), "fetched once, then it is here");
    let listed = pair.two.get("/api/v1/bundles").await.body;
    assert_eq!(listed["bundles"][0]["file_sha256"], json!(bundle.file_sha256));
    // and back: the next release is made on the other one
    let second = published(&pair.two, 2, Some(release.unsigned().digest()), None).await;
    until("the first to know", async || {
        let current = pair.one.get("/api/v1/releases/current").await.body;
        (current["release"] == release_text(&second)).then_some(())
    })
    .await;
    pair.stop().await;
}

#[tokio::test]
async fn a_damaged_file_in_redis_is_never_served() {
    let pair = Pair::start().await;
    let release = published(&pair.one, 1, None, None).await;
    let digest = release.entries[0].bundle.file_sha256;
    let broker = broker_at(&pair.redis);
    let name = format!("releases/chunk/{digest}/0");
    let chunk = until("the chunk", async || broker.record(&name).await.ok().flatten()).await;
    let mut damaged = chunk.bytes.clone();
    damaged[700] ^= 1;
    assert!(broker.put_record(&name, damaged, chunk.version).await.unwrap());
    let (status, _) = file(&pair.two, &digest).await;
    assert_eq!(status, 404);
    let left = std::fs::read_dir(pair.directories[1].path().join("releases"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "nothing of it stays");
    // whoever uploads it again makes it whole
    uploaded(&pair.one, "1.0.0").await;
    assert_eq!(file(&pair.two, &digest).await.0, 200);
    pair.stop().await;
}

#[tokio::test]
async fn both_drive_one_rollout_and_each_step_is_done_once() {
    let pair = Pair::start().await;
    let release = release(1, None, vec![uploaded(&pair.one, "1.0.0").await]);
    let mut here = spore_in(&pair.one, &release, 0..5_000).await;
    let mut there = spore_in(&pair.two, &release, 5_000..10_000).await;
    let plan = json!({ "waves": [{ "percent": 50.0 }, { "percent": 100.0 }] });
    assert_eq!(publish(&pair.two, &release, Some(plan)).await.status, 201);
    here.say("UPDATE_REPORT", report(&release, "committed")).await;
    for nexus in [&pair.one, &pair.two] {
        rollout_when(nexus, "the second wave", |view| view["wave"] == 2).await;
    }
    there.say("UPDATE_REPORT", report(&release, "committed")).await;
    for nexus in [&pair.one, &pair.two] {
        let view = rollout_when(nexus, "the end", |view| {
            view["state"] == "completed" && view["counts"]["committed"] == 2
        })
        .await;
        assert_eq!(view["counter"], 2, "a counter for each thing spores are told");
    }
    let paused = admin(&pair.one, "/api/v1/rollouts/stable/pause", &json!({})).await;
    assert_eq!(paused.body["state"], "paused");
    rollout_when(&pair.two, "the pause", |view| view["state"] == "paused").await;
    let directories = pair.stop().await;
    let waves = directories
        .iter()
        .map(|directory| Kept::audited(directory, "rollout_wave").len());
    assert_eq!(waves.sum::<usize>(), 1, "one of them did it");
}

#[tokio::test]
async fn releases_published_at_one_time_follow_each_other() {
    let pair = Pair::start().await;
    let entry = uploaded(&pair.one, "1.0.0").await;
    let rivals: Vec<_> = (1..=4).map(|seq| release(seq, None, vec![entry.clone()])).collect();
    let nexuses = [&pair.one, &pair.two, &pair.one, &pair.two];
    let publishing = rivals
        .iter()
        .zip(nexuses)
        .map(|(release, nexus)| publish(nexus, release, None));
    let answers = futures_util::future::join_all(publishing).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        3,
        "{statuses:?}"
    );
    pair.stop().await;
}

/// Whoever writes to Redis and has no key.
#[tokio::test]
async fn who_writes_to_redis_moves_nothing() {
    let pair = Pair::start().await;
    let first = published(&pair.one, 1, None, None).await;
    let plan = json!({ "waves": [{ "percent": 1.0, "min_reports": 9 }, { "percent": 100.0 }] });
    let broker = broker_at(&pair.redis);
    let name = "releases/channel/stable";
    let old = until("the record", async || broker.record(name).await.ok().flatten()).await;
    let second = published(&pair.one, 2, Some(first.unsigned().digest()), Some(plan)).await;
    rollout_when(&pair.two, "the second release", |view| view["seq"] == 2).await;

    // an old state is put back, and a hint sent after it
    let now = broker.record(name).await.unwrap().unwrap();
    assert!(broker.put_record(name, old.bytes, now.version).await.unwrap());
    let hint = json!({ "command": "UPDATE_SYSTEM", "data": { "channel": "stable", "seq": 99 } });
    broker.broadcast(hint.to_string()).await.unwrap();
    // an order that comes after it writes what is right over what is wrong
    let paused = admin(&pair.two, "/api/v1/rollouts/stable/pause", &json!({})).await;
    assert_eq!(
        (&paused.body["seq"], &paused.body["state"]),
        (&json!(2), &json!("paused")),
        "{paused:?}"
    );
    for nexus in [&pair.one, &pair.two] {
        let current = nexus.get("/api/v1/releases/current").await.body;
        assert_eq!(current["release"], release_text(&second));
    }

    // where the rollout stands is signed: whoever skips its waves stops it, and no more
    let now = broker.record(name).await.unwrap().unwrap();
    let mut forged: Value = serde_json::from_slice(&now.bytes).unwrap();
    let note: Value = serde_json::from_str(forged["note"].as_str().unwrap()).unwrap();
    assert_eq!(note["payloadType"], "application/vnd.venom.note+json");
    let everybody = json!({ "release_sha256": second.unsigned().digest(), "turn": 99,
        "plan": { "waves": [{ "percent": 100.0 }] },
        "progress": { "state": "running", "reason": "", "wave": 1, "wave_began": "2026-01-02T03:04:05Z",
            "good_since": null, "excused": 0 } });
    forged["note"] = json!(venom_bundle::sign_note(&everybody, &key(99)));
    assert!(
        broker
            .put_record(name, serde_json::to_vec(&forged).unwrap(), now.version)
            .await
            .unwrap()
    );
    let fresh = tempfile::tempdir().unwrap();
    let third = nexus(&pair.redis, &fresh).await;
    let view = rollout_when(&third, "its look", |view| view["seq"] == 2).await;
    assert_eq!(view["state"], "paused", "{view}");
    third.stop().await;
    pair.stop().await;
}

#[tokio::test]
async fn a_nexus_with_another_root_publishes_nothing() {
    let pair = Pair::start().await;
    let mut other = root();
    other.swarm_id = "other-swarm".parse().unwrap();
    let text = signed(other.unsigned(), &[ROOT_KEY]);
    let directory = tempfile::tempdir().unwrap();
    let mut settings = keeping(directory.path());
    settings.releases.root = Some(venom_bundle::TrustedRoot::pin(text.as_bytes()).unwrap());
    let stranger = started(settings, broker_at(&pair.redis)).await;
    let bundle = bundle("EchoSkill", "1.0.0", &[]);
    let refused = upload(&stranger, bundle.to_bytes()).await;
    refused.assert_problem(503, "/api/v1/bundles", "one of them is not this swarm's");
    stranger.stop().await;
    assert_eq!(Kept::audited(&directory, "trust_alarm").len(), 1);
    pair.stop().await;
}

#[tokio::test]
async fn with_every_third_message_to_the_broker_lost_releases_only_come_later() {
    let directory = tempfile::tempdir().unwrap();
    let broker = crate::harness::sqlite_in(directory.path(), Settings::default());
    let broker = Arc::new(crate::faulty::Faulty::new(broker, crate::chance::Chance::new(11)));
    let mut settings = keeping(directory.path());
    settings.releases.poll = Duration::from_millis(50);
    let nexus = started(settings, broker).await;
    let mut before = None;
    for seq in 1..=4 {
        let bundle = bundle("EchoSkill", &format!("{seq}.0.0"), &[]);
        let entry = entry("EchoSkill", named(&bundle, &format!("{seq}.0.0")));
        until("the bundle to be taken", async || {
            let answer = upload(&nexus, bundle.to_bytes()).await;
            assert!([200, 201, 503].contains(&answer.status), "{answer:?}");
            (answer.status != 503).then_some(())
        })
        .await;
        let release = release(seq, before, vec![entry]);
        let mut spore = spore_in(&nexus, &release, 0..5_000).await;
        let plan = json!({ "waves": [{ "percent": 50.0 }, { "percent": 100.0 }] });
        let view = until("the release to be taken", async || {
            let answer = publish(&nexus, &release, Some(plan.clone())).await;
            assert!([200, 201, 503].contains(&answer.status), "{answer:?}");
            (answer.status != 503).then_some(answer.body)
        })
        .await;
        assert_eq!(view["seq"], seq);
        spore.say("UPDATE_REPORT", report(&release, "committed")).await;
        rollout_when(&nexus, "the end", |view| {
            view["state"] == "completed" && view["seq"] == seq
        })
        .await;
        before = Some(release.unsigned().digest());
        spore.say("DISCONNECT", json!({})).await;
    }
    nexus.stop().await;
}
