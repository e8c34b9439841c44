//! The road of a release, from publishing to a skill that answers, and what an operator can do on it.

use anyhow::Result;
use serde_json::{Value, json};
use venom_bundle::{Entry, Selector};
use venom_tests::releases::{Desk, Swarm};
use venom_tests::{SkillName, TestHive, eventually};

use super::{report, until, variant};

#[tokio::test(flavor = "multi_thread")]
async fn a_published_release_answers_calls_without_a_restart_and_survives_one() -> Result<()> {
    let swarm = Swarm::new("roads")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive.node()?.follows(&swarm).start().await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "one", "")?]).await?;
    until(&client, node.id, "committed", "1.0.0").await?;
    assert_eq!(variant(&client, node.id).await?, json!("one"));
    let skills = client.node(node.id).await?.unwrap_or_default()["capabilities"]["skills"].clone();
    assert_eq!(skills, json!(["VersionedSkill"]), "the nexus knows at once");

    desk.publish(&[&swarm.versioned("2.0.0", "two", "")?]).await?;
    until(&client, node.id, "committed", "2.0.0").await?;
    assert_eq!(variant(&client, node.id).await?, json!("two"));
    desk.until("completed").await?;

    let log = std::fs::read(node.outside().join("updates/audit.jsonl"))?;
    let summary = venom_audit::verify(log.as_slice()).map_err(|broken| anyhow::anyhow!("{broken:?}"))?;
    let text = String::from_utf8_lossy(&log);
    let noted = ["document_taken", "skill_installed", "skill_committed"];
    assert!(noted.iter().all(|event| text.contains(event)), "{summary:?}: {text}");

    let left = node.break_off().await?;
    let node = hive.node()?.follows(&swarm).in_place_of(left).start().await?;
    assert_eq!(
        variant(&client, node.id).await?,
        json!("two"),
        "it is there before the nexus was asked"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_replaces_a_skill_of_the_spores_own_and_gives_it_back() -> Result<()> {
    let swarm = Swarm::new("own")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive.node()?.skill(SkillName::Versioned).follows(&swarm).start().await?;
    assert_eq!(variant(&client, node.id).await?, json!("good"));
    assert_eq!(
        until(&client, node.id, "local", "1.0.0").await?["wanted_version"],
        Value::Null
    );
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("2.0.0", "two", "")?]).await?;
    until(&client, node.id, "committed", "2.0.0").await?;
    assert_eq!(variant(&client, node.id).await?, json!("two"));
    desk.publish(&[]).await?;
    until(&client, node.id, "removed", "").await?;
    assert_eq!(variant(&client, node.id).await?, json!("good"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_for_those_it_selects() -> Result<()> {
    let swarm = Swarm::new("selects")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let canary = hive
        .node()?
        .follows(&swarm)
        .with(|settings| settings.tags = vec!["canary".to_owned()]);
    let canary = canary.start().await?;
    let other = hive.node()?.follows(&swarm).start().await?;
    let (one, two) = (
        swarm.versioned("1.0.0", "one", "")?,
        swarm.versioned("2.0.0", "two", "")?,
    );
    let first = Entry {
        selector: Selector {
            tags: vec!["canary".to_owned()],
            ..Selector::default()
        },
        ..two.entry()
    };
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish_as(&[&one, &two], vec![first, one.entry()], |_| {}, Value::Null)
        .await?;
    until(&client, canary.id, "committed", "2.0.0").await?;
    until(&client, other.id, "committed", "1.0.0").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn waves_wait_for_those_before_and_an_operator_pauses_resumes_and_reverts() -> Result<()> {
    let swarm = Swarm::new("waves")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(hive.node()?.follows(&swarm).start().await?);
    }
    let mut desk = Desk::new(hive.client()?, &swarm);
    let one = swarm.versioned("1.0.0", "one", "")?;
    desk.publish(&[&one]).await?;
    for node in &nodes {
        until(&client, node.id, "committed", "1.0.0").await?;
    }
    let two = swarm.versioned("2.0.0", "two", "")?;
    let plan = json!({"waves": [{"percent": 0.01}, {"percent": 100.0}]});
    desk.publish_as(&[&two], vec![two.entry()], |_| {}, plan).await?;
    // nobody is in the first wave, so nobody may be first: silence is not health
    for node in &nodes {
        until(&client, node.id, "waiting", "1.0.0").await?;
    }
    let paused = desk.order("pause").await?;
    assert_eq!(paused["state"], "paused");
    let paused = eventually("the pause to be heard", async || {
        let report = report(&client, nodes[0].id).await?;
        Ok(report["reason"]
            .as_str()
            .is_some_and(|why| why.contains("paused"))
            .then_some(()))
    });
    paused.await?;
    let three = swarm.versioned("3.0.0", "three", "")?;
    desk.publish(&[&three]).await?;
    for node in &nodes {
        until(&client, node.id, "committed", "3.0.0").await?;
    }
    desk.order("revert").await?;
    for node in &nodes {
        until(&client, node.id, "reverted", "1.0.0").await?;
        assert_eq!(variant(&client, node.id).await?, json!("one"));
    }
    // a release of the very bundle they went back to
    desk.publish(&[&one]).await?;
    for node in &nodes {
        until(&client, node.id, "committed", "1.0.0").await?;
    }
    desk.until("completed").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_16_an_update_that_asks_for_more_is_held_until_an_operator_approves() -> Result<()> {
    let swarm = Swarm::new("held")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive.node()?.follows(&swarm).start().await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "one", "[capabilities]\nenv = [\"LANG\"]")?])
        .await?;
    until(&client, node.id, "committed", "1.0.0").await?;
    let greedy = swarm.versioned("2.0.0", "two", "[capabilities]\nenv = [\"LANG\", \"HOME\"]")?;
    desk.publish(&[&greedy]).await?;
    let held = until(&client, node.id, "held", "1.0.0").await?;
    assert!(
        held["reason"].as_str().unwrap_or_default().contains("env HOME"),
        "{held}"
    );
    assert_eq!(variant(&client, node.id).await?, json!("one"));
    let approved = Entry {
        approved: true,
        ..greedy.entry()
    };
    desk.publish_as(&[&greedy], vec![approved], |_| {}, Value::Null).await?;
    until(&client, node.id, "committed", "2.0.0").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_grants_counts_only_where_the_spore_says_so_and_its_policy_is_silent() -> Result<()> {
    let swarm = Swarm::new("grants")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let (strict, open) = (
        hive.node()?.follows(&swarm),
        hive.node()?.follows_as(&swarm, |updates| updates.release_grants = true),
    );
    let ruled = hive.node()?.follows_as(&swarm, |updates| updates.release_grants = true);
    let ruled = ruled.grant(|_| "[skills.VersionedSkill]\nenv = { VENOM = \"policy\" }\n".to_owned());
    let nodes = [strict.start().await?, open.start().await?, ruled.start().await?];
    let client = hive.client()?;
    let packed = swarm.versioned("1.0.0", "one", "[capabilities]\nenv = [\"VENOM\"]")?;
    let granting = Entry {
        grants: Some(toml::from_str("env = { VENOM = \"release\" }")?),
        ..packed.entry()
    };
    Desk::new(hive.client()?, &swarm)
        .publish_as(&[&packed], vec![granting], |_| {}, Value::Null)
        .await?;
    let mut seen = Vec::new();
    for node in &nodes {
        until(&client, node.id, "committed", "1.0.0").await?;
        let answer = client
            .call(node.id, "VersionedSkill.environment", json!({"key": "VENOM"}))
            .await?;
        seen.push(answer.result);
    }
    assert_eq!(seen, [Value::Null, json!("release"), json!("policy")]);
    Ok(())
}
