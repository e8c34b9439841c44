//! What operators read: lists page by page, sites, subnets, the picture.

use serde_json::{Value, json};
use venom_fleet::{AssetQuery, CertificateQuery, ChangeQuery, FindingQuery, Fleet, FleetError, ScanQuery};
use venom_protocol::{ChangeKind, Page, RegisterAgent, Severity};

use crate::admitted::{admitted, agent, pass, register};
use crate::base::{Base, at};
use crate::seen::{find, see};

on_both!(
    every_list_is_read_page_by_page,
    pages_stay_right_while_rows_are_added,
    what_is_no_cursor_is_refused,
    assets_are_searched_and_chosen,
    changes_scans_and_findings_are_chosen,
    all_about_one_address,
    sites_networks_and_subnets_are_counted,
    the_picture_holds_together,
);

async fn fill(fleet: &Fleet) {
    for site in ["Berlin", "Paris"] {
        let agent = admitted(fleet, site, site).await;
        for round in 0..3 {
            let seen: Value = (1..=7)
                .map(|last| json!({"ip": format!("192.168.{round}.{last}"), "hostname": format!("h{last}")}))
                .collect();
            let target = json!({"target": format!("192.168.{round}.0/24")});
            see(fleet, &agent, round, seen, target.clone()).await;
            let found: Value = (1..=7)
                .map(|last| {
                    let severity = ["info", "low", "medium", "high", "critical"][last % 5];
                    json!({"module": "tls", "severity": severity, "title": "t", "target_ip": format!("192.168.{round}.{last}")})
                })
                .collect();
            let shown: Value = (1..=7)
                .map(|last| {
                    let end = (last % 3 != 0).then(|| at(last));
                    json!({"ip": format!("192.168.{round}.{last}"), "port": 443, "not_after": end})
                })
                .collect();
            let mut more = target;
            more["certificates"] = shown;
            find(fleet, &agent, round, found, more).await;
        }
    }
}

/// Reads all pages of so many and compares with the one page that holds all.
macro_rules! pages {
    ($list:expr, $query:ident, $total:expr) => {{
        let list = $list;
        let all = list($query {
            limit: Some(5_000),
            ..$query::default()
        })
        .await;
        assert_eq!(
            (all.total, all.items.len(), all.next_cursor),
            ($total, $total as usize, None)
        );
        for limit in [1, 4, $total, $total + 1] {
            let (mut read, mut cursor) = (Vec::new(), None);
            loop {
                let page = list($query {
                    limit: Some(limit),
                    cursor,
                    ..$query::default()
                })
                .await;
                assert!(page.items.len() <= limit as usize && page.total == $total);
                read.extend(page.items);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(read, all.items, "{} in pages of {limit}", stringify!($query));
        }
        all.items
    }};
}

async fn every_list_is_read_page_by_page(base: &Base) {
    let fleet = base.open().await;
    fill(&fleet).await;
    let fleet = &fleet;
    let assets = pages!(|ask| async move { fleet.assets(ask).await.unwrap() }, AssetQuery, 42);
    let places: Vec<_> = assets
        .iter()
        .map(|asset| (asset.site_name.clone(), asset.ip.parse::<std::net::Ipv4Addr>().unwrap()))
        .collect();
    assert!(places.is_sorted());
    let changes = pages!(|ask| async move { fleet.changes(ask).await.unwrap() }, ChangeQuery, 42);
    assert!(changes.iter().rev().is_sorted_by_key(|change| change.at));
    pages!(|ask| async move { fleet.scans(ask).await.unwrap() }, ScanQuery, 12);
    let found = pages!(
        |ask| async move { fleet.findings(ask).await.unwrap() },
        FindingQuery,
        42
    );
    assert!(found.iter().rev().is_sorted_by_key(|finding| finding.severity));
    let shown = pages!(
        |ask| async move { fleet.certificates(ask, at(0)).await.unwrap() },
        CertificateQuery,
        42
    );
    assert!(
        shown
            .iter()
            .is_sorted_by_key(|certificate| (certificate.not_after.is_none(), certificate.not_after))
    );
    // what is not said is 1,000
    let usual: Page<_> = fleet.assets(AssetQuery::default()).await.unwrap();
    assert_eq!((usual.items.len(), usual.next_cursor), (42, None));
}

async fn pages_stay_right_while_rows_are_added(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let one = |last: i64| json!([{"ip": format!("192.168.1.{last}")}]);
    for last in 0..20 {
        see(&fleet, &agent, last, one(2 * last), json!({"completed_at": null})).await;
    }
    let assets: Vec<_> = fleet.assets(AssetQuery::default()).await.unwrap().items;
    let changes: Vec<_> = fleet.changes(ChangeQuery::default()).await.unwrap().items;
    let (mut read_assets, mut read_changes) = (Vec::new(), Vec::new());
    let mut assets_ask = AssetQuery {
        limit: Some(3),
        ..AssetQuery::default()
    };
    let mut changes_ask = ChangeQuery {
        limit: Some(3),
        ..ChangeQuery::default()
    };
    for turn in 0.. {
        let page = fleet.assets(assets_ask.clone()).await.unwrap();
        read_assets.extend(page.items);
        assets_ask.cursor = page.next_cursor;
        let page = fleet.changes(changes_ask.clone()).await.unwrap();
        read_changes.extend(page.items);
        changes_ask.cursor = page.next_cursor;
        if assets_ask.cursor.is_none() && changes_ask.cursor.is_none() {
            break;
        }
        // before and behind where we are
        see(
            &fleet,
            &agent,
            100 + turn,
            one((2 * turn + 1) % 40),
            json!({"completed_at": null}),
        )
        .await;
        if assets_ask.cursor.is_none() {
            assets_ask.cursor = page_end(&fleet).await;
        }
        if changes_ask.cursor.is_none() {
            break;
        }
    }
    // each that was there is read once and in its place; of those that were added, some
    let old = |id: &str| assets.iter().any(|asset| asset.id == id);
    let read: Vec<_> = read_assets.iter().map(|asset| asset.id.clone()).collect();
    let mut once = read.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), read.len());
    let known: Vec<_> = read.iter().filter(|id| old(id)).cloned().collect();
    let expected: Vec<_> = assets.iter().map(|asset| asset.id.clone()).take(known.len()).collect();
    assert_eq!(known, expected);
    assert!(known.len() >= 15);
    assert_eq!(read_changes, changes, "what is added is newer than all pages");
}

/// A cursor behind everything.
async fn page_end(fleet: &Fleet) -> Option<String> {
    let page = fleet
        .assets(AssetQuery {
            limit: Some(5_000),
            ..AssetQuery::default()
        })
        .await
        .unwrap();
    let count = u32::try_from(page.items.len()).unwrap();
    fleet
        .assets(AssetQuery {
            limit: Some(count - 1),
            ..AssetQuery::default()
        })
        .await
        .unwrap()
        .next_cursor
}

async fn what_is_no_cursor_is_refused(base: &Base) {
    let fleet = base.open().await;
    fill(&fleet).await;
    let scans = fleet
        .scans(ScanQuery {
            limit: Some(1),
            ..ScanQuery::default()
        })
        .await
        .unwrap();
    // of another list, or of none; `WyJcdTAwMDAiLCIiLCIiLCIiXQ` has a NUL in it
    for cursor in [scans.next_cursor.unwrap(), "?".into(), String::new(), "e30".into()] {
        let asked = fleet
            .assets(AssetQuery {
                cursor: Some(cursor.clone()),
                ..AssetQuery::default()
            })
            .await;
        assert!(
            matches!(asked, Err(FleetError::Invalid(why)) if why.contains("`cursor`")),
            "{cursor}"
        );
    }
    let cursor = Some("WyJcdTAwMDAiLCIiLCIiLCIiXQ".to_owned());
    fleet
        .assets(AssetQuery {
            cursor,
            ..AssetQuery::default()
        })
        .await
        .unwrap();
}

async fn assets_are_searched_and_chosen(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let seen = json!([
        {"ip": "192.168.1.1", "mac": "02:00:00:00:AB:CD", "hostname": "Drucker-ÄÖ", "vendor": "50%_Maker!"},
        {"ip": "192.168.1.2", "os_hint": "Linux", "bigr_category": "server"},
    ]);
    see(&fleet, &agent, 0, seen, json!({})).await;
    for (text, expected) in [
        ("ab:cd", 1),
        ("AB:CD", 1),
        ("äö", 1),
        ("ÄÖ", 1),
        (" drucker ", 1),
        ("%_m", 1),
        ("5_%", 0),
        ("%", 1),
        ("!", 1),
        ("LINUX", 1),
        ("server", 1),
        ("192.168.1", 2),
        ("", 2),
        ("\0", 2),
        ("'; DROP TABLE assets; --", 0),
    ] {
        let ask = AssetQuery {
            text: Some(text.to_owned()),
            ..AssetQuery::default()
        };
        assert_eq!(fleet.assets(ask).await.unwrap().total, expected, "{text:?}");
    }
    for (site, network, gone, expected) in [
        (Some("Berlin"), Some("home"), Some(false), 2),
        (Some("berlin"), None, None, 0),
        (None, Some("away"), None, 0),
        (None, None, Some(true), 0),
        (Some("\0"), Some("\0"), None, 0),
    ] {
        let ask = AssetQuery {
            site: site.map(str::to_owned),
            network: network.map(str::to_owned),
            gone,
            ..AssetQuery::default()
        };
        assert_eq!(
            fleet.assets(ask).await.unwrap().total,
            expected,
            "{site:?} {network:?} {gone:?}"
        );
    }
}

async fn changes_scans_and_findings_are_chosen(base: &Base) {
    let fleet = base.open().await;
    fill(&fleet).await;
    let berlin = Some("Berlin".to_owned());
    let changes = |ask: ChangeQuery| async { fleet.changes(ask).await.unwrap().total };
    assert_eq!(
        changes(ChangeQuery {
            site: berlin.clone(),
            ..ChangeQuery::default()
        })
        .await,
        21
    );
    assert_eq!(
        changes(ChangeQuery {
            kind: Some(ChangeKind::Gone),
            ..ChangeQuery::default()
        })
        .await,
        0
    );
    assert_eq!(
        changes(ChangeQuery {
            since: Some(at(2)),
            ..ChangeQuery::default()
        })
        .await,
        14
    );
    let id = fleet.assets(AssetQuery::default()).await.unwrap().items.remove(0).id;
    assert_eq!(
        changes(ChangeQuery {
            asset_id: Some(id),
            ..ChangeQuery::default()
        })
        .await,
        1
    );
    let scans = |ask: ScanQuery| async { fleet.scans(ask).await.unwrap().total };
    assert_eq!(
        scans(ScanQuery {
            site: berlin.clone(),
            kind: Some("shield".into()),
            ..ScanQuery::default()
        })
        .await,
        3
    );
    assert_eq!(
        scans(ScanQuery {
            agent_id: Some("Paris".parse().unwrap()),
            ..ScanQuery::default()
        })
        .await,
        6
    );
    let found = |ask: FindingQuery| async { fleet.findings(ask).await.unwrap().total };
    assert_eq!(
        found(FindingQuery {
            severity: Some(Severity::Info),
            ..FindingQuery::default()
        })
        .await,
        42
    );
    assert_eq!(
        found(FindingQuery {
            severity: Some(Severity::High),
            ..FindingQuery::default()
        })
        .await,
        12
    );
    assert_eq!(
        found(FindingQuery {
            severity: Some(Severity::Critical),
            site: berlin,
            ..FindingQuery::default()
        })
        .await,
        3
    );
    assert_eq!(
        found(FindingQuery {
            module: Some("http".into()),
            ..FindingQuery::default()
        })
        .await,
        0
    );
}

async fn all_about_one_address(base: &Base) {
    let fleet = base.open().await;
    fill(&fleet).await;
    let details = fleet.asset_details("::ffff:192.168.1.3", None, at(9)).await;
    let plain = fleet.asset_details(" 192.168.1.3 ", None, at(9)).await.unwrap();
    assert!(details.unwrap().len() == 2 && plain.len() == 2);
    let one = fleet
        .asset_details("192.168.1.3", Some("Paris"), at(9))
        .await
        .unwrap()
        .remove(0);
    assert_eq!((one.asset.site_name.as_str(), one.asset.open_findings), ("Paris", 1));
    assert_eq!(
        (one.changes.len(), one.findings.len(), one.certificates.len()),
        (1, 1, 1)
    );
    assert!(
        fleet
            .asset_details("192.168.9.9", None, at(9))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        fleet
            .asset_details("192.168.1.3", Some("Rome\0"), at(9))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        fleet.asset_details("'", None, at(9)).await,
        Err(FleetError::Invalid(_))
    ));
}

async fn sites_networks_and_subnets_are_counted(base: &Base) {
    let fleet = base.open().await;
    fill(&fleet).await;
    let subnets = vec![
        "192.168.1.0/24".to_owned(),
        "172.16.0.9/12".to_owned(),
        "nonsense".to_owned(),
    ];
    let ask = RegisterAgent {
        site_name: Some("Rome".into()),
        subnets: subnets.clone(),
        ..agent("r")
    };
    let rome = register(&fleet, ask, 0).await;
    let rome = pass(&fleet, &rome.token, 0).await;
    let sites = fleet.sites().await.unwrap();
    let names: Vec<_> = sites
        .iter()
        .map(|site| {
            (
                site.name.as_str(),
                site.agents,
                site.networks,
                site.assets,
                site.open_findings,
            )
        })
        .collect();
    assert_eq!(
        names,
        [("Berlin", 1, 1, 21, 21), ("Paris", 1, 1, 21, 21), ("Rome", 1, 0, 0, 0)]
    );
    assert_eq!((sites[0].last_scan, sites[2].last_scan), (Some(at(2)), None));
    let beat = venom_protocol::AgentHeartbeat::default();
    fleet.heartbeat(&rome, beat, at(5)).await.unwrap();
    fleet.flush(at(5)).await.unwrap();
    assert_eq!(fleet.sites().await.unwrap()[2].agents_online, 1);

    let networks = fleet.networks(None).await.unwrap();
    assert_eq!(
        (
            networks.len(),
            networks[0].assets,
            networks[0].fingerprint_hash.as_str()
        ),
        (2, 21, "home")
    );
    assert_eq!(fleet.networks(Some("Rome")).await.unwrap(), []);
    let gateway = json!({"network_fingerprint": {"fingerprint_hash": "home", "gateway_ip": "192.168.1.1", "gateway_mac": "2:0:0:0:0:1", "ssid": "net"}});
    see(
        &fleet,
        &rome,
        6,
        json!([{"ip": "172.16.3.4"}, {"ip": "192.168.1.1"}]),
        gateway,
    )
    .await;
    // and who knows less takes nothing away
    see(
        &fleet,
        &rome,
        7,
        json!([{"ip": "172.16.3.4"}, {"ip": "192.168.1.1"}]),
        json!({}),
    )
    .await;
    let network = fleet.networks(Some("Rome")).await.unwrap().remove(0);
    assert_eq!(
        (network.gateway_ip.as_deref(), network.gateway_mac.as_deref()),
        (Some("192.168.1.1"), Some("02:00:00:00:00:01"))
    );
    assert_eq!(
        (network.ssid.as_deref(), network.first_seen, network.last_seen),
        (Some("net"), at(6), at(7))
    );

    let subnets = fleet.subnets(Some("Rome")).await.unwrap();
    let told: Vec<_> = subnets
        .iter()
        .map(|subnet| {
            (
                subnet.cidr.as_str(),
                subnet.assets,
                subnet.agents.len(),
                subnet.last_scan,
            )
        })
        .collect();
    assert_eq!(
        told,
        [("172.16.0.0/12", 1, 1, None), ("192.168.1.0/24", 1, 1, Some(at(7)))]
    );
    assert_eq!(fleet.subnets(None).await.unwrap().len(), 8);
}

async fn the_picture_holds_together(base: &Base) {
    let fleet = base.open().await;
    fill(&fleet).await;
    let berlin = admitted(&fleet, "Berlin", "Berlin").await;
    let gateway =
        json!({"network_fingerprint": {"fingerprint_hash": "home", "gateway_ip": "192.168.1.1"}, "completed_at": null});
    see(&fleet, &berlin, 9, json!([]), gateway).await;
    let picture = fleet.topology(None).await.unwrap();
    let count = |kind: &str| picture.nodes.iter().filter(|node| node.kind == kind).count();
    assert_eq!(
        [
            count("site"),
            count("network"),
            count("agent"),
            count("gateway"),
            count("asset")
        ],
        [2, 2, 2, 1, 41]
    );
    assert!(!picture.truncated);
    let ids: std::collections::BTreeSet<_> = picture.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids.len(), picture.nodes.len());
    for link in &picture.links {
        assert!(
            ids.contains(link.from.as_str()) && ids.contains(link.to.as_str()),
            "{link:?}"
        );
    }
    // everything but a site belongs to something
    assert_eq!(picture.links.len(), picture.nodes.len() - 2);
    let agent = picture.links.iter().find(|link| link.from == "agent:Berlin").unwrap();
    assert_eq!(agent.to, "network:Berlin:home");
    let one = fleet.topology(Some("Berlin")).await.unwrap();
    assert!(one.nodes.iter().all(|node| node.site_name == "Berlin") && one.nodes.len() == 24);
}
