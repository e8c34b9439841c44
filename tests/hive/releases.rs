//! Releases over the air in a whole hive: the cases of the security design that need one. Others are tests of the crates
//! they concern, under the same names.

mod impostor;
mod old;
mod power;
mod roads;
mod shared;
mod swaps;
mod trouble;

use anyhow::Result;
use serde_json::{Value, json};
use venom_protocol::NodeId;
use venom_tests::{Client, eventually};

const SKILL: &str = "VersionedSkill";

/// What the skill answers on a node now.
async fn variant(client: &Client, node: NodeId) -> Result<Value> {
    Ok(client.call(node, "VersionedSkill.variant", json!({})).await?.result)
}

/// What the node last reported of the skill.
async fn report(client: &Client, node: NodeId) -> Result<Value> {
    let node = client.node(node).await?.unwrap_or_default();
    let skills = node["update"]["skills"].as_array().cloned().unwrap_or_default();
    Ok(skills
        .into_iter()
        .find(|skill| skill["skill"] == SKILL)
        .unwrap_or_default())
}

/// Waits until the skill is in this state with the version that answers.
async fn until(client: &Client, node: NodeId, state: &str, version: &str) -> Result<Value> {
    let mut last = Value::Null;
    let waited = eventually(&format!("{SKILL} {state} {version}"), async || {
        last = report(client, node).await?;
        let there = last["state"] == state && last["version"].as_str().unwrap_or_default() == version;
        Ok(there.then(|| last.clone()))
    })
    .await;
    waited.map_err(|error| error.context(last.to_string()))
}
