//! An agent as a process of its own, linked to a real nexus.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tempfile::TempDir;
use venom_fleet::FleetSettings;
use venom_tests::{HostProcess, TestHive, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_agent_hears_of_a_command_before_its_next_heartbeat() -> Result<()> {
    let hive = TestHive::with_fleet(|_| {}, FleetSettings::default()).await?;
    let client = hive.client()?;
    let made = client
        .post("/api/v1/enrolments", &json!({ "site_name": "Berlin" }))
        .await?;
    let enrol = made.body["enrol"].as_str().context("no enrol string")?.to_owned();
    let data = TempDir::new()?;
    HostProcess::run(data.path(), &["init"]).await?;
    HostProcess::run(data.path(), &["agent", "register", "--enrol", &enrol, "--name", "pi"]).await?;
    let file = data.path().join("agent.toml");
    let text = std::fs::read_to_string(&file)?.replace("heartbeat = \"30s\"", "heartbeat = \"1h\"");
    ensure!(text.contains("heartbeat = \"1h\""), "{text}");
    std::fs::write(&file, &text)?;
    let id = std::fs::read_to_string(data.path().join("node_id"))?.trim().to_owned();
    let agent = HostProcess::start(data.path(), &["agent", "start", "--foreground"])?;
    client.until_online(id.parse()?, true).await?;
    // that of its start has been answered, and the next one is an hour away
    eventually("its first heartbeat", async || {
        let shown = client.get(&format!("/api/agents/{id}")).await?;
        Ok((shown.body["last_seen"].is_string()).then_some(()))
    })
    .await?;
    let path = format!("/api/agents/{id}/commands");
    let sent = client.post(&path, &json!({ "targets": ["127.0.0.1"] })).await?;
    ensure!(sent.status == 200, "{}", sent.body);
    let ended = eventually("the command to end", async || {
        let told = client.get(&path).await?.body;
        let command = told["commands"][0].clone();
        Ok((command["status"] == "failed").then_some(command))
    })
    .await?;
    assert!(ended["result"].to_string().contains("NetScanSkill"), "{ended}");
    agent.kill().await?;
    Ok(())
}
