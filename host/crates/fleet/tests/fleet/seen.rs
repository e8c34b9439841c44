//! What agents send, for tests of what becomes of it.

use serde_json::{Value, json};
use venom_fleet::{AgentPass, AssetQuery, ChangeQuery, FindingQuery, Fleet, Outcome};
use venom_protocol::{
    AssetView, ChangeKind, ChangeView, Discovery, DiscoveryIngested, FindingView, ShieldIngested, ShieldReport,
};

use crate::base::at;

/// A discovery as an agent sends it, `seconds` into the tests' time: complete, of 192.168.1.0/24, in the network `home`. `more` says what
/// else or otherwise; `null` takes away.
pub(crate) fn discovery(seconds: i64, assets: Value, more: Value) -> Discovery {
    let body = json!({
        "target": "192.168.1.0/24", "started_at": at(seconds), "completed_at": at(seconds + 1), "assets": assets,
        "network_fingerprint": {"fingerprint_hash": "home"},
    });
    serde_json::from_value(laid_over(body, more)).unwrap()
}

/// A shield report as an agent sends it: complete, of 192.168.1.0/24 by the module `tls`, in the network `home`.
pub(crate) fn report(seconds: i64, findings: Value, more: Value) -> ShieldReport {
    let body = json!({
        "target": "192.168.1.0/24", "started_at": at(seconds), "completed_at": at(seconds + 1), "modules_run": ["tls"],
        "findings": findings, "network_fingerprint": {"fingerprint_hash": "home"},
    });
    serde_json::from_value(laid_over(body, more)).unwrap()
}

fn laid_over(mut body: Value, more: Value) -> Value {
    let map = body.as_object_mut().unwrap();
    for (key, value) in more.as_object().unwrap() {
        if value.is_null() {
            map.remove(key);
        } else {
            map.insert(key.clone(), value.clone());
        }
    }
    body
}

/// Sends a discovery without a key; what was told.
pub(crate) async fn see(
    fleet: &Fleet,
    agent: &AgentPass,
    seconds: i64,
    assets: Value,
    more: Value,
) -> Outcome<DiscoveryIngested> {
    let batch = discovery(seconds, assets, more);
    fleet.ingest_discovery(agent, None, batch, at(seconds)).await.unwrap()
}

/// Sends a shield report without a key.
pub(crate) async fn find(
    fleet: &Fleet,
    agent: &AgentPass,
    seconds: i64,
    findings: Value,
    more: Value,
) -> Outcome<ShieldIngested> {
    let batch = report(seconds, findings, more);
    fleet.ingest_shield(agent, None, batch, at(seconds)).await.unwrap()
}

/// All assets.
pub(crate) async fn assets(fleet: &Fleet) -> Vec<AssetView> {
    fleet.assets(AssetQuery::default()).await.unwrap().items
}

/// All changes, oldest first.
pub(crate) async fn changes(fleet: &Fleet) -> Vec<ChangeView> {
    let mut changes = fleet.changes(ChangeQuery::default()).await.unwrap().items;
    changes.reverse();
    changes
}

/// All changes but those that something is new, as kind, before and after, oldest first.
pub(crate) async fn told(fleet: &Fleet) -> Vec<(ChangeKind, String, String)> {
    let changes = changes(fleet).await.into_iter();
    changes
        .filter(|change| change.kind != ChangeKind::New)
        .map(|change| {
            (
                change.kind,
                change.before.unwrap_or_default(),
                change.after.unwrap_or_default(),
            )
        })
        .collect()
}

/// All findings.
pub(crate) async fn findings(fleet: &Fleet) -> Vec<FindingView> {
    fleet.findings(FindingQuery::default()).await.unwrap().items
}
