//! Peers of protocol 1: a Python spore and a REST script, both as they are out there, unchanged.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use venom_protocol::NodeId;
use venom_tests::{OPERATOR_TOKEN, Python, SPORE_TOKEN, SkillName, TestHive, file_skill, shell_skill};

fn spore(hive: &TestHive, id: NodeId, token: &str) -> Result<Python> {
    let (host, port) = (hive.address().ip().to_string(), hive.address().port().to_string());
    Python::start(
        "spore.py",
        &[
            ("SPORE_NEXUS_HOST", &host),
            ("SPORE_NEXUS_PORT", &port),
            ("SPORE_SHARED_TOKEN", token),
            ("SPORE_NODE_ID", &id.to_string()),
            ("SPORE_NODE_NAME", "old-timer"),
            ("SPORE_HEARTBEAT_INTERVAL", "0.1"),
        ],
    )
}

async fn said(script: &mut Python, event: &str) -> Result<Value> {
    let line = script
        .line()
        .await?
        .with_context(|| format!("the script ended before `{event}`"))?;
    let said: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
    anyhow::ensure!(said["event"] == event, "{said} instead of `{event}`");
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_spore_registers_beats_and_answers() -> Result<()> {
    let hive = TestHive::with(|settings| settings.heartbeat_timeout = Duration::from_secs(2)).await?;
    let client = hive.client()?;
    let id = NodeId::random();
    let mut script = spore(&hive, id, SPORE_TOKEN)?;
    assert_eq!(said(&mut script, "connected").await?["node_id"], json!(id));
    let shown = client.until_online(id, true).await?;
    assert_eq!(
        (&shown["protocol"], &shown["node_name"]),
        (&json!(1), &json!("old-timer"))
    );
    assert_eq!(shown["capabilities"]["skills"], json!(["PythonSkill"]));
    for number in 0..20 {
        let answer = client
            .call(id, "PythonSkill.echo", json!({"number": number, "text": "grüße"}))
            .await?;
        assert!(answer.success);
        assert_eq!(answer.result, json!({"number": number, "text": "grüße"}));
    }
    let failed = client.call(id, "PythonSkill.nonsense", json!({})).await?;
    assert_eq!((failed.success, failed.why()), (false, "no method nonsense"));
    venom_tests::eventually("its load", async || {
        Ok(client
            .node(id)
            .await?
            .filter(|node| node["cpu_usage"] == 0.25 && node["memory_usage"] == 0.5))
    })
    .await?;
    Ok(())
}

/// Timeouts, callers that go away, a drain and a shutdown are all news to which our own spores get messages of
/// protocol 2. A v1 spore must get none: it counts them as invalid and hangs up after ten.
#[tokio::test(flavor = "multi_thread")]
async fn a_python_spore_is_sent_nothing_but_calls() -> Result<()> {
    let hive = TestHive::start().await?;
    let client = hive.client()?;
    let id = NodeId::random();
    let mut script = spore(&hive, id, SPORE_TOKEN)?;
    said(&mut script, "connected").await?;
    client.until_online(id, true).await?;
    let late = (0..15).map(|_| client.execute(id, "PythonSkill.hang", json!({}), 0.05));
    for answer in futures_util::future::try_join_all(late).await? {
        assert_eq!(answer.status, 504, "{}", answer.body);
    }
    let answer = client.call(id, "PythonSkill.echo", json!({"still": "there"})).await?;
    assert_eq!(answer.result, json!({"still": "there"}));
    hive.stop().await?;
    // the next and last thing it says is that the link is gone: not one message was invalid
    said(&mut script, "disconnected").await?;
    assert!(script.ended().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_spore_that_leaves_mid_call_fails_the_call_and_comes_back_as_itself() -> Result<()> {
    let hive = TestHive::start().await?;
    let client = hive.client()?;
    let id = NodeId::random();
    let mut script = spore(&hive, id, SPORE_TOKEN)?;
    said(&mut script, "connected").await?;
    client.until_online(id, true).await?;
    let lost = client.execute(id, "PythonSkill.leave", json!({}), 30.0).await?;
    assert_eq!(lost.status, 502, "{}", lost.body);
    client.until_online(id, false).await?;
    let mut again = spore(&hive, id, SPORE_TOKEN)?;
    said(&mut again, "connected").await?;
    client.until_online(id, true).await?;
    let listed = client.get("/api/v1/nodes").await?;
    assert_eq!(listed.body["count"], 1, "the same node, not a second one");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_spore_with_a_wrong_token_gets_the_close_it_knows() -> Result<()> {
    let hive = TestHive::start().await?;
    let mut script = spore(&hive, NodeId::random(), "wrong")?;
    // it says `connected` as soon as it has sent its handshake
    said(&mut script, "connected").await?;
    let gone = said(&mut script, "disconnected").await?;
    assert_eq!(gone["reason"], "1008 Authentication failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_script_of_the_old_nexus_runs_unchanged() -> Result<()> {
    let hive = TestHive::start().await?;
    let node = hive
        .node()?
        .skill(SkillName::Echo)
        .skill(SkillName::Shell)
        .skill(SkillName::File);
    let node = node.grant(file_skill).grant(shell_skill).start().await?;
    let (url, id) = (hive.url(), node.id.to_string());
    let mut script = Python::start(
        "script.py",
        &[("NEXUS", &url), ("NODE", &id), ("TOKEN", OPERATOR_TOKEN)],
    )?;
    let mut checks = 0;
    while let Some(line) = script.line().await? {
        let check: Value = serde_json::from_str(&line)?;
        assert_eq!(check["ok"], true, "{check}");
        checks += 1;
    }
    assert!(script.ended().await?.success());
    assert_eq!(checks, 15, "the script did not get to its end");
    Ok(())
}
