//! Swapping while calls run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use venom_tests::releases::{Desk, Swarm};
use venom_tests::{TestHive, eventually};

use super::{until, variant};

#[tokio::test(flavor = "multi_thread")]
async fn case_23_a_call_finishes_on_the_version_it_began_on() -> Result<()> {
    let swarm = Swarm::new("gated")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive
        .node()?
        .follows_as(&swarm, |updates| updates.drain = std::time::Duration::from_secs(60))
        .start()
        .await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "one", "")?]).await?;
    until(&client, node.id, "committed", "1.0.0").await?;
    let (caller, id) = (client.clone(), node.id);
    let long = tokio::spawn(async move {
        caller
            .call(id, "VersionedSkill.wait", json!({"milliseconds": 2_500}))
            .await
    });
    eventually("the call to be in flight", async || {
        Ok(client.node(id).await?.filter(|node| node["active_tasks"] == 1))
    })
    .await?;
    desk.publish(&[&swarm.versioned("2.0.0", "two", "")?]).await?;
    until(&client, id, "soaking", "2.0.0").await?;
    assert_eq!(variant(&client, id).await?, json!("two"));
    assert!(!long.is_finished(), "the swap came while it ran");
    assert_eq!(long.await??.result, json!("one"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_in_time_is_ended_and_the_version_before_still_comes_back() -> Result<()> {
    let swarm = Swarm::new("drained")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive.node()?.follows_as(&swarm, |updates| {
        updates.drain = std::time::Duration::from_millis(300);
        updates.soak = std::time::Duration::from_secs(60);
    });
    let node = node.start().await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "one", "")?]).await?;
    until(&client, node.id, "soaking", "1.0.0").await?;
    let (caller, id) = (client.clone(), node.id);
    let long = tokio::spawn(async move {
        caller
            .call(id, "VersionedSkill.wait", json!({"milliseconds": 20_000}))
            .await
    });
    eventually("the call to be in flight", async || {
        Ok(client.node(id).await?.filter(|node| node["active_tasks"] == 1))
    })
    .await?;
    desk.publish(&[&swarm.versioned("2.0.0", "two trap-call", "")?]).await?;
    let ended = long.await??;
    assert_eq!((ended.success, ended.code()), (false, "unavailable"), "{ended:?}");
    let crashed = client.call(id, "VersionedSkill.variant", json!({})).await?;
    assert_eq!(crashed.code(), "trapped");
    until(&client, id, "rolled_back", "1.0.0").await?;
    assert_eq!(variant(&client, id).await?, json!("one"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_under_load_fail_no_call() -> Result<()> {
    const RELEASES: usize = 12;
    let swarm = Swarm::new("load")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive.node()?.follows(&swarm).start().await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "v0", "")?]).await?;
    until(&client, node.id, "committed", "1.0.0").await?;
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let (client, stop, calls, id) = (client.clone(), Arc::clone(&stop), Arc::clone(&calls), node.id);
        callers.spawn(async move {
            let mut newest = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = client.call(id, "VersionedSkill.variant", json!({})).await?;
                ensure!(answer.success, "{answer:?}");
                let text = answer
                    .result
                    .as_str()
                    .unwrap_or_default()
                    .trim_start_matches('v')
                    .to_owned();
                let number: usize = text.parse()?;
                ensure!(number >= newest, "v{number} answered after v{newest}");
                newest = number;
                calls.fetch_add(1, Ordering::Relaxed);
            }
            Ok(newest)
        });
    }
    for n in 1..=RELEASES {
        let version = format!("1.0.{n}");
        desk.publish(&[&swarm.versioned(&version, &format!("v{n}"), "")?])
            .await?;
        until(&client, node.id, "committed", &version).await?;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(newest) = callers.join_next().await {
        assert_eq!(newest??, RELEASES);
    }
    assert!(calls.load(Ordering::Relaxed) > 10 * RELEASES);
    Ok(())
}
