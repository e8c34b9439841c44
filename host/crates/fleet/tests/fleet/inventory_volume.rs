//! Many assets in many batches: each is there once, and seen again is no news.

use serde_json::{Value, json};
use venom_fleet::{AssetQuery, ChangeQuery};

use crate::admitted::admitted;
use crate::base::{Base, at};
use crate::seen::discovery;

on_both!(ten_thousand_assets_in_batches_of_fifty);

async fn ten_thousand_assets_in_batches_of_fifty(base: &Base) {
    const BATCHES: i64 = 200;
    const EACH: i64 = 50;
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let seen = |batch: i64| -> Value {
        let one = |last: i64| {
            json!({
                "ip": format!("10.0.{batch}.{last}"), "mac": format!("02:00:00:00:{batch:02x}:{last:02x}"), "hostname": format!("h{batch}-{last}"),
                "vendor": "Maker", "open_ports": [22, 80, 443], "os_hint": "linux", "bigr_category": "server", "confidence_score": 0.8,
                "services": [{"port": 22, "service": "ssh", "product": "OpenSSH", "version": "9.2p1", "banner": "SSH-2.0-OpenSSH_9.2p1"}],
                "evidence": ["port 22 speaks ssh"],
            })
        };
        (1..=EACH).map(one).collect()
    };
    // first all new, then all known, each a complete scan of its own /24
    for round in 0..2 {
        let batches: Vec<_> = (0..BATCHES)
            .map(|batch| {
                discovery(
                    round,
                    seen(batch),
                    json!({"target": format!("10.0.{batch}.0/24"), "ports_scanned": [22, 80, 443]}),
                )
            })
            .collect();
        for (number, batch) in batches.into_iter().enumerate() {
            let key = format!("{round}-{number}");
            fleet
                .ingest_discovery(&agent, Some(&key), batch, at(round))
                .await
                .unwrap();
        }
    }
    assert_eq!(fleet.assets(AssetQuery::default()).await.unwrap().total, 10_000);
    assert_eq!(fleet.changes(ChangeQuery::default()).await.unwrap().total, 10_000);
}
