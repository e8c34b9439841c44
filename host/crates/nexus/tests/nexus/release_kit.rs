//! Keys, roots, bundles and releases for tests, and a nexus that keeps them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use venom_broker::Broker;
use venom_bundle::{
    BundleRef, Channel, Digest, Entry, Release, Role, Roles, Root, RootPublisher, Selector, SignedBundle,
    SignedDocument, SigningKey, SkillToml, SwarmId, TrustedRoot, bucket, pack,
};
use venom_nexus::{NexusSettings, ReleasesSettings};
use venom_protocol::{NodeId, Timestamp};

use crate::harness::{ADMIN, Answer, FakeSpore, TestNexus, settings, sqlite_in, until};

/// Keys by what they are for.
pub(crate) const ROOT_KEY: u8 = 1;
pub(crate) const RELEASE_KEY: u8 = 2;
pub(crate) const ONLINE_KEY: u8 = 3;
pub(crate) const PUBLISHER_KEY: u8 = 4;

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn role(seed: u8) -> Role {
    Role {
        keys: vec![key(seed).public()],
        threshold: 1,
    }
}

/// So many seconds from now.
pub(crate) fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp(Timestamp::now().0 + jiff::SignedDuration::from_secs(seconds))
}

pub(crate) fn root() -> Root {
    Root {
        format: Root::FORMAT,
        swarm_id: "test-swarm".parse::<SwarmId>().unwrap(),
        version: 1,
        epoch: 1,
        created: Timestamp::parse("2026-01-02T03:04:05Z").unwrap(),
        expires: Timestamp::parse("2046-01-02T03:04:05Z").unwrap(),
        roles: Roles {
            root: role(ROOT_KEY),
            release: role(RELEASE_KEY),
            rollout: role(ONLINE_KEY),
        },
        publishers: vec![RootPublisher {
            name: "tester".to_owned(),
            prefix: "*".to_owned(),
            keys: vec![key(PUBLISHER_KEY).public()],
            threshold: 1,
            ceiling: None,
            budgets: Default::default(),
        }],
        revoked: Vec::new(),
    }
}

pub(crate) fn signed(mut document: SignedDocument, seeds: &[u8]) -> String {
    seeds.iter().for_each(|seed| document.add_signature(&key(*seed)));
    document.to_text()
}

pub(crate) fn root_text() -> String {
    signed(root().unsigned(), &[ROOT_KEY])
}

pub(crate) fn trusted_root() -> TrustedRoot {
    TrustedRoot::pin(root_text().as_bytes()).unwrap()
}

/// A skill of this name and version that asks for these commands.
pub(crate) fn bundle(name: &str, version: &str, commands: &[&str]) -> SignedBundle {
    bundle_by(PUBLISHER_KEY, name, version, commands)
}

pub(crate) fn bundle_by(seed: u8, name: &str, version: &str, commands: &[&str]) -> SignedBundle {
    let component = format!(
        r#"(component (component $empty) (instance $api (instantiate $empty))
            (export "venom:skill/api@0.1.0" (instance $api)) (@custom "version" "{version}"))"#
    );
    let toml = format!(
        "name='{name}'\nversion='{version}'\nsummary='a test'\nhost='>=0.1, <2'\n[capabilities]\ncommands={}",
        json!(commands)
    );
    let created = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
    let component = wat::parse_str(component).unwrap();
    pack(&SkillToml::parse(&toml).unwrap(), &component, created)
        .unwrap()
        .sign(&key(seed))
}

/// How a release names a bundle.
pub(crate) fn named(bundle: &SignedBundle, version: &str) -> BundleRef {
    let bytes = bundle.to_bytes();
    BundleRef {
        version: version.parse().unwrap(),
        sha256: bundle.digest(),
        file_sha256: Digest::of(&bytes),
        size: bytes.len() as u64,
        sources: Vec::new(),
    }
}

pub(crate) fn entry(skill: &str, bundle: BundleRef) -> Entry {
    Entry {
        skill: skill.to_owned(),
        bundle,
        selector: Selector::default(),
        grants: None,
        approved: false,
        floor: None,
        fallback: None,
    }
}

pub(crate) fn release(seq: u64, prev: Option<Digest>, entries: Vec<Entry>) -> Release {
    Release {
        format: Release::FORMAT,
        swarm_id: "test-swarm".parse().unwrap(),
        channel: Channel::default(),
        epoch: 1,
        seq,
        prev_sha256: prev,
        created: Timestamp::parse("2026-01-02T03:04:05Z").unwrap(),
        expires: Timestamp::parse("2046-01-02T03:04:05Z").unwrap(),
        entries,
        revoked: Vec::new(),
    }
}

pub(crate) fn release_text(release: &Release) -> String {
    signed(release.unsigned(), &[RELEASE_KEY])
}

/// Settings of a nexus that keeps releases in this directory.
pub(crate) fn keeping(directory: &Path) -> NexusSettings {
    NexusSettings {
        releases: ReleasesSettings {
            directory: Some(directory.join("releases")),
            online_key: Some(Arc::new(key(ONLINE_KEY))),
            root: Some(trusted_root()),
            thin_wave_patience: Duration::ZERO,
            ..ReleasesSettings::default()
        },
        audit_log: Some(directory.join("audit.jsonl")),
        ..settings()
    }
}

/// A nexus that keeps releases, with its directory.
pub(crate) struct Kept {
    pub(crate) nexus: TestNexus,
    pub(crate) directory: tempfile::TempDir,
}

impl Kept {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut NexusSettings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = keeping(directory.path());
        change(&mut settings);
        let nexus = started(settings, sqlite_in(directory.path(), venom_broker::Settings::default())).await;
        Self { nexus, directory }
    }

    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.nexus.stop().await;
        self.directory
    }

    /// Lines of the audit with this name; the nexus must have stopped.
    pub(crate) fn audited(directory: &tempfile::TempDir, event: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["event"] == event).collect()
    }
}

/// A nexus that has looked at what is kept.
pub(crate) async fn started(settings: NexusSettings, broker: Arc<dyn Broker>) -> TestNexus {
    let nexus = TestNexus::start_all(settings, None, Some(broker)).await;
    until("the first look", async || {
        (nexus.get("/api/v1/trust").await.status != 503).then_some(())
    })
    .await;
    nexus
}

pub(crate) async fn admin(nexus: &TestNexus, path: &str, body: &Value) -> Answer {
    Answer::of(nexus.http.post(nexus.url(path)).bearer_auth(ADMIN).json(body)).await
}

pub(crate) async fn upload(nexus: &TestNexus, bytes: impl Into<reqwest::Body>) -> Answer {
    let request = nexus.http.post(nexus.url("/api/v1/bundles")).bearer_auth(ADMIN);
    Answer::of(request.body(bytes)).await
}

pub(crate) async fn publish(nexus: &TestNexus, release: &Release, plan: Option<Value>) -> Answer {
    admin(
        nexus,
        "/api/v1/releases",
        &json!({ "release": release_text(release), "plan": plan }),
    )
    .await
}

/// Uploads `EchoSkill` of this version and gives its entry.
pub(crate) async fn uploaded(nexus: &TestNexus, version: &str) -> Entry {
    let bundle = bundle("EchoSkill", version, &[]);
    let answer = upload(nexus, bundle.to_bytes()).await;
    assert!([200, 201].contains(&answer.status), "{answer:?}");
    entry("EchoSkill", named(&bundle, version))
}

/// A release of `EchoSkill` in this version, published.
pub(crate) async fn published(nexus: &TestNexus, seq: u64, prev: Option<Digest>, plan: Option<Value>) -> Release {
    let release = release(seq, prev, vec![uploaded(nexus, &format!("{seq}.0.0")).await]);
    let answer = publish(nexus, &release, plan).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    release
}

/// Report of a spore that has accepted a release and stands in one state with its first entry.
pub(crate) fn report(release: &Release, state: &str) -> Value {
    let bundle = &release.entries[0].bundle;
    let is_there = state == "committed" || state == "soaking";
    json!({
        "channel": release.channel, "root_version": 1, "rollout_counter": 1,
        "release": { "epoch": release.epoch, "seq": release.seq, "sha256": release.unsigned().digest() },
        "skills": [{
            "skill": release.entries[0].skill, "state": state, "since": "2026-01-02T03:04:05Z",
            "version": is_there.then(|| bundle.version.to_string()),
            "bundle_sha256": is_there.then(|| bundle.sha256.to_string()),
            "wanted_version": bundle.version, "wanted_sha256": bundle.sha256,
            "reason": (!is_there).then_some("a reason"),
        }],
    })
}

/// A spore of ours that follows `stable`, has nothing yet, and whose turn comes in this part of all spores.
pub(crate) async fn spore_in(nexus: &TestNexus, release: &Release, buckets: std::ops::Range<u16>) -> FakeSpore {
    let digest = release.unsigned().digest();
    let id = loop {
        let id = uuid::Uuid::new_v4();
        if buckets.contains(&bucket(&digest, NodeId(id))) {
            break id;
        }
    };
    let mut spore = FakeSpore::connect(nexus).await;
    spore.node_id = id.to_string();
    spore.introduce_v2(&[], &[], "boot-1").await;
    spore
        .say(
            "UPDATE_REPORT",
            json!({ "channel": "stable", "root_version": 1, "skills": [] }),
        )
        .await;
    spore
}

/// The next message of this type; others are let go by.
pub(crate) async fn heard(spore: &mut FakeSpore, kind: &str) -> Value {
    loop {
        match spore.next().await {
            crate::harness::Frame::Json(message) if message["message_type"] == kind => {
                return message["payload"].clone();
            }
            crate::harness::Frame::Json(_) => {}
            other => panic!("waiting for {kind}, got {other:?}"),
        }
    }
}

/// What a spore is answered that has this much.
pub(crate) async fn asked(spore: &mut FakeSpore, root: u64, release: Option<&Release>, counter: u64) -> Value {
    let digest = release.map(|release| release.unsigned().digest());
    let ask =
        json!({ "channel": "stable", "root_version": root, "release_sha256": digest, "rollout_counter": counter });
    spore.say("RELEASE_ASK", ask).await;
    heard(spore, "RELEASE_ANSWER").await
}

pub(crate) async fn rollout(nexus: &TestNexus) -> Value {
    nexus.get("/api/v1/rollouts/stable").await.body
}

/// The rollout, once it is so.
pub(crate) async fn rollout_when(nexus: &TestNexus, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until(what, async || {
        let view = rollout(nexus).await;
        is_so(&view).then_some(view)
    })
    .await
}
