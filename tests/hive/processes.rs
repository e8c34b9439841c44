//! The real binary as real processes: killed, restarted, drained.

use std::path::Path;

use anyhow::Result;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use venom_protocol::NodeId;
use venom_spore::sim::SimSpore;
use venom_tests::{Client, DEADLINE, HostProcess, HttpAnswer, Publisher, SPORE_TOKEN, SkillName, TestHive, soon};

/// A data directory with keys and `EchoSkill`.
async fn data_dir() -> Result<TempDir> {
    let data = TempDir::new()?;
    HostProcess::run(data.path(), &["init"]).await?;
    Publisher::of_data_dir(data.path())?.fill(&data.path().join("skills"), &[SkillName::Echo])?;
    Ok(data)
}

async fn spore(data: &Path, nexus: &str) -> Result<(HostProcess, NodeId)> {
    let arguments = [
        "spore",
        "--nexus",
        nexus,
        "--token",
        SPORE_TOKEN,
        "--heartbeat-interval",
        "200ms",
    ];
    let mut process = HostProcess::start(data, &arguments)?;
    let id = process.ready("spore ready").await?.parse()?;
    Ok((process, id))
}

/// Starts a call of this many milliseconds and waits until it runs.
async fn running(client: &Client, node: NodeId, milliseconds: u32) -> Result<JoinHandle<Result<HttpAnswer>>> {
    let caller = client.clone();
    let parameters = json!({"milliseconds": milliseconds});
    let call = tokio::spawn(async move { caller.execute(node, "EchoSkill.sleep", parameters, 60.0).await });
    venom_tests::eventually("the call to be in flight", async || {
        Ok(client.node(node).await?.filter(|node| node["active_tasks"] == 1))
    })
    .await?;
    Ok(call)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spore_killed_mid_call_fails_the_call_and_comes_back_as_itself() -> Result<()> {
    let hive = TestHive::start().await?;
    let client = hive.client()?;
    let data = data_dir().await?;
    let (process, id) = spore(data.path(), &hive.url()).await?;
    client.until_online(id, true).await?;
    let call = running(&client, id, 60_000).await?;
    process.kill().await?;
    let lost = soon("the error", call).await???;
    assert_eq!(lost.status, 502, "{}", lost.body);
    assert!(lost.is_problem());
    client.until_online(id, false).await?;

    let (_process, again) = spore(data.path(), &hive.url()).await?;
    assert_eq!(again, id, "the data directory keeps the id");
    client.until_online(id, true).await?;
    assert_eq!(
        client.call(id, "EchoSkill.say", json!({"text": "back"})).await?.result,
        json!("back")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_a_spore_and_it_exits_0() -> Result<()> {
    let hive = TestHive::start().await?;
    let client = hive.client()?;
    let data = data_dir().await?;
    let (mut process, id) = spore(data.path(), &hive.url()).await?;
    let call = running(&client, id, 1_500).await?;
    process.signal(Signal::TERM)?;
    venom_tests::eventually("the drain to be known", async || {
        Ok(client.node(id).await?.filter(|node| node["draining"] == true))
    })
    .await?;
    let refused = client
        .execute(id, "EchoSkill.say", json!({"text": "late"}), 5.0)
        .await?;
    assert_ne!(refused.status, 200, "a draining node took a call: {}", refused.body);
    let finished = soon("the answer", call).await???;
    assert_eq!(finished.status, 200, "{}", finished.body);
    assert_eq!(finished.body["result"], 1_500);
    assert_eq!(process.ended().await?.code(), Some(0));
    client.until_online(id, false).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_does_not_wait_for_the_calls() -> Result<()> {
    let hive = TestHive::start().await?;
    let client = hive.client()?;
    let data = data_dir().await?;
    let (mut process, id) = spore(data.path(), &hive.url()).await?;
    let call = running(&client, id, 60_000).await?;
    process.signal(Signal::TERM)?;
    venom_tests::eventually("the drain to be known", async || {
        Ok(client.node(id).await?.filter(|node| node["draining"] == true))
    })
    .await?;
    process.signal(Signal::TERM)?;
    process.ended().await?;
    assert_ne!(soon("the error", call).await???.status, 200);
    Ok(())
}

async fn nexus(data: &Path, port: &str) -> Result<(HostProcess, String)> {
    let arguments = ["nexus", "--port", port, "--token", SPORE_TOKEN, "--drain-timeout", "5s"];
    let mut process = HostProcess::start(data, &arguments)?;
    let url = process.ready("nexus ready").await?;
    Ok((process, url))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nexus_killed_and_restarted_has_its_spores_back() -> Result<()> {
    let data = data_dir().await?;
    let (process, url) = nexus(data.path(), "0").await?;
    let token = std::fs::read_to_string(data.path().join("operator.token"))?;
    let client = Client::new(&url, Some(token.trim()))?;
    let spore_data = data_dir().await?;
    let (_spore, real) = spore(spore_data.path(), &url).await?;
    let mut simulated = Vec::new();
    for _ in 0..20 {
        simulated.push(SimSpore::new(&url, SPORE_TOKEN).connect(DEADLINE).await?);
    }
    client.until_online(real, true).await?;
    process.kill().await?;

    let port = url.rsplit(':').next().unwrap_or_default().to_owned();
    let (mut process, again) = nexus(data.path(), &port).await?;
    assert_eq!(again, url);
    for id in simulated.iter().map(|spore| spore.node_id()).chain([real]) {
        client.until_online(id, true).await?;
    }
    assert_eq!(
        client.call(real, "EchoSkill.say", json!({"text": "x"})).await?.result,
        json!("x")
    );
    let call = running(&client, real, 1_000).await?;
    process.signal(Signal::TERM)?;
    assert_eq!(
        soon("the answer", call).await???.status,
        200,
        "a drain lets a running call finish"
    );
    assert_eq!(process.ended().await?.code(), Some(0));
    Ok(())
}
