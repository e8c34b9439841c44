//! What is gone, what is back, and what comes late.

use serde_json::{Value, json};
use venom_fleet::{AssetQuery, Fleet, FleetSettings};
use venom_protocol::ChangeKind::{Gone, Returned};

use crate::admitted::{admitted, kinds};
use crate::base::Base;
use crate::seen::{assets, changes, see, told};

on_both!(
    a_thing_is_gone_after_complete_scans_that_missed_it_and_not_before,
    scans_that_could_not_see_it_miss_nothing,
    a_thing_that_is_back_is_told_as_that,
    what_is_late_turns_nothing_back,
    a_clock_that_is_ahead_makes_no_later_scan_late,
);

async fn is_there(fleet: &Fleet) -> bool {
    let there = AssetQuery {
        gone: Some(false),
        ..AssetQuery::default()
    };
    fleet.assets(there).await.unwrap().total == 1
}

fn one() -> Value {
    json!([{"ip": "192.168.1.5", "mac": "02:00:00:00:00:05"}])
}

async fn a_thing_is_gone_after_complete_scans_that_missed_it_and_not_before(base: &Base) {
    for misses_until_gone in [1, 3, 5] {
        let settings = FleetSettings {
            misses_until_gone,
            ..FleetSettings::default()
        };
        let fleet = base.open_with(settings).await;
        let site = format!("site {misses_until_gone}");
        let agent = admitted(&fleet, &format!("a{misses_until_gone}"), &site).await;
        let ask = || AssetQuery {
            site: Some(site.clone()),
            gone: Some(false),
            ..AssetQuery::default()
        };
        see(&fleet, &agent, 0, one(), json!({})).await;
        for miss in 1..i64::from(misses_until_gone) {
            see(&fleet, &agent, miss, json!([]), json!({})).await;
            assert_eq!(
                fleet.assets(ask()).await.unwrap().total,
                1,
                "{misses_until_gone}: {miss}"
            );
        }
        let told = see(&fleet, &agent, 50, json!([]), json!({})).await;
        assert_eq!(kinds(&told.events), ["SCAN_INGESTED", "ASSET_GONE"]);
        assert_eq!(fleet.assets(ask()).await.unwrap().total, 0);
        // once
        let told = see(&fleet, &agent, 51, json!([]), json!({})).await;
        assert_eq!(kinds(&told.events), ["SCAN_INGESTED"]);
        fleet.close().await;
    }
}

async fn scans_that_could_not_see_it_miss_nothing(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let other_site = admitted(&fleet, "b", "Paris").await;
    see(&fleet, &agent, 0, one(), json!({})).await;
    for seconds in 1..9 {
        // broken off; narrower; elsewhere; a name; another network; another site
        for more in [
            json!({"completed_at": null}),
            json!({"target": "192.168.1.0/30"}),
            json!({"target": "192.168.1.4"}),
            json!({"target": "192.168.2.0/24"}),
            json!({"target": "printer.lan"}),
            json!({"target": "not/a/cidr"}),
            json!({"network_fingerprint": {"fingerprint_hash": "other"}}),
        ] {
            see(&fleet, &agent, seconds, json!([]), more).await;
        }
        see(&fleet, &other_site, seconds, json!([]), json!({})).await;
    }
    assert!(is_there(&fleet).await);
    // wider ones and its own address do
    for (seconds, target) in [(10, "192.168.0.0/16"), (11, "192.168.1.5"), (12, "0.0.0.0/0")] {
        see(&fleet, &agent, seconds, json!([]), json!({"target": target})).await;
    }
    assert!(!is_there(&fleet).await);
}

async fn a_thing_that_is_back_is_told_as_that(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(&fleet, &agent, 0, one(), json!({})).await;
    for round in 0..2 {
        for miss in 1..=3 {
            see(&fleet, &agent, round * 10 + miss, json!([]), json!({})).await;
        }
        let back = see(&fleet, &agent, round * 10 + 5, one(), json!({})).await;
        assert_eq!(kinds(&back.events), ["SCAN_INGESTED", "ASSET_RETURNED"]);
        let again = see(&fleet, &agent, round * 10 + 6, one(), json!({})).await;
        assert_eq!(kinds(&again.events), ["SCAN_INGESTED"]);
    }
    let told: Vec<_> = told(&fleet).await.into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(told, [Gone, Returned, Gone, Returned]);
    assert_eq!(assets(&fleet).await.len(), 1);
    // two misses, seen, two misses: never three in a row
    for seconds in [30, 31, 33, 34] {
        see(&fleet, &agent, seconds, json!([]), json!({})).await;
        if seconds == 31 {
            see(&fleet, &agent, 32, one(), json!({})).await;
        }
    }
    assert!(is_there(&fleet).await);
}

async fn what_is_late_turns_nothing_back(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let thing = |ip: &str, ports: Value| json!([{"ip": ip, "mac": "02:00:00:00:00:05", "open_ports": ports, "hostname": "new"}]);
    let tried = json!({"ports_scanned": [22, 80]});
    see(&fleet, &agent, 1_000, thing("192.168.1.6", json!([80])), tried).await;
    let now = assets(&fleet).await;
    let count = changes(&fleet).await.len();
    // from before, out of an outbox: another address, another port, another name, and once nothing at all
    for begun in [100, 200, 300, 400, 500] {
        let older = json!({"started_at": crate::base::at(begun), "ports_scanned": [22, 80]});
        let mut seen = thing("192.168.1.5", json!([22]));
        seen[0]["hostname"] = json!("old");
        seen[0]["vendor"] = json!("Maker");
        let seen = if begun == 100 { seen } else { json!([]) };
        let told = see(&fleet, &agent, 2_000, seen, older).await;
        assert_eq!(kinds(&told.events), ["SCAN_INGESTED"]);
    }
    let after = assets(&fleet).await.remove(0);
    assert_eq!(
        (after.ip.as_str(), &after.open_ports, after.last_seen),
        ("192.168.1.6", &now[0].open_ports, now[0].last_seen)
    );
    // but what nobody knew is known
    assert_eq!(
        (after.hostname.as_deref(), after.vendor.as_deref(), after.is_gone),
        (Some("new"), Some("Maker"), false)
    );
    assert_eq!(changes(&fleet).await.len(), count);
    let scans = fleet.scans(venom_fleet::ScanQuery::default()).await.unwrap();
    assert_eq!(scans.total, 6);
    // who looks at them sees why they changed nothing
    let late: Vec<bool> = scans.items.iter().map(|scan| scan.late).collect();
    assert_eq!(late, [true, true, true, true, true, false]);
    // what it alone saw is new all the same
    let older = json!({"started_at": crate::base::at(600)});
    let told = see(&fleet, &agent, 2_001, json!([{"ip": "192.168.1.77"}]), older).await;
    assert_eq!(kinds(&told.events), ["SCAN_INGESTED", "ASSET_NEW"]);
    // of another target or another agent it is not late
    let older = json!({"started_at": crate::base::at(600), "target": "192.168.1.6"});
    let told = see(&fleet, &agent, 2_002, thing("192.168.1.6", json!([22, 80])), older).await;
    assert_eq!(kinds(&told.events), ["SCAN_INGESTED", "ASSET_CHANGED"]);
}

async fn a_clock_that_is_ahead_makes_no_later_scan_late(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let ahead = json!({"started_at": "2099-01-01T00:00:00Z", "completed_at": "2099-01-01T00:00:01Z"});
    see(&fleet, &agent, 0, one(), ahead).await;
    for seconds in 1..=3 {
        see(&fleet, &agent, seconds, json!([]), json!({})).await;
    }
    assert!(!is_there(&fleet).await);
}
