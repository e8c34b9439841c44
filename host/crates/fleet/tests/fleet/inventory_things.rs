//! Which thing is which, and what is told of it.

use serde_json::json;
use venom_protocol::ChangeKind::{self, HostnameChanged, IpChanged, PortClosed, PortOpened, ServiceChanged};

use crate::admitted::{admitted, kinds};
use crate::base::Base;
use crate::seen::{assets, changes, see, told};

on_both!(
    the_same_address_at_two_sites_is_two_things,
    the_same_address_in_two_networks_of_a_site_is_two_things,
    a_gateway_whose_mac_is_not_always_seen_is_one_network,
    a_target_is_a_network_when_nobody_says_which,
    a_part_of_a_target_is_in_its_network,
    an_address_changes_with_the_same_mac,
    a_mac_that_becomes_known_later_is_the_same_thing,
    a_mac_found_where_only_an_address_was_known_absorbs_it,
    one_mac_at_several_addresses_is_several_things,
    an_agent_is_known_by_its_id,
    a_port_is_opened_and_closed_once,
    a_port_that_was_not_tried_is_not_closed,
    a_port_is_closed_after_misses_when_nobody_says_what_was_tried,
    a_service_changes_once,
    a_name_changes_once,
    what_is_not_known_overwrites_nothing,
    a_class_that_is_less_sure_gives_way_for_a_week,
    changes_are_told_as_events_and_many_as_one,
);

async fn the_same_address_at_two_sites_is_two_things(base: &Base) {
    let fleet = base.open().await;
    let router = json!([{"ip": "192.168.1.1", "mac": "02:00:00:00:00:01"}]);
    for site in ["Berlin", "Paris"] {
        let agent = admitted(&fleet, site, site).await;
        see(&fleet, &agent, 0, router.clone(), json!({})).await;
        see(&fleet, &agent, 9, router.clone(), json!({})).await;
    }
    let seen = assets(&fleet).await;
    let sites: Vec<&str> = seen.iter().map(|asset| asset.site_name.as_str()).collect();
    assert_eq!(sites, ["Berlin", "Paris"]);
    assert!(
        seen.iter()
            .all(|asset| asset.ip == "192.168.1.1" && asset.agent_id.as_str() == asset.site_name)
    );
    assert_eq!(changes(&fleet).await.len(), 2);
}

async fn a_gateway_whose_mac_is_not_always_seen_is_one_network(base: &Base) {
    let fleet = base.open().await;
    let (agent, other) = (
        admitted(&fleet, "a", "Berlin").await,
        admitted(&fleet, "b", "Berlin").await,
    );
    let router = json!([{"ip": "192.168.1.1"}]);
    let print = |hash: &str, mac: Option<&str>| json!({"network_fingerprint": {"fingerprint_hash": hash, "gateway_ip": "192.168.1.1", "gateway_mac": mac}});
    let mac = "02:00:00:00:00:01";
    see(&fleet, &agent, 0, router.clone(), print("half", None)).await;
    see(&fleet, &agent, 1, router.clone(), print("whole", Some(mac))).await;
    see(&fleet, &agent, 2, router.clone(), print("half", None)).await;
    // now that its MAC is known, another agent's fingerprint of it is it too
    see(&fleet, &other, 3, router.clone(), print("of another kind", Some(mac))).await;
    let networks = fleet.networks(Some("Berlin")).await.unwrap();
    assert_eq!(networks.len(), 1, "{networks:?}");
    assert_eq!(networks[0].gateway_mac.as_deref(), Some(mac));
    assert_eq!((assets(&fleet).await.len(), changes(&fleet).await.len()), (1, 1));
    // who has another gateway, or does not say, is elsewhere
    see(
        &fleet,
        &other,
        4,
        router.clone(),
        print("floor", Some("02:00:00:00:00:02")),
    )
    .await;
    let third = admitted(&fleet, "c", "Berlin").await;
    see(&fleet, &third, 5, router, print("somewhere", None)).await;
    assert_eq!(fleet.networks(Some("Berlin")).await.unwrap().len(), 3);
}

async fn the_same_address_in_two_networks_of_a_site_is_two_things(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let router = json!([{"ip": "192.168.1.1", "mac": "02:00:00:00:00:01"}]);
    for network in ["one", "two"] {
        let print = json!({"network_fingerprint": {"fingerprint_hash": network}});
        see(&fleet, &agent, 0, router.clone(), print.clone()).await;
        see(&fleet, &agent, 9, router.clone(), print).await;
    }
    let networks: Vec<String> = assets(&fleet).await.into_iter().map(|asset| asset.network).collect();
    assert_eq!(networks, ["one", "two"]);
    assert_eq!(fleet.networks(Some("Berlin")).await.unwrap().len(), 2);
    assert_eq!(
        fleet.agent(&agent.agent_id).await.unwrap().current_network.as_deref(),
        Some("two")
    );
}

async fn a_target_is_a_network_when_nobody_says_which(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for target in ["192.168.1.77/24", "192.168.1.0/24", "10.0.0.0/24"] {
        let more = json!({"network_fingerprint": null, "target": target});
        see(&fleet, &agent, 0, json!([{"ip": "192.168.1.1"}]), more).await;
    }
    let networks: Vec<String> = assets(&fleet).await.into_iter().map(|asset| asset.network).collect();
    assert_eq!(networks, ["target:10.0.0.0/24", "target:192.168.1.0/24"]);
}

async fn a_part_of_a_target_is_in_its_network(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for (seconds, target) in [(0, "192.168.0.0/16"), (1, "192.168.1.0/24"), (2, "192.168.1.1")] {
        let more = json!({"network_fingerprint": null, "target": target});
        see(&fleet, &agent, seconds, json!([{"ip": "192.168.1.1"}]), more).await;
    }
    let seen = assets(&fleet).await;
    assert_eq!((seen.len(), seen[0].network.as_str()), (1, "target:192.168.0.0/16"));
    // another site knows nothing of it
    let other = admitted(&fleet, "b", "Paris").await;
    let more = json!({"network_fingerprint": null, "target": "192.168.1.1"});
    see(&fleet, &other, 3, json!([{"ip": "192.168.1.1"}]), more).await;
    assert_eq!(assets(&fleet).await[1].network, "target:192.168.1.1/32");
}

async fn an_address_changes_with_the_same_mac(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for (seconds, ip, mac) in [
        (0, "192.168.1.5", "02-00-00-00-00-05"),
        (1, "192.168.1.6", "0200.0000.0005"),
        (2, "192.168.1.6", "02:00:00:00:00:05"),
    ] {
        see(&fleet, &agent, seconds, json!([{"ip": ip, "mac": mac}]), json!({})).await;
    }
    assert_eq!(assets(&fleet).await.len(), 1);
    assert_eq!(
        told(&fleet).await,
        [(IpChanged, "192.168.1.5".into(), "192.168.1.6".into())]
    );
}

async fn a_mac_that_becomes_known_later_is_the_same_thing(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(
        &fleet,
        &agent,
        0,
        json!([{"ip": "192.168.1.5", "hostname": "pi"}]),
        json!({}),
    )
    .await;
    let before = assets(&fleet).await.remove(0);
    see(
        &fleet,
        &agent,
        1,
        json!([{"ip": "192.168.1.5", "mac": "02:00:00:00:00:05"}]),
        json!({}),
    )
    .await;
    // and seen without it again
    see(
        &fleet,
        &agent,
        2,
        json!([{"ip": "192.168.1.5", "mac": "not one"}]),
        json!({}),
    )
    .await;
    let seen = assets(&fleet).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (&seen[0].id, seen[0].mac.as_deref()),
        (&before.id, Some("02:00:00:00:00:05"))
    );
    assert_eq!(
        (seen[0].hostname.as_deref(), seen[0].first_seen),
        (Some("pi"), before.first_seen)
    );
    assert_eq!(told(&fleet).await, []);
}

async fn a_mac_found_where_only_an_address_was_known_absorbs_it(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(
        &fleet,
        &agent,
        0,
        json!([{"ip": "192.168.1.9", "vendor": "Maker"}]),
        json!({}),
    )
    .await;
    see(
        &fleet,
        &agent,
        1,
        json!([{"ip": "192.168.1.5", "mac": "02:00:00:00:00:05"}]),
        json!({"completed_at": null}),
    )
    .await;
    assert_eq!(assets(&fleet).await.len(), 2);
    // the thing with the MAC is where a thing without one was: that was it
    see(
        &fleet,
        &agent,
        2,
        json!([{"ip": "192.168.1.9", "mac": "02:00:00:00:00:05"}]),
        json!({}),
    )
    .await;
    let seen = assets(&fleet).await;
    assert_eq!((seen.len(), seen[0].vendor.as_deref()), (1, Some("Maker")));
    let changes = changes(&fleet).await;
    assert_eq!(changes.len(), 3);
    assert!(
        changes.iter().all(|change| change.asset_id == seen[0].id),
        "its history goes on"
    );
}

async fn one_mac_at_several_addresses_is_several_things(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    // a router that answers for others
    let seen: Vec<_> = (1..=5)
        .map(|last| json!({"ip": format!("192.168.1.{last}"), "mac": "02:00:00:00:00:01"}))
        .collect();
    for seconds in 0..4 {
        see(&fleet, &agent, seconds, json!(seen), json!({})).await;
    }
    assert_eq!(assets(&fleet).await.len(), 5);
    assert_eq!(told(&fleet).await, []);
}

async fn an_agent_is_known_by_its_id(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(
        &fleet,
        &agent,
        0,
        json!([{"ip": "192.168.1.5", "agent_id": "spore-1"}]),
        json!({}),
    )
    .await;
    see(
        &fleet,
        &agent,
        1,
        json!([{"ip": "192.168.1.6", "agent_id": "spore-1"}]),
        json!({}),
    )
    .await;
    // another agent at that address is another thing
    see(
        &fleet,
        &agent,
        2,
        json!([{"ip": "192.168.1.6", "agent_id": "spore-2"}]),
        json!({"completed_at": null}),
    )
    .await;
    assert_eq!(assets(&fleet).await.len(), 2);
    assert_eq!(
        told(&fleet).await,
        [(IpChanged, "192.168.1.5".into(), "192.168.1.6".into())]
    );
}

async fn a_port_is_opened_and_closed_once(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let tried = json!({"ports_scanned": [22, 80, 443]});
    for (seconds, ports) in [
        (0, json!([22])),
        (1, json!(["22/tcp", 443])),
        (2, json!([22, 443])),
        (3, json!([22])),
        (4, json!([22])),
    ] {
        see(
            &fleet,
            &agent,
            seconds,
            json!([{"ip": "192.168.1.5", "open_ports": ports}]),
            tried.clone(),
        )
        .await;
    }
    let expected = [
        (PortOpened, String::new(), "443".into()),
        (PortClosed, "443".into(), String::new()),
    ];
    assert_eq!(told(&fleet).await, expected);
    assert_eq!(assets(&fleet).await[0].open_ports, [22]);
}

async fn a_port_that_was_not_tried_is_not_closed(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let open = json!([{"ip": "192.168.1.5", "open_ports": [22, 80]}]);
    see(&fleet, &agent, 0, open, json!({"ports_scanned": [22, 80]})).await;
    let closed = json!([{"ip": "192.168.1.5"}]);
    for seconds in 1..6 {
        // it tried others; or it was broken off
        see(&fleet, &agent, seconds, closed.clone(), json!({"ports_scanned": [443]})).await;
        see(
            &fleet,
            &agent,
            seconds,
            closed.clone(),
            json!({"ports_scanned": [22, 80], "completed_at": null}),
        )
        .await;
    }
    assert_eq!(told(&fleet).await, []);
    // not seen at all says nothing of its ports
    see(&fleet, &agent, 7, json!([]), json!({"ports_scanned": [22, 80]})).await;
    assert_eq!(assets(&fleet).await[0].open_ports, [22, 80]);
}

async fn a_port_is_closed_after_misses_when_nobody_says_what_was_tried(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let other = admitted(&fleet, "b", "Berlin").await;
    see(
        &fleet,
        &agent,
        0,
        json!([{"ip": "192.168.1.5", "open_ports": [22]}]),
        json!({}),
    )
    .await;
    let closed = json!([{"ip": "192.168.1.5"}]);
    for seconds in 1..9 {
        // who never saw it may look from where it cannot be seen
        see(&fleet, &other, seconds, closed.clone(), json!({})).await;
    }
    assert_eq!(told(&fleet).await, []);
    for seconds in 10..12 {
        see(&fleet, &agent, seconds, closed.clone(), json!({})).await;
    }
    // seen in between: it begins again
    see(
        &fleet,
        &agent,
        12,
        json!([{"ip": "192.168.1.5", "open_ports": [22]}]),
        json!({}),
    )
    .await;
    for seconds in 13..15 {
        see(&fleet, &agent, seconds, closed.clone(), json!({})).await;
    }
    assert_eq!(told(&fleet).await, []);
    for seconds in 15..18 {
        see(&fleet, &agent, seconds, closed.clone(), json!({})).await;
    }
    assert_eq!(told(&fleet).await, [(PortClosed, "22".into(), String::new())]);
}

async fn a_service_changes_once(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for (seconds, service) in [
        (0, json!({"port": 80, "service": "http"})),
        // more is known of it: no change
        (
            1,
            json!({"port": 80, "service": "HTTP", "product": "nginx", "version": "1.24"}),
        ),
        // less is known of it: no change
        (2, json!({"port": 80})),
        (
            3,
            json!({"port": 80, "version": "1.25", "banner": "hello\r\n\u{1b}[2J"}),
        ),
        (4, json!({"port": 80, "version": "1.25"})),
        (5, json!({"port": 80, "service": "ssh"})),
        (6, json!({"port": 80, "service": "ssh"})),
    ] {
        see(
            &fleet,
            &agent,
            seconds,
            json!([{"ip": "192.168.1.5", "services": [service]}]),
            json!({}),
        )
        .await;
    }
    let expected = [
        (
            ServiceChanged,
            "80/tcp http nginx 1.24".into(),
            "80/tcp http nginx 1.25".into(),
        ),
        (ServiceChanged, "80/tcp HTTP nginx 1.25".into(), "80/tcp ssh".into()),
    ];
    let told = told(&fleet).await;
    let lower = |told: &[(ChangeKind, String, String)]| -> Vec<(ChangeKind, String, String)> {
        told.iter()
            .map(|(kind, before, after)| (*kind, before.to_lowercase(), after.to_lowercase()))
            .collect()
    };
    assert_eq!(lower(&told), lower(&expected));
    let service = assets(&fleet).await.remove(0).services.remove(0);
    assert_eq!(
        (service.product, service.version),
        (None, None),
        "of the other one nothing is known"
    );
}

async fn a_name_changes_once(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for (seconds, name) in [(0, "pi.lan"), (1, "PI.lan."), (2, ""), (3, "tv.lan"), (4, "tv.lan")] {
        see(
            &fleet,
            &agent,
            seconds,
            json!([{"ip": "192.168.1.5", "hostname": name}]),
            json!({}),
        )
        .await;
    }
    assert_eq!(
        told(&fleet).await,
        [(HostnameChanged, "PI.lan.".into(), "tv.lan".into())]
    );
}

async fn what_is_not_known_overwrites_nothing(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let all = json!([{
        "ip": "192.168.1.5", "mac": "02:00:00:00:00:05", "hostname": "pi", "vendor": "Maker", "open_ports": [22], "os_hint": "linux",
        "bigr_category": "iot", "confidence_score": 0.5, "services": [{"port": 22, "product": "OpenSSH", "tls_names": ["x"]}],
        "evidence": ["because"], "seen_by": "arp", "ttl": 64,
    }]);
    see(&fleet, &agent, 0, all, json!({})).await;
    let before = assets(&fleet).await.remove(0);
    let nothing = json!([{
        "ip": "192.168.1.5", "mac": null, "hostname": "", "vendor": "\u{0}", "open_ports": [], "os_hint": null, "services": [{"port": 22}],
        "evidence": [], "bigr_category": " ", "seen_by": null,
    }]);
    see(&fleet, &agent, 1, nothing, json!({"completed_at": null})).await;
    let mut after = assets(&fleet).await.remove(0);
    assert!(after.last_seen > before.last_seen);
    after.last_seen = before.last_seen;
    assert_eq!(after, before);
    assert_eq!(
        (after.bigr_category.as_deref(), after.extra["ttl"].as_u64()),
        (Some("iot"), Some(64))
    );
}

async fn a_class_that_is_less_sure_gives_way_for_a_week(base: &Base) {
    const DAY: i64 = 86_400;
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for (seconds, class, sure, expected) in [
        (0, "printer", json!(0.8), "printer"),
        (DAY, "camera", json!(0.3), "printer"),
        (2 * DAY, "camera", json!(null), "printer"),
        (3 * DAY, "server", json!(0.9), "server"),
        (9 * DAY, "camera", json!(0.3), "server"),
        (11 * DAY, "camera", json!(0.3), "camera"),
        (12 * DAY, "tv", json!(7), "tv"),
    ] {
        let seen = json!([{"ip": "192.168.1.5", "device_class": class, "confidence_score": sure}]);
        see(&fleet, &agent, seconds, seen, json!({})).await;
        let asset = assets(&fleet).await.remove(0);
        assert_eq!(asset.bigr_category.as_deref(), Some(expected), "day {}", seconds / DAY);
    }
    assert_eq!(assets(&fleet).await[0].confidence_score, Some(1.0));
}

async fn changes_are_told_as_events_and_many_as_one(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let seen = |count: u32, port: u16| -> serde_json::Value {
        (1..=count)
            .map(|last| json!({"ip": format!("192.168.1.{last}"), "open_ports": [port]}))
            .collect()
    };
    let few = see(&fleet, &agent, 0, seen(25, 22), json!({})).await;
    assert_eq!(few.events.len(), 26);
    assert_eq!(kinds(&few.events)[..2], ["SCAN_INGESTED", "ASSET_NEW"]);
    let data = &few.events[1].data;
    assert_eq!(
        (data["site_name"].as_str(), data["network"].as_str()),
        (Some("Berlin"), Some("home"))
    );
    assert_eq!(
        (data["scan_id"].as_str(), data["agent_id"].as_str()),
        (Some(few.answer.scan_id.as_str()), Some("a"))
    );
    assert_eq!(data["asset_id"].as_str(), Some(assets(&fleet).await[0].id.as_str()));

    let many = see(&fleet, &agent, 1, seen(26, 80), json!({})).await;
    assert_eq!(kinds(&many.events), ["SCAN_INGESTED", "ASSETS_CHANGED"]);
    assert_eq!(many.events[1].data["counts"], json!({"new": 1, "port_opened": 25}));
    let again = see(&fleet, &agent, 2, seen(26, 80), json!({})).await;
    assert_eq!(kinds(&again.events), ["SCAN_INGESTED"]);
    let one = see(&fleet, &agent, 3, seen(1, 443), json!({"completed_at": null})).await;
    assert_eq!(kinds(&one.events), ["SCAN_INGESTED", "ASSET_CHANGED"]);
    assert_eq!(one.events[1].data["kind"], "port_opened");
}
