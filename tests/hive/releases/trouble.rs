//! Bundles that are not what they should be, and versions that turn out bad: the spore goes back by itself, or never
//! leaves what it had.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use venom_bundle::{BundleRef, Entry};
use venom_tests::releases::{Desk, Packed, Swarm, signed};
use venom_tests::{Node, TestHive, eventually};

use super::impostor::Impostor;
use super::{until, variant};

/// A swarm whose node runs version 1, and version 2 just published.
async fn after(
    swarm: &Swarm,
    hive: &TestHive,
    change: impl FnOnce(&mut venom_spore::UpdateSettings),
    two: &Packed,
) -> Result<Node> {
    let node = hive.node()?.follows_as(swarm, change).start().await?;
    let mut desk = Desk::new(hive.client()?, swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "one", "")?]).await?;
    until(&hive.client()?, node.id, "committed", "1.0.0").await?;
    desk.publish(&[two]).await?;
    Ok(node)
}

#[tokio::test(flavor = "multi_thread")]
async fn case_24_a_version_that_traps_when_it_begins_or_is_probed_never_answers() -> Result<()> {
    for (variant_of_two, word) in [("trap-describe", "describe"), ("trap-probe", "probe")] {
        let swarm = Swarm::new(variant_of_two)?;
        let hive = TestHive::with_releases(&swarm).await?;
        let two = swarm.versioned("2.0.0", variant_of_two, "")?;
        let node = after(&swarm, &hive, |_| {}, &two).await?;
        let failed = until(&hive.client()?, node.id, "failed", "1.0.0").await?;
        assert!(failed["reason"].as_str().unwrap_or_default().contains(word), "{failed}");
        assert_eq!(variant(&hive.client()?, node.id).await?, json!("one"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_24_a_version_that_traps_while_it_is_watched_rolls_back_by_itself() -> Result<()> {
    let swarm = Swarm::new("mid-soak")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let two = swarm.versioned("2.0.0", "trap-call", "")?;
    // version 1 is watched as long
    let node = after(&swarm, &hive, |updates| updates.soak = Duration::from_secs(3), &two).await?;
    until(&client, node.id, "soaking", "2.0.0").await?;
    let crashed = client.call(node.id, "VersionedSkill.variant", json!({})).await?;
    assert_eq!(crashed.code(), "trapped");
    let back = until(&client, node.id, "rolled_back", "1.0.0").await?;
    assert!(
        back["reason"].as_str().unwrap_or_default().contains("crashed"),
        "{back}"
    );
    assert_eq!(variant(&client, node.id).await?, json!("one"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_24_a_version_whose_calls_fail_too_often_rolls_back_and_the_rollout_stops() -> Result<()> {
    let swarm = Swarm::new("errors")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let two = swarm.versioned("2.0.0", "fail-call", "")?;
    let change = |updates: &mut venom_spore::UpdateSettings| {
        updates.soak = Duration::from_secs(5);
        updates.gate.min_calls = 5;
        updates.gate.max_error_rate = 0.5;
    };
    let node = after(&swarm, &hive, change, &two).await?;
    until(&client, node.id, "soaking", "2.0.0").await?;
    for _ in 0..5 {
        assert!(!client.call(node.id, "VersionedSkill.variant", json!({})).await?.success);
    }
    until(&client, node.id, "rolled_back", "1.0.0").await?;
    assert_eq!(variant(&client, node.id).await?, json!("one"));
    let paused = Desk::new(hive.client()?, &swarm).until("paused").await?;
    assert!(!paused["reason"].as_str().unwrap_or_default().is_empty(), "{paused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_failed_is_not_tried_again_and_a_newer_one_is() -> Result<()> {
    let swarm = Swarm::new("again")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive.node()?.follows(&swarm).start().await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "one", "")?]).await?;
    until(&client, node.id, "committed", "1.0.0").await?;
    let bad = swarm.versioned("2.0.0", "trap-probe", "")?;
    desk.publish(&[&bad]).await?;
    let failed = until(&client, node.id, "failed", "1.0.0").await?;
    desk.publish(&[&bad]).await?;
    eventually("the second release to be taken", async || {
        let node = client.node(node.id).await?.unwrap_or_default();
        Ok((node["update"]["release"]["seq"] == 3).then_some(()))
    })
    .await?;
    assert_eq!(
        until(&client, node.id, "failed", "1.0.0").await?["since"],
        failed["since"]
    );
    desk.publish(&[&swarm.versioned("2.0.1", "two", "")?]).await?;
    until(&client, node.id, "committed", "2.0.1").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_floor_nothing_returns_and_the_fallback_answers() -> Result<()> {
    let swarm = Swarm::new("floor")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive
        .node()?
        .follows_as(&swarm, |updates| updates.soak = Duration::from_secs(3))
        .start()
        .await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    let one = swarm.versioned("1.0.0", "one", "")?;
    desk.publish(&[&one]).await?;
    until(&client, node.id, "soaking", "1.0.0").await?;
    let (safe, bad) = (
        swarm.versioned("1.5.0", "safe", "")?,
        swarm.versioned("2.0.0", "trap-call", "")?,
    );
    let entry = Entry {
        floor: Some("1.5.0".parse()?),
        fallback: Some(safe.bundle.clone()),
        ..bad.entry()
    };
    desk.publish_as(&[&safe, &bad], vec![entry], |_| {}, serde_json::Value::Null)
        .await?;
    until(&client, node.id, "soaking", "2.0.0").await?;
    assert_eq!(
        client.call(node.id, "VersionedSkill.variant", json!({})).await?.code(),
        "trapped"
    );
    until(&client, node.id, "rolled_back", "1.5.0").await?;
    assert_eq!(variant(&client, node.id).await?, json!("safe"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_bundle_stops_at_once_even_when_the_window_is_closed() -> Result<()> {
    let swarm = Swarm::new("revoked")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive.node()?.follows(&swarm).start().await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    let one = swarm.versioned("1.0.0", "one", "")?;
    desk.publish(&[&one]).await?;
    until(&client, node.id, "committed", "1.0.0").await?;
    let left = node.break_off().await?;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(3);
    let hour = soon.strftime("%H").to_string();
    let closed = format!("{hour}:00-{hour}:59").parse()?;
    let node = hive.node()?.follows_as(&swarm, |updates| updates.window = vec![closed]);
    let node = node.in_place_of(left).start().await?;
    let revoked = one.bundle.sha256;
    desk.publish_as(
        &[],
        vec![],
        |release| release.revoked = vec![revoked],
        serde_json::Value::Null,
    )
    .await?;
    until(&client, node.id, "removed", "").await?;
    let gone = client.call(node.id, "VersionedSkill.variant", json!({})).await;
    assert!(gone.is_err() || gone?.code() == "unknown_skill");
    Ok(())
}

/// A spore on a nexus in the wrong hands, with version 1.
async fn with_one(hive: &TestHive, swarm: &Swarm, impostor: &Impostor) -> Result<Node> {
    impostor.release(swarm, 1, &[&swarm.versioned("1.0.0", "one", "")?]);
    let node = impostor.spore(hive, swarm).await?;
    impostor.until("committed", "1.0.0").await?;
    Ok(node)
}

#[tokio::test(flavor = "multi_thread")]
async fn case_01_and_12_bytes_that_are_not_the_release_s_are_refused() -> Result<()> {
    let swarm = Swarm::new("bytes")?;
    let hive = TestHive::start().await?;
    let impostor = Impostor::start().await?;
    let _node = with_one(&hive, &swarm, &impostor).await?;
    let two = swarm.versioned("2.0.0", "two", "")?;
    impostor.release(&swarm, 2, &[&two]);
    let mut flipped = two.bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    impostor.serve(&two, &flipped);
    let failed = impostor.until("failed", "1.0.0").await?;
    assert!(
        failed["reason"].as_str().unwrap_or_default().contains("digest"),
        "{failed}"
    );
    // the right bytes under the next number: nothing was spoiled by the wrong ones
    impostor.release(&swarm, 3, &[&two]);
    impostor.until("committed", "2.0.0").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_12_a_bundle_passed_for_another_is_refused() -> Result<()> {
    let swarm = Swarm::new("passed")?;
    let hive = TestHive::start().await?;
    let impostor = Impostor::start().await?;
    let _node = with_one(&hive, &swarm, &impostor).await?;
    let (old, two) = (
        swarm.versioned("0.9.0", "old", "")?,
        swarm.versioned("2.0.0", "two", "")?,
    );
    // the release key signs a lie: version 2 with the bytes of an old bundle
    let lie = Packed {
        bundle: BundleRef {
            version: two.bundle.version.clone(),
            ..old.bundle.clone()
        },
        ..old.clone()
    };
    impostor.release(&swarm, 2, &[&lie]);
    let failed = impostor.until("failed", "1.0.0").await?;
    assert!(
        failed["reason"].as_str().unwrap_or_default().contains("0.9.0"),
        "{failed}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_15_and_18_publishers_outside_their_prefix_and_newer_hosts_are_refused() -> Result<()> {
    let mut swarm = Swarm::new("outside")?;
    swarm.root.publishers[0].prefix = "Versioned".to_owned();
    let hive = TestHive::start().await?;
    let impostor = Impostor::start().await?;
    let _node = with_one(&hive, &swarm, &impostor).await?;
    let newer = swarm.versioned_as("2.0.0", "two", |described| described.host = ">=9".parse().unwrap())?;
    impostor.release(&swarm, 2, &[&newer]);
    let failed = impostor.until("failed", "1.0.0").await?;
    assert!(
        failed["reason"]
            .as_str()
            .unwrap_or_default()
            .contains("update the host"),
        "{failed}"
    );
    let stranger = venom_bundle::SigningKey::generate()?;
    let unknown = swarm.versioned_by(&stranger, "2.0.1", "two", "")?;
    impostor.release(&swarm, 3, &[&unknown]);
    eventually("the stranger's bundle to be refused", async || {
        let skill = impostor.report()["skills"][0].clone();
        let why = skill["reason"].as_str().unwrap_or_default().to_owned();
        Ok(why.contains("trusted key").then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_25_what_a_thief_of_each_key_can_do_and_what_not() -> Result<()> {
    let swarm = Swarm::new("thief")?;
    let hive = TestHive::start().await?;
    let impostor = Impostor::start().await?;
    let node = with_one(&hive, &swarm, &impostor).await?;
    let evil = swarm.versioned("6.6.6", "evil", "")?;
    impostor.serve(&evil, &evil.bytes);
    let release = swarm.release(2, None, vec![evil.entry()]);
    let rollout = signed(
        swarm.rollout(release.unsigned().digest(), 1).unsigned(),
        &[&swarm.online_key()],
    );
    // publisher and online key together: a signed bundle, and a nexus that serves it, and still no release
    for thief in [&swarm.publisher_key, &swarm.online_key(), &swarm.root_key] {
        impostor.answer(&[], Some(&signed(release.unsigned(), &[thief])), Some(&rollout));
        impostor.asked_again().await?;
        assert_eq!(impostor.report()["release"]["seq"], 1);
        assert_eq!(impostor.report()["skills"][0]["version"], "1.0.0");
    }
    // the release key alone: a release that is believed, of bundles that nobody trusted signed
    let stranger = venom_bundle::SigningKey::generate()?;
    let unsigned = swarm.versioned_by(&stranger, "6.6.7", "evil", "")?;
    impostor.release(&swarm, 2, &[&unsigned]);
    impostor.until("failed", "1.0.0").await?;
    // and without the online key it waits for ever
    let two = swarm.versioned("2.0.0", "two", "")?;
    impostor.serve(&two, &two.bytes);
    impostor.answer(&[], Some(&swarm.sign(&swarm.release(3, None, vec![two.entry()]))), None);
    let waits = impostor.until("waiting", "1.0.0").await?;
    assert!(
        waits["reason"].as_str().unwrap_or_default().contains("rollout"),
        "{waits}"
    );
    // a root that the old root keys did not sign changes nothing
    let mut other = Swarm::new("other")?;
    other.root.swarm_id = swarm.root.swarm_id.clone();
    other.root.version = 2;
    impostor.answer(&[&other.root_text()], None, None);
    impostor.asked_again().await?;
    assert_eq!(impostor.report()["root_version"], 1);
    drop(node);
    Ok(())
}
