//! What is not published, and what whoever tries is told. Each key is stolen in turn.

use serde_json::json;
use venom_bundle::{BundleRef, Digest, Release, Rollout, RolloutOrder, Selector};

use crate::harness::{Answer, TestNexus};
use crate::release_kit::*;

const RELEASES: &str = "/api/v1/releases";
const ROOTS: &str = "/api/v1/trust/roots";
const BUNDLES: &str = "/api/v1/bundles";

async fn send(nexus: &TestNexus, release: String) -> Answer {
    admin(nexus, RELEASES, &json!({ "release": release })).await
}

#[tokio::test]
async fn an_old_release_is_refused_and_another_of_its_number_is_an_alarm() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let first = published(nexus, 1, None, None).await;
    let second = published(nexus, 2, Some(first.unsigned().digest()), None).await;
    let replayed = send(nexus, release_text(&first)).await;
    replayed.assert_problem(409, RELEASES, "release 1.1 is older than 1.2");
    let twin = Release {
        expires: in_seconds(1_000),
        ..second.clone()
    };
    send(nexus, release_text(&twin)).await.assert_problem(
        409,
        RELEASES,
        "two different documents are both release 1.2",
    );
    assert_eq!(nexus.metric("venom_nexus_trust_alarms_total").await, 1.0);
    let side = release(3, Some(first.unsigned().digest()), second.entries.clone());
    send(nexus, release_text(&side))
        .await
        .assert_problem(409, RELEASES, "make it anew from the current one");
    let orphan = release(3, None, second.entries.clone());
    send(nexus, release_text(&orphan))
        .await
        .assert_problem(409, RELEASES, "the release was made after no other");
    let current = nexus.get("/api/v1/releases/current").await.body;
    assert_eq!(current["release"], release_text(&second), "nothing has changed");
    let directory = kept.stop().await;
    assert_eq!(Kept::audited(&directory, "document_refused").len(), 4);
    let alarms = Kept::audited(&directory, "trust_alarm");
    assert_eq!(alarms[0]["found_by"], "owner");
}

#[tokio::test]
async fn a_stolen_key_does_no_more_than_its_role() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let entry = uploaded(nexus, "1.0.0").await;
    let release = release(1, None, vec![entry]);
    for (thief, seed) in [
        ("online", ONLINE_KEY),
        ("publisher", PUBLISHER_KEY),
        ("root", ROOT_KEY),
        ("nobody's", 99),
    ] {
        let text = signed(release.unsigned(), &[seed]);
        let answer = send(nexus, text).await;
        answer.assert_problem(403, RELEASES, "0 of the 1 different keys");
        assert_eq!(answer.body["type"], "urn:venom:problem:not-trusted", "{thief}");
    }
    let unsigned = release.unsigned().to_text();
    send(nexus, unsigned)
        .await
        .assert_problem(403, RELEASES, "0 of the 1 different keys");
    // one kind of document for another, with a key that may sign both kinds nowhere
    let rollout = Rollout {
        format: 1,
        swarm_id: release.swarm_id.clone(),
        channel: release.channel.clone(),
        release_sha256: Digest::of(b""),
        counter: 9,
        wave: 10_000,
        state: RolloutOrder::Run,
        issued: in_seconds(0),
        expires: in_seconds(60),
    };
    let answer = send(nexus, signed(rollout.unsigned(), &[RELEASE_KEY])).await;
    assert!([400, 403].contains(&answer.status), "{answer:?}");
    // a bundle signed by whoever may sign releases, rollouts and roots
    for seed in [RELEASE_KEY, ONLINE_KEY, ROOT_KEY, 99] {
        let foreign = bundle_by(seed, "EchoSkill", "6.6.6", &[]);
        let answer = upload(nexus, foreign.to_bytes()).await;
        answer.assert_problem(403, BUNDLES, "no signature of the bundle is one of a trusted key");
    }
    // a root by whoever holds any other key
    for seed in [RELEASE_KEY, ONLINE_KEY, PUBLISHER_KEY] {
        let mut next = root();
        next.version = 2;
        next.roles.root.keys = vec![key(seed).public()];
        let answer = admin(nexus, ROOTS, &json!({ "root": signed(next.unsigned(), &[seed]) })).await;
        answer.assert_problem(403, ROOTS, "0 of the 1 different keys");
    }
    assert_eq!(nexus.get("/api/v1/releases/current").await.status, 404);
    assert_eq!(nexus.get("/api/v1/trust").await.body["root_version"], 1);
    kept.stop().await;
}

#[tokio::test]
async fn releases_for_others_and_expired_ones_are_refused() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let good = release(1, None, vec![uploaded(nexus, "1.0.0").await]);
    for (change, status, words) in [
        (json!({ "swarm_id": "other" }), 403, "is for swarm `other`"),
        (json!({ "epoch": 2 }), 409, "is for epoch `2`"),
        (json!({ "expires": "2026-01-03T00:00:00Z" }), 422, "expired"),
        (json!({ "format": 2 }), 400, "update the host"),
    ] {
        let mut value = serde_json::to_value(&good).unwrap();
        value
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let changed: Release = serde_json::from_value(value).unwrap();
        send(nexus, release_text(&changed))
            .await
            .assert_problem(status, RELEASES, words);
    }
    for (text, words) in [
        ("", "not a release"),
        ("{}", "not a release"),
        ("nonsense", "not a release"),
    ] {
        send(nexus, text.to_owned()).await.assert_problem(400, RELEASES, words);
    }
    let altered = release_text(&good).replacen("\"payload\":\"e", "\"payload\":\"f", 1);
    let answer = send(nexus, altered).await;
    assert!([400, 403].contains(&answer.status), "{answer:?}");
    let plan = json!({ "waves": [{ "percent": 50.0 }] });
    publish(nexus, &good, Some(plan))
        .await
        .assert_problem(400, RELEASES, "percent 100");
    let unknown = json!({ "waves": [{ "percent": 100.0, "pause": 1 }] });
    publish(nexus, &good, Some(unknown))
        .await
        .assert_problem(400, RELEASES, "unknown field `pause`");
    kept.stop().await;
}

#[tokio::test]
async fn a_release_names_bundles_that_are_here_and_as_it_says() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let good = uploaded(nexus, "1.0.0").await;
    let other = uploaded(nexus, "2.0.0").await.bundle;
    let with = |bundle: BundleRef| release_text(&release(1, None, vec![entry("EchoSkill", bundle)]));
    let BundleRef {
        sha256,
        file_sha256,
        size,
        ..
    } = good.bundle.clone();
    for (bundle, words) in [
        (
            BundleRef {
                file_sha256: Digest::of(b"x"),
                ..good.bundle.clone()
            },
            "upload it first",
        ),
        (
            BundleRef {
                size: size + 1,
                ..good.bundle.clone()
            },
            "the size of its bundle",
        ),
        (
            BundleRef {
                version: "1.0.1".parse().unwrap(),
                ..good.bundle.clone()
            },
            "the version of its bundle is 1.0.0",
        ),
        (
            BundleRef {
                sha256: other.sha256,
                ..good.bundle.clone()
            },
            "the digest of the manifest",
        ),
        (
            BundleRef {
                sha256,
                file_sha256,
                ..other.clone()
            },
            "of its bundle is",
        ),
    ] {
        send(nexus, with(bundle)).await.assert_problem(422, RELEASES, words);
    }
    let renamed = release(1, None, vec![entry("OtherSkill", good.bundle.clone())]);
    send(nexus, release_text(&renamed))
        .await
        .assert_problem(422, RELEASES, "the name of its bundle is EchoSkill");
    let mut fallback = entry("EchoSkill", good.bundle.clone());
    fallback.fallback = Some(BundleRef {
        file_sha256: Digest::of(b"x"),
        ..other
    });
    let fallback = release(1, None, vec![fallback]);
    send(nexus, release_text(&fallback))
        .await
        .assert_problem(422, RELEASES, "upload it first");
    let mut revoking = release(1, None, vec![good.clone()]);
    revoking.revoked = vec![*key(PUBLISHER_KEY).public().id().digest()];
    send(nexus, release_text(&revoking))
        .await
        .assert_problem(403, RELEASES, "signed with the revoked key");
    // even a bundle that was good when it came is looked at again: its file may have been changed since
    let path = kept
        .directory
        .path()
        .join("releases")
        .join(format!("{file_sha256}.venom"));
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1_500;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let answer = send(nexus, with(good.bundle)).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    kept.stop().await;
}

#[tokio::test]
async fn a_tampered_bundle_is_refused_and_leaves_nothing() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let good = bundle("EchoSkill", "1.0.0", &[]).to_bytes();
    for at in [700, good.len() / 2, good.len() - 1_500] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let answer = upload(nexus, bad).await;
        assert!([400, 403, 422].contains(&answer.status), "at {at}: {answer:?}");
    }
    upload(nexus, good[..good.len() - 1].to_vec())
        .await
        .assert_problem(400, BUNDLES, "not a bundle");
    upload(nexus, [&good[..], b"x"].concat())
        .await
        .assert_problem(400, BUNDLES, "not a bundle");
    upload(nexus, "").await.assert_problem(400, BUNDLES, "not a bundle");
    let left: Vec<_> = std::fs::read_dir(kept.directory.path().join("releases"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(nexus.get(BUNDLES).await.body["bundles"], json!([]));
    kept.stop().await;
}

#[tokio::test]
async fn roots_follow_each_other_and_a_new_epoch_begins_releases_anew() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let first = published(nexus, 9, None, None).await;
    let mut next = root();
    (next.version, next.epoch) = (2, 2);
    next.roles.release.keys = vec![key(22).public()];
    let take = async |text: String| admin(nexus, ROOTS, &json!({ "root": text })).await;
    let mut skipped = next.clone();
    skipped.version = 3;
    take(signed(skipped.unsigned(), &[ROOT_KEY]))
        .await
        .assert_problem(409, ROOTS, "does not follow root 1");
    let second = signed(next.unsigned(), &[ROOT_KEY]);
    assert_eq!(take(second.clone()).await.status, 201);
    assert_eq!(take(second.clone()).await.status, 200, "again");
    let twin = venom_bundle::Root {
        expires: in_seconds(9_999),
        ..next.clone()
    };
    take(signed(twin.unsigned(), &[ROOT_KEY]))
        .await
        .assert_problem(409, ROOTS, "both version 2");
    take(signed(twin.unsigned(), &[99]))
        .await
        .assert_problem(403, ROOTS, "0 of the 1 different keys");
    // the old key signs nothing any more, and the numbers begin anew
    let begun = Release {
        epoch: 2,
        ..release(1, None, first.entries.clone())
    };
    send(nexus, release_text(&begun))
        .await
        .assert_problem(403, RELEASES, "0 of the 1 different keys");
    let answer = send(nexus, signed(begun.unsigned(), &[22])).await;
    assert_eq!((answer.status, &answer.body["epoch"]), (201, &json!(2)), "{answer:?}");
    let mut spore = crate::harness::FakeSpore::v2(nexus, &[]).await;
    let answer = asked(&mut spore, 1, None, 0).await;
    assert_eq!(answer["roots"], json!([second]));
    let directory = kept.stop().await;
    assert_eq!(Kept::audited(&directory, "root_rotated").len(), 1);
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_publishes_nothing() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let first = published(nexus, 1, None, None).await;
    let mut spore = spore_in(nexus, &first, 0..10_000).await;
    spore.say("UPDATE_REPORT", report(&first, "committed")).await;
    let asking = bundle("EchoSkill", "3.0.0", &["sleep"]);
    assert_eq!(upload(nexus, asking.to_bytes()).await.status, 201);
    let mut second = release(
        2,
        Some(first.unsigned().digest()),
        vec![entry("EchoSkill", named(&asking, "3.0.0"))],
    );
    let dry = async |release: &Release, text: String| {
        let path = format!("{RELEASES}?dry_run=true");
        let answer = admin(nexus, &path, &json!({ "release": text })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["release_sha256"], json!(release.unsigned().digest()));
        answer.body
    };
    crate::harness::until("the report to be taken", async || {
        let body = dry(&second, release_text(&second)).await;
        (body["spores"][0]["changes"] == json!(["EchoSkill 1.0.0 -> 3.0.0"])).then_some(())
    })
    .await;
    let body = dry(&second, release_text(&second)).await;
    assert_eq!(body["problems"], json!([]));
    assert_eq!(body["spores"][0]["wave"], 1);
    let change = &body["changes"][0];
    assert_eq!((&change["from"], &change["to"]), (&json!("1.0.0"), &json!("3.0.0")));
    assert_eq!(
        (&change["asks_more"], &change["held"]),
        (&json!(["command sleep"]), &json!(true))
    );
    second.entries[0].approved = true;
    second.entries[0].selector = Selector {
        tags: vec!["gpu".to_owned()],
        ..Selector::default()
    };
    let unsigned = dry(&second, second.unsigned().to_text()).await;
    assert_eq!(unsigned["changes"][0]["held"], false);
    assert_eq!(
        (&unsigned["spores"][0]["wave"], &unsigned["spores"][0]["changes"]),
        (&json!(null), &json!(["EchoSkill 1.0.0 -> none"]))
    );
    assert!(
        unsigned["problems"][0]
            .as_str()
            .unwrap()
            .contains("0 of the 1 different keys"),
        "{unsigned}"
    );
    assert_eq!(
        nexus.get("/api/v1/releases/current").await.body["release"],
        release_text(&first)
    );
    kept.stop().await;
}

#[tokio::test]
async fn a_nexus_that_lacks_something_says_what_to_do() {
    let without = TestNexus::start().await;
    for path in ["/api/v1/trust", BUNDLES, RELEASES, "/api/v1/rollouts/stable"] {
        without
            .get(path)
            .await
            .assert_problem(503, path, "this nexus keeps no releases");
    }
    without.stop().await;

    let keyless = Kept::start_with(|settings| settings.releases.online_key = None).await;
    let release = release(1, None, vec![uploaded(&keyless.nexus, "1.0.0").await]);
    publish(&keyless.nexus, &release, None)
        .await
        .assert_problem(503, RELEASES, "keys/online.key");
    keyless.stop().await;

    let stranger = Kept::start_with(|settings| {
        settings.releases.online_key = Some(std::sync::Arc::new(key(77)));
    })
    .await;
    let answer = publish(&stranger.nexus, &release, None).await;
    let missing = "cannot sign rollouts under root 1";
    answer.assert_problem(503, RELEASES, missing);
    stranger.stop().await;

    let rootless = Kept::start_with(|settings| settings.releases.root = None).await;
    rootless
        .nexus
        .get("/api/v1/trust")
        .await
        .assert_problem(404, "/api/v1/trust", "put root.json");
    upload(&rootless.nexus, "x")
        .await
        .assert_problem(503, BUNDLES, "put root.json");
    let root = admin(&rootless.nexus, ROOTS, &json!({ "root": root_text() })).await;
    root.assert_problem(503, ROOTS, "put root.json");
    rootless.nexus.get("/api/v1/rollouts/stable").await.assert_problem(
        404,
        "/api/v1/rollouts/stable",
        "has no release",
    );
    let strange = "/api/v1/rollouts/No%20Channel";
    rootless
        .nexus
        .get(strange)
        .await
        .assert_problem(400, strange, "is no channel");
    rootless.stop().await;
}
