//! What is old is forgotten, and nothing else.

use std::time::Duration;

use serde_json::json;
use venom_fleet::{FleetSettings, Pruned};
use venom_protocol::{CommandStatus, CommandUpdate, FindingStatus, FindingUpdate, SendCommand};

use crate::admitted::admitted;
use crate::base::{Base, at};
use crate::seen::{assets, find, findings, see};

on_both!(what_is_old_is_forgotten, what_is_much_is_forgotten_in_pieces);

const HISTORY: i64 = 100_000;

fn settings() -> FleetSettings {
    FleetSettings {
        history: Duration::from_secs(HISTORY.unsigned_abs()),
        misses_until_gone: 1,
        ..FleetSettings::default()
    }
}

async fn what_is_old_is_forgotten(base: &Base) {
    let fleet = base.open_with(settings()).await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let old = json!({"network_fingerprint": {"fingerprint_hash": "old"}, "target": "10.0.0.0/24"});
    see(&fleet, &agent, 0, json!([]), old).await;
    let mut seen = json!([{"ip": "192.168.1.1"}, {"ip": "192.168.1.2"}]);
    see(&fleet, &agent, 0, seen.clone(), json!({})).await;
    let found = |checks: &[&str]| -> serde_json::Value {
        let one = |check: &&str| json!({"module": "tls", "check_id": check, "severity": "low", "title": "t", "target_ip": "192.168.1.1"});
        checks.iter().map(one).collect()
    };
    let shown = json!({"certificates": [{"ip": "192.168.1.1", "port": 443}]});
    find(&fleet, &agent, 0, found(&["open", "fixed", "accepted"]), shown).await;
    let accepted = findings(&fleet)
        .await
        .into_iter()
        .find(|finding| finding.check_id == "accepted")
        .unwrap()
        .id;
    let accept = FindingUpdate {
        status: FindingStatus::Accepted,
        reason: String::new(),
    };
    fleet.update_finding(&accepted, accept, "alice", at(1)).await.unwrap();
    for status in [CommandStatus::Completed, CommandStatus::Running] {
        let sent = fleet
            .send_command(&agent.agent_id, SendCommand::default(), "alice", at(0))
            .await
            .unwrap();
        let done = CommandUpdate { status, result: None };
        fleet
            .update_command(&agent, &sent.answer.command_id, done, at(1))
            .await
            .unwrap();
    }
    // one is gone and one fixed, both at 10
    seen.as_array_mut().unwrap().pop();
    see(&fleet, &agent, 10, seen.clone(), json!({})).await;
    find(&fleet, &agent, 10, found(&["open"]), json!({})).await;

    assert_eq!(
        fleet.prune(at(HISTORY)).await.unwrap(),
        Pruned::default(),
        "nothing is older than that yet"
    );
    let pruned = fleet.prune(at(HISTORY + 1)).await.unwrap();
    let expected = Pruned {
        // two things were new at 0
        changes: 2,
        scans: 3,
        certificates: 1,
        // it was seen last at 0
        assets: 1,
        // the network and its subnet
        networks: 2,
        ..Pruned::default()
    };
    assert_eq!(pruned, expected);
    assert_eq!(findings(&fleet).await.len(), 3);
    let pruned = fleet.prune(at(HISTORY + 2)).await.unwrap();
    assert_eq!(
        (pruned.findings, pruned.commands),
        (1, 1),
        "accepted at 1 and not found since; a command that ended at 1"
    );
    let pruned = fleet.prune(at(HISTORY + 11)).await.unwrap();
    assert_eq!((pruned.findings, pruned.changes, pruned.scans), (1, 1, 2));
    // what is there and what is open stays, however old
    fleet.prune(at(100 * HISTORY)).await.unwrap();
    assert_eq!(assets(&fleet).await.len(), 1);
    assert_eq!(findings(&fleet).await[0].check_id, "open");
    assert_eq!(fleet.networks(None).await.unwrap().len(), 1);
    assert_eq!(base.number("SELECT COUNT(*) FROM commands").await, 1);
    assert_eq!(fleet.prune(at(100 * HISTORY)).await.unwrap(), Pruned::default());
}

async fn what_is_much_is_forgotten_in_pieces(base: &Base) {
    let fleet = base.open_with(settings()).await;
    base.run(
        "INSERT INTO changes (id, site_name, network, asset_id, ip, kind, scan_id, at) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) \
         SELECT CAST(i AS TEXT), 's', 'n', 'a', '10.0.0.1', 'new', 'x', 0 FROM n",
    )
    .await;
    assert_eq!(fleet.prune(at(HISTORY)).await.unwrap().changes, 6_000);
}
