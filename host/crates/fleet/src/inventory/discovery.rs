//! A discovery as it came, made into a sweep: cleaned, each thing once, in one order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use venom_protocol::{SeenAsset, SeenService};

use super::asset::{Seen, ServiceKey};
use super::clean;
use super::mac::Mac;
use super::merge::{MAX_PORTS, MAX_SERVICES};

/// What was seen, each thing once: told apart by address and MAC, and one without a MAC is the one at the same address that has one.
pub(crate) fn each_once(assets: &[SeenAsset]) -> Vec<Seen> {
    let mut by_place: BTreeMap<(IpAddr, Option<Mac>), Seen> = BTreeMap::new();
    for asset in assets {
        let seen = seen(asset);
        match by_place.entry((seen.ip, seen.mac)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(seen);
            }
            std::collections::btree_map::Entry::Occupied(mut place) => join(place.get_mut(), seen),
        }
    }
    let nameless: Vec<IpAddr> = by_place
        .keys()
        .filter(|(_, mac)| mac.is_none())
        .map(|(ip, _)| *ip)
        .collect();
    for ip in nameless {
        let with_mac = by_place
            .range((ip, None)..)
            .map(|(place, _)| *place)
            .find(|(at, mac)| *at == ip && mac.is_some());
        if let Some(place) = with_mac.filter(|(at, _)| *at == ip)
            && let Some(more) = by_place.remove(&(ip, None))
            && let Some(seen) = by_place.get_mut(&place)
        {
            join(seen, more);
        }
    }
    by_place.into_values().collect()
}

fn seen(asset: &SeenAsset) -> Seen {
    let services = services(&asset.services);
    let heard = services
        .keys()
        .filter(|(_, protocol)| protocol == "tcp")
        .map(|(port, _)| *port);
    let confidence = asset.confidence_score.filter(|score| score.is_finite());
    Seen {
        ip: asset.ip.to_canonical(),
        mac: asset.mac.as_deref().and_then(Mac::parse),
        runs: asset.agent_id.clone(),
        hostname: clean::name(asset.hostname.as_deref()),
        vendor: clean::name(asset.vendor.as_deref()),
        os_hint: clean::name(asset.os_hint.as_deref()),
        class: clean::name(asset.bigr_category.as_deref())
            .map(|name| (name, confidence.map(|score| score.clamp(0.0, 1.0)))),
        ports: asset
            .open_ports
            .iter()
            .map(|port| port.0)
            .chain(heard)
            .filter(|port| *port != 0)
            .collect::<BTreeSet<u16>>()
            .into_iter()
            .take(MAX_PORTS)
            .collect(),
        services,
        evidence: clean::names(&asset.evidence),
        extra: clean::extra(&asset.extra, &serde_json::Map::new()),
    }
}

fn services(services: &[SeenService]) -> BTreeMap<ServiceKey, SeenService> {
    let mut kept: BTreeMap<ServiceKey, SeenService> = BTreeMap::new();
    for service in services.iter().filter(|service| service.port != 0) {
        let protocol = if service.protocol.trim().eq_ignore_ascii_case("udp") {
            "udp"
        } else {
            "tcp"
        };
        let key = (service.port, protocol.to_owned());
        if kept.len() == MAX_SERVICES || kept.contains_key(&key) {
            continue;
        }
        let clean = SeenService {
            port: service.port,
            protocol: protocol.to_owned(),
            service: clean::name(service.service.as_deref()),
            product: clean::name(service.product.as_deref()),
            version: clean::name(service.version.as_deref()),
            banner: service
                .banner
                .as_deref()
                .map(|banner| clean::line(banner, clean::BANNER))
                .filter(|banner| !banner.is_empty()),
            tls_names: clean::names(&service.tls_names),
        };
        kept.insert(key, clean);
    }
    kept
}

/// Two sightings of one thing in one sweep: the first wins where both speak.
fn join(seen: &mut Seen, more: Seen) {
    seen.runs = seen.runs.take().or(more.runs);
    seen.hostname = seen.hostname.take().or(more.hostname);
    seen.vendor = seen.vendor.take().or(more.vendor);
    seen.os_hint = seen.os_hint.take().or(more.os_hint);
    seen.class = seen.class.take().or(more.class);
    seen.ports.extend(more.ports);
    for (key, service) in more.services {
        seen.services.entry(key).or_insert(service);
    }
    if seen.evidence.is_empty() {
        seen.evidence = more.evidence;
    }
    seen.extra = clean::extra(&seen.extra, &more.extra);
}
