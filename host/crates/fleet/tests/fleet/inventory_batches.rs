//! Batches: each counts once, whatever the network does to them; and what does not fit is refused whole.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::Digest as _;
use venom_fleet::{AssetQuery, ChangeQuery, FindingQuery, Fleet, FleetError, FleetSettings, ScanQuery};
use venom_protocol::ChangeKind;

use crate::admitted::{admitted, kinds};
use crate::base::{Base, at};
use crate::seen::{assets, changes, discovery, find, report, see};

on_both!(
    the_same_batch_counts_once,
    the_same_batch_from_eight_tasks_counts_once,
    different_batches_from_eight_tasks_all_count,
    a_key_with_another_body_is_refused,
    a_key_belongs_to_its_agent,
    keys_are_forgotten_after_their_time,
    keys_that_are_none_are_refused,
    an_agent_that_waits_for_approval_is_refused,
    a_batch_that_is_too_large_is_refused_whole,
    a_site_that_is_full_refuses_what_is_new,
    what_is_gone_the_longest_makes_room,
);

fn one(ip: &str) -> Value {
    json!([{"ip": ip, "open_ports": [22]}])
}

async fn count(fleet: &Fleet) -> (u64, u64, u64, u64) {
    (
        fleet.assets(AssetQuery::default()).await.unwrap().total,
        fleet.changes(ChangeQuery::default()).await.unwrap().total,
        fleet.scans(ScanQuery::default()).await.unwrap().total,
        fleet.findings(FindingQuery::default()).await.unwrap().total,
    )
}

async fn the_same_batch_counts_once(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(&fleet, &agent, 0, one("192.168.1.9"), json!({})).await;
    let mut first = None;
    for again in 0..4 {
        let batch = discovery(1, one("192.168.1.5"), json!({}));
        let taken = fleet
            .ingest_discovery(&agent, Some("k1"), batch, at(1 + again))
            .await
            .unwrap();
        assert_eq!(taken.answer.duplicate, again > 0);
        assert_eq!(taken.events.is_empty(), again > 0);
        let first = first.get_or_insert_with(|| taken.answer.clone());
        assert_eq!(
            (&taken.answer.scan_id, taken.answer.assets_ingested),
            (&first.scan_id, 1)
        );
    }
    // it was missed once and not four times
    assert_eq!(
        base.number("SELECT misses FROM assets WHERE ip = '192.168.1.9'").await,
        1
    );
    assert_eq!(count(&fleet).await, (2, 2, 2, 0));
    for again in 0..3 {
        let batch = report(
            5,
            json!([{"module": "tls", "severity": "high", "title": "t", "target_ip": "192.168.1.5"}]),
            json!({}),
        );
        let taken = fleet.ingest_shield(&agent, Some("k2"), batch, at(5)).await.unwrap();
        assert_eq!(
            (
                taken.answer.duplicate,
                taken.answer.findings_count,
                taken.answer.modules_received
            ),
            (again > 0, 1, 1)
        );
    }
    assert_eq!(count(&fleet).await, (2, 2, 3, 1));
}

async fn the_same_batch_from_eight_tasks_counts_once(base: &Base) {
    let (here, there) = (base.open().await, base.open().await);
    let agent = admitted(&here, "a", "Berlin").await;
    for round in 0..5 {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            // as behind a load balancer: of two nexuses
            let (fleet, agent) = (
                if number % 2 == 0 { here.clone() } else { there.clone() },
                agent.clone(),
            );
            let batch = discovery(
                round,
                one(&format!("192.168.1.{}", 10 + round)),
                json!({"completed_at": null}),
            );
            let key = format!("k{round}");
            tasks.spawn(async move { fleet.ingest_discovery(&agent, Some(&key), batch, at(round)).await });
        }
        let taken: Vec<_> = tasks.join_all().await.into_iter().map(Result::unwrap).collect();
        assert_eq!(taken.iter().filter(|taken| !taken.answer.duplicate).count(), 1);
        assert!(taken.iter().all(|one| one.answer.scan_id == taken[0].answer.scan_id));
        assert_eq!(
            taken
                .iter()
                .flat_map(|taken| kinds(&taken.events))
                .filter(|kind| *kind == "ASSET_NEW")
                .count(),
            1
        );
    }
    assert_eq!(count(&here).await, (5, 5, 5, 0));
}

async fn different_batches_from_eight_tasks_all_count(base: &Base) {
    let (here, there) = (base.open().await, base.open().await);
    // two agents of one site see the same things at once
    let agents = [
        admitted(&here, "a", "Berlin").await,
        admitted(&here, "b", "Berlin").await,
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0_i64..40 {
        let fleet = if number % 2 == 0 { here.clone() } else { there.clone() };
        let agent = agents[usize::try_from(number / 2 % 2).unwrap()].clone();
        let seen: Value = (1..=20)
            .map(|last| json!({"ip": format!("192.168.1.{last}"), "mac": format!("02:00:00:00:00:{last:02x}")}))
            .collect();
        let batch = discovery(number, seen, json!({}));
        tasks.spawn(async move {
            fleet
                .ingest_discovery(&agent, Some(&format!("k{number}")), batch, at(number))
                .await
        });
    }
    for taken in tasks.join_all().await {
        assert!(!taken.unwrap().answer.duplicate);
    }
    assert_eq!(count(&here).await, (20, 20, 40, 0));
    assert!(changes(&here).await.iter().all(|change| change.kind == ChangeKind::New));
}

async fn a_key_with_another_body_is_refused(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let send = |batch| fleet.ingest_discovery(&agent, Some("k"), batch, at(0));
    send(discovery(0, one("192.168.1.5"), json!({}))).await.unwrap();
    let refused = send(discovery(0, one("192.168.1.6"), json!({}))).await.unwrap_err();
    assert!(
        matches!(&refused, FleetError::Conflict(why) if why.contains("`k`")),
        "{refused}"
    );
    let report = fleet
        .ingest_shield(&agent, Some("k"), report(0, json!([]), json!({})), at(0))
        .await;
    assert!(matches!(report, Err(FleetError::Conflict(_))));
    assert!(
        send(discovery(0, one("192.168.1.5"), json!({})))
            .await
            .unwrap()
            .answer
            .duplicate
    );
    assert_eq!(count(&fleet).await, (1, 1, 1, 0));
}

async fn a_key_belongs_to_its_agent(base: &Base) {
    let fleet = base.open().await;
    for id in ["a", "b"] {
        let agent = admitted(&fleet, id, id).await;
        let taken = fleet
            .ingest_discovery(&agent, Some("k"), discovery(0, one("192.168.1.5"), json!({})), at(0))
            .await;
        assert!(!taken.unwrap().answer.duplicate);
    }
    // and without a key each counts
    let agent = admitted(&fleet, "c", "c").await;
    for key in [None, Some("")] {
        let taken = fleet
            .ingest_discovery(&agent, key, discovery(0, one("192.168.1.5"), json!({})), at(0))
            .await;
        assert!(!taken.unwrap().answer.duplicate);
    }
    assert_eq!(count(&fleet).await, (3, 3, 4, 0));
}

async fn keys_are_forgotten_after_their_time(base: &Base) {
    let settings = FleetSettings {
        batch_memory: Duration::from_secs(1_000),
        ..FleetSettings::default()
    };
    let fleet = base.open_with(settings).await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let send = |now: i64| {
        let batch = discovery(0, one("192.168.1.5"), json!({}));
        let (fleet, agent) = (fleet.clone(), agent.clone());
        async move {
            fleet
                .ingest_discovery(&agent, Some("k"), batch, at(now))
                .await
                .unwrap()
                .answer
                .duplicate
        }
    };
    assert!(!send(0).await);
    assert_eq!(fleet.prune(at(1_000)).await.unwrap().batches, 0);
    assert!(send(1_000).await);
    assert_eq!(fleet.prune(at(1_001)).await.unwrap().batches, 1);
    assert!(!send(1_001).await);
}

async fn keys_that_are_none_are_refused(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for key in ["\0", "a\nb", &"k".repeat(256)] {
        let refused = fleet
            .ingest_discovery(&agent, Some(key), discovery(0, json!([]), json!({})), at(0))
            .await;
        assert!(matches!(refused, Err(FleetError::Invalid(why)) if why.contains("Idempotency-Key")));
    }
    let long = "k".repeat(255);
    fleet
        .ingest_discovery(&agent, Some(&long), discovery(0, json!([]), json!({})), at(0))
        .await
        .unwrap();
}

async fn an_agent_that_waits_for_approval_is_refused(base: &Base) {
    let fleet = base.open().await;
    let mut agent = admitted(&fleet, "a", "Berlin").await;
    agent.approved = false;
    let refused = fleet
        .ingest_discovery(&agent, None, discovery(0, one("192.168.1.5"), json!({})), at(0))
        .await;
    assert!(matches!(refused, Err(FleetError::Forbidden(_))));
    let refused = fleet
        .ingest_shield(&agent, None, report(0, json!([]), json!({})), at(0))
        .await;
    assert!(matches!(refused, Err(FleetError::Forbidden(_))));
    assert_eq!(count(&fleet).await, (0, 0, 0, 0));
}

async fn a_batch_that_is_too_large_is_refused_whole(base: &Base) {
    let settings = FleetSettings {
        max_assets_per_batch: 3,
        ..FleetSettings::default()
    };
    let fleet = base.open_with(settings).await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let seen = |count: u32| -> Value {
        (0..count)
            .map(|last| json!({"ip": format!("192.168.1.{last}")}))
            .collect()
    };
    let refused = fleet
        .ingest_discovery(&agent, None, discovery(0, seen(4), json!({})), at(0))
        .await;
    assert!(matches!(refused, Err(FleetError::Invalid(why)) if why.contains("`assets`") && why.contains('3')));
    assert_eq!(count(&fleet).await, (0, 0, 0, 0));
    see(&fleet, &agent, 0, seen(3), json!({})).await;
    assert_eq!(count(&fleet).await.0, 3);
    let found = |count: u32| -> Value {
        (0..count)
            .map(|number| json!({"module": "m", "severity": "low", "title": format!("t{number}")}))
            .collect()
    };
    let refused = fleet
        .ingest_shield(&agent, None, report(0, found(25), json!({})), at(0))
        .await;
    assert!(matches!(refused, Err(FleetError::Invalid(why)) if why.contains("`findings`")));
    find(&fleet, &agent, 0, found(24), json!({})).await;
}

async fn a_site_that_is_full_refuses_what_is_new(base: &Base) {
    let settings = FleetSettings {
        max_assets_per_site: 2,
        ..FleetSettings::default()
    };
    let fleet = base.open_with(settings).await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(&fleet, &agent, 0, one("192.168.1.1"), json!({})).await;
    see(&fleet, &agent, 1, one("192.168.1.2"), json!({})).await;
    let before = count(&fleet).await;
    let batch = discovery(
        2,
        json!([{"ip": "192.168.1.1", "hostname": "x"}, {"ip": "192.168.1.3"}]),
        json!({}),
    );
    let refused = fleet.ingest_discovery(&agent, Some("k"), batch.clone(), at(2)).await;
    assert!(
        matches!(refused, Err(FleetError::Full(why)) if why.contains("max_assets_per_site") && why.contains("Berlin"))
    );
    assert_eq!(count(&fleet).await, before);
    assert_eq!(assets(&fleet).await[0].hostname, None, "nothing of it was taken in");
    // what is known is still taken in, and another site has room
    see(&fleet, &agent, 3, one("192.168.1.1"), json!({})).await;
    let other = admitted(&fleet, "b", "Paris").await;
    see(&fleet, &other, 3, one("192.168.1.1"), json!({})).await;
    // findings and certificates have a limit too: ten and four for each asset
    let found: Value = (0..21)
        .map(|number| json!({"module": "m", "severity": "low", "title": format!("t{number}")}))
        .collect();
    let refused = fleet
        .ingest_shield(&agent, None, report(4, found, json!({})), at(4))
        .await;
    assert!(matches!(refused, Err(FleetError::Full(why)) if why.contains("findings")));
    let shown: Value = (0..9).map(|port| json!({"ip": "192.168.1.1", "port": port})).collect();
    let refused = fleet
        .ingest_shield(
            &agent,
            None,
            report(4, json!([]), json!({"certificates": shown})),
            at(4),
        )
        .await;
    assert!(matches!(refused, Err(FleetError::Full(why)) if why.contains("certificates")));
}

async fn what_is_gone_the_longest_makes_room(base: &Base) {
    let settings = FleetSettings {
        max_assets_per_site: 3,
        misses_until_gone: 1,
        ..FleetSettings::default()
    };
    let fleet = base.open_with(settings).await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for (seconds, ip) in [
        (0, "192.168.1.1"),
        (1, "192.168.1.2"),
        (2, "192.168.1.3"),
        (3, "192.168.1.4"),
    ] {
        see(&fleet, &agent, seconds, one(ip), json!({})).await;
    }
    let ips: Vec<String> = assets(&fleet).await.into_iter().map(|asset| asset.ip).collect();
    assert_eq!(ips, ["192.168.1.2", "192.168.1.3", "192.168.1.4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "needs PostgreSQL (Debian: postgresql)")]
async fn batches_that_wait_for_their_site_are_in_no_other_ones_way() {
    let base = Base::postgres().await;
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let elsewhere = admitted(&fleet, "b", "Paris").await;
    // another nexus is busy with that site
    let room = i64::from_be_bytes(sha2::Sha256::digest("site:Berlin")[..8].try_into().unwrap());
    let mut other = base.connect().await;
    for sql in ["BEGIN".to_owned(), format!("SELECT pg_advisory_xact_lock({room})")] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut other)
            .await
            .unwrap();
    }
    let mut waiting = tokio::task::JoinSet::new();
    for second in 0..8 {
        let (fleet, agent) = (fleet.clone(), agent.clone());
        waiting.spawn(async move { see(&fleet, &agent, second, json!([]), json!({})).await });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let there = see(&fleet, &elsewhere, 1, json!([]), json!({}));
    let there = tokio::time::timeout(Duration::from_secs(5), there).await;
    assert!(there.is_ok(), "all connections wait for one site");
    assert!(waiting.try_join_next().is_none(), "they do wait");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    assert_eq!(waiting.join_all().await.len(), 8);
}
