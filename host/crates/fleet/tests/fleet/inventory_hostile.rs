//! What hostile or broken agents send.

use serde_json::{Value, json};
use venom_fleet::export::assets_csv;
use venom_fleet::{CertificateQuery, ScanQuery};

use crate::admitted::admitted;
use crate::base::{Base, at};
use crate::seen::{assets, discovery, find, findings, see};

on_both!(
    texts_are_cleaned_and_cut,
    addresses_and_macs_that_are_none_are_not_kept,
    lists_do_not_grow_without_end,
    what_is_said_of_ports_and_services_has_room_for_so_much,
    changes_of_one_batch_are_so_many_and_no_more,
    networks_do_not_grow_without_end,
    subnets_do_not_grow_without_end,
    times_of_any_age_are_kept,
    the_same_thing_twice_in_a_batch_is_one,
);

async fn texts_are_cleaned_and_cut(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let long = "x".repeat(1_000_000);
    let nasty = format!("=1+1\u{0}\u{1b}[31m\u{202e}{long}");
    let seen = json!([{
        "ip": "192.168.1.5", "hostname": nasty, "vendor": nasty, "os_hint": nasty, "bigr_category": nasty, "evidence": [nasty, nasty],
        "services": [{"port": 80, "protocol": nasty, "service": nasty, "product": nasty, "version": nasty, "banner": nasty, "tls_names": [nasty]}],
        "extra\u{0}": "a\u{0}b", "big": long, "deep": [[[["\u{0}"]]]],
    }]);
    let print = json!({"fingerprint_hash": nasty, "gateway_ip": nasty, "gateway_mac": nasty, "ssid": nasty});
    let more = json!({"network_fingerprint": print, "scan_method": nasty, "target": nasty});
    see(&fleet, &agent, 0, seen, more.clone()).await;
    let asset = assets(&fleet).await.remove(0);
    let is_clean = |text: &str| text.len() <= 255 && !text.chars().any(char::is_control) && !text.contains('\u{202e}');
    let texts = [
        asset.hostname.as_ref(),
        asset.vendor.as_ref(),
        asset.os_hint.as_ref(),
        asset.bigr_category.as_ref(),
    ];
    assert!(
        texts
            .into_iter()
            .flatten()
            .chain(&asset.evidence)
            .chain([&asset.network])
            .all(|text| is_clean(text))
    );
    let service = &asset.services[0];
    assert_eq!(
        (
            service.protocol.as_str(),
            service.banner.as_ref().unwrap().len(),
            asset.evidence.len()
        ),
        ("tcp", 1_024, 1)
    );
    assert!(
        [&service.service, &service.product, &service.version]
            .into_iter()
            .flatten()
            .all(|text| is_clean(text))
    );
    assert!(service.tls_names.iter().all(|text| is_clean(text)));
    assert_eq!(
        asset.extra["extra\u{0}"], "a\u{0}b",
        "what else was sent is kept as it is"
    );
    assert_eq!(
        (asset.extra["deep"].clone(), asset.extra.contains_key("big")),
        (json!([[[["\u{0}"]]]]), false)
    );
    assert!(!assets_csv(&[asset]).contains(",="));

    let finding = json!({
        "module": nasty, "check_id": nasty, "severity": nasty, "title": nasty, "detail": format!("one\ntwo{nasty}"), "target_ip": nasty,
        "remediation": nasty, "extra": long,
    });
    let certificate = json!({
        "ip": nasty, "port": 443, "fingerprint": nasty, "subject": nasty, "issuer": nasty, "serial": nasty, "names": [nasty], "key": nasty,
        "signature_algorithm": nasty,
    });
    let mut more = more;
    more["certificates"] = json!([certificate]);
    more["modules_run"] = json!([nasty]);
    more["checks_run"] = json!([nasty, format!("{nasty}@{nasty}:1")]);
    for seconds in 0..2 {
        find(&fleet, &agent, seconds, json!([finding]), more.clone()).await;
    }
    let finding = findings(&fleet).await.remove(0);
    assert!(
        [
            &finding.module,
            &finding.check_id,
            &finding.title,
            finding.target_ip.as_ref().unwrap()
        ]
        .into_iter()
        .all(|text| is_clean(text))
    );
    assert!(
        finding.detail.starts_with("one\ntwo=1+1[31mx")
            && finding.detail.len() <= 4_096
            && finding.remediation.len() <= 4_096
    );
    assert!(finding.extra.is_empty());
    let certificate = fleet
        .certificates(CertificateQuery::default(), at(0))
        .await
        .unwrap()
        .items
        .remove(0);
    assert!(
        [
            certificate.subject,
            certificate.issuer,
            certificate.serial,
            certificate.key
        ]
        .into_iter()
        .flatten()
        .all(|text| is_clean(&text))
    );
    assert!(
        fleet
            .scans(ScanQuery::default())
            .await
            .unwrap()
            .items
            .iter()
            .all(|scan| is_clean(&scan.target) && is_clean(&scan.method))
    );
}

async fn addresses_and_macs_that_are_none_are_not_kept(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for (last, mac) in [
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
        "01:00:5e:00:00:01",
        "zz:zz:zz:zz:zz:zz",
        "<incomplete>",
        "",
        "02:00:00:00:00",
    ]
    .into_iter()
    .enumerate()
    {
        see(
            &fleet,
            &agent,
            0,
            json!([{"ip": format!("192.168.1.{last}"), "mac": mac}]),
            json!({"completed_at": null}),
        )
        .await;
    }
    let seen = assets(&fleet).await;
    assert!(seen.len() == 7 && seen.iter().all(|asset| asset.mac.is_none()));
    for target in [
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "::/129",
        "10.0.0/8",
        "",
        "../../etc",
        "10.0.0.0/24; rm",
    ] {
        see(&fleet, &agent, 1, json!([]), json!({"target": target})).await;
    }
    // what is no address never gets so far
    let bad = json!({"target": "x", "started_at": at(0), "assets": [{"ip": "192.168.1.999"}]});
    assert!(serde_json::from_value::<venom_protocol::Discovery>(bad).is_err());
}

async fn lists_do_not_grow_without_end(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for round in 0..3_u32 {
        let ports: Vec<u32> = (0..20_000).map(|port| round * 20_000 + port).collect();
        let services: Vec<Value> = (1..1_000_u32)
            .map(|port| json!({"port": round * 1_000 + port, "protocol": "udp", "banner": "b"}))
            .collect();
        let evidence: Vec<String> = (0..1_000).map(|number| format!("{round} {number}")).collect();
        let seen = json!([{"ip": "192.168.1.5", "open_ports": ports, "services": services, "evidence": evidence}]);
        see(&fleet, &agent, i64::from(round), seen, json!({})).await;
    }
    let asset = assets(&fleet).await.remove(0);
    assert_eq!(
        (asset.open_ports.len(), asset.services.len(), asset.evidence.len()),
        (2_048, 256, 64)
    );
    assert!(!asset.open_ports.contains(&0));
}

async fn what_is_said_of_ports_and_services_has_room_for_so_much(base: &Base) {
    let fleet = base.open().await;
    let agents = [
        admitted(&fleet, &"a".repeat(128), "Berlin").await,
        admitted(&fleet, &"b".repeat(128), "Berlin").await,
    ];
    let name = |port: u32, number: u32| format!("{port}-{number}-{}", "n".repeat(240));
    let names = |port: u32| -> Vec<String> { (0..64).map(|number| name(port, number)).collect() };
    let services: Vec<Value> = (1..=256)
        .map(|port| json!({"port": port, "protocol": "udp", "banner": "b".repeat(1_024), "tls_names": names(port)}))
        .collect();
    let ports: Vec<u32> = (1..=2_048).collect();
    let seen = json!([{"ip": "192.168.1.5", "open_ports": ports, "services": services}]);
    let mut known = Vec::new();
    for round in 0..4 {
        see(&fleet, &agents[round % 2], round as i64, seen.clone(), json!({})).await;
        known.push(assets(&fleet).await.remove(0));
    }
    let facts = base.number("SELECT MAX(LENGTH(facts)) FROM assets").await;
    assert!(facts < 200_000, "{facts}");
    let ports = &known[0].open_ports;
    assert_eq!(ports.len(), 256, "of the first ones all is kept");
    assert_eq!(ports.last(), Some(&256));
    assert!(!known[0].services.is_empty());
    // and what has no room is not told of at each look
    assert!(known.iter().all(|asset| asset.open_ports == *ports));
    assert_eq!(base.number("SELECT COUNT(*) FROM changes").await, 1);
}

async fn changes_of_one_batch_are_so_many_and_no_more(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let seen = |things: u32, ports: u32| -> Value {
        let ports: Vec<u32> = (1..=ports).collect();
        let one = |thing: u32| json!({"ip": format!("192.168.1.{thing}"), "open_ports": ports});
        (1..=things).map(one).collect()
    };
    see(&fleet, &agent, 0, seen(5, 0), json!({})).await;
    // the new one comes last, and is not lost among the ports
    let taken = see(&fleet, &agent, 1, seen(6, 1_200), json!({})).await;
    let summed = taken.events.last().unwrap();
    assert_eq!(summed.kind, "ASSETS_CHANGED");
    assert_eq!(
        (&summed.data["count"], &summed.data["kept"]),
        (&json!(6_001), &json!(5_000))
    );
    assert_eq!(base.number("SELECT COUNT(*) FROM changes").await, 5 + 5_000);
    assert_eq!(base.number("SELECT COUNT(*) FROM changes WHERE kind = 'new'").await, 6);
}

async fn networks_do_not_grow_without_end(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(&fleet, &agent, 0, json!([]), json!({})).await;
    base.run(
        "INSERT INTO networks (site_name, network, gateway_ip, gateway_mac, ssid, first_seen, last_seen) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4095) \
         SELECT 'Berlin', 'n' || CAST(i AS TEXT), '', '', '', 0, 0 FROM n",
    )
    .await;
    let batch = discovery(
        1,
        json!([]),
        json!({"network_fingerprint": {"fingerprint_hash": "one more"}}),
    );
    let refused = fleet.ingest_discovery(&agent, None, batch, at(1)).await.unwrap_err();
    assert!(
        matches!(&refused, venom_fleet::FleetError::Full(why) if why.contains("networks")),
        "{refused}"
    );
    see(&fleet, &agent, 2, json!([]), json!({})).await;
}

async fn subnets_do_not_grow_without_end(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(&fleet, &agent, 0, json!([]), json!({})).await;
    base.run(
        "INSERT INTO subnets (site_name, cidr, first_key, last_key, last_scan) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4095) \
         SELECT 'Berlin', 'n' || CAST(i AS TEXT), '', '', 0 FROM n",
    )
    .await;
    let batch = discovery(1, json!([]), json!({"target": "10.0.0.0/24"}));
    let refused = fleet.ingest_discovery(&agent, None, batch, at(1)).await.unwrap_err();
    assert!(
        matches!(&refused, venom_fleet::FleetError::Full(why) if why.contains("subnets")),
        "{refused}"
    );
    // what is known may come again, and one address is no subnet
    see(&fleet, &agent, 2, json!([]), json!({})).await;
    see(&fleet, &agent, 3, json!([]), json!({"target": "192.168.1.7"})).await;
    assert_eq!(base.number("SELECT COUNT(*) FROM subnets").await, 4_096);
}

async fn times_of_any_age_are_kept(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for (begun, target) in [
        ("-009999-01-03T00:00:00Z", "a"),
        ("1969-12-31T23:59:59Z", "b"),
        ("9999-12-30T22:00:00Z", "c"),
    ] {
        let more = json!({"started_at": begun, "completed_at": begun, "target": target});
        see(&fleet, &agent, 0, json!([]), more).await;
    }
    let scans = fleet.scans(ScanQuery::default()).await.unwrap().items;
    assert_eq!(scans.len(), 3);
    assert!(
        scans.iter().all(|scan| scan.started_at <= at(0)),
        "nothing began later than it came"
    );
}

async fn the_same_thing_twice_in_a_batch_is_one(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let seen = json!([
        {"ip": "192.168.1.5", "open_ports": [22]},
        {"ip": "192.168.1.5", "mac": "02:00:00:00:00:05", "open_ports": [80]},
        {"ip": "::ffff:192.168.1.5", "mac": "02-00-00-00-00-05", "hostname": "pi"},
    ]);
    for seconds in 0..2 {
        see(&fleet, &agent, seconds, seen.clone(), json!({})).await;
    }
    let asset = assets(&fleet).await;
    assert_eq!(
        (
            asset.len(),
            asset[0].open_ports.as_slice(),
            asset[0].hostname.as_deref()
        ),
        (1, [22, 80].as_slice(), Some("pi"))
    );
    // a conflict: two things at one address
    let seen =
        json!([{"ip": "192.168.1.7", "mac": "02:00:00:00:00:07"}, {"ip": "192.168.1.7", "mac": "02:00:00:00:00:08"}]);
    see(&fleet, &agent, 2, seen, json!({})).await;
    assert_eq!(assets(&fleet).await.len(), 3);
}
