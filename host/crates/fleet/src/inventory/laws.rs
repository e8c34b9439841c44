//! Laws of the inventory's rules, for whatever agents may send.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use serde_json::{Map, json};
use venom_protocol::{ChangeKind, SeenService, Timestamp};

use super::asset::{Asset, Change, Seen};
use super::mac::Mac;
use super::merge::{self, Look};
use super::range::Target;
use super::sweep::{self, Sweep};

const MISSES: u32 = 3;

fn at(seconds: i64) -> Timestamp {
    Timestamp(jiff::Timestamp::from_second(1_780_000_000 + seconds).unwrap())
}

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn nothing_but(ip: IpAddr) -> Seen {
    Seen {
        ip,
        mac: None,
        runs: None,
        hostname: None,
        vendor: None,
        os_hint: None,
        class: None,
        ports: BTreeSet::new(),
        services: BTreeMap::new(),
        evidence: Vec::new(),
        extra: Map::new(),
    }
}

fn look(seconds: i64) -> Look {
    Look {
        agent: "agent-1".parse().unwrap(),
        at: at(seconds),
        is_complete: false,
        ports_tried: None,
        misses_until_gone: MISSES,
    }
}

fn service(port: u16) -> impl Strategy<Value = SeenService> {
    let word = || prop::option::of("[abc]{1,2}");
    (word(), word(), word(), word()).prop_map(move |(service, product, version, banner)| SeenService {
        port,
        protocol: "tcp".into(),
        service,
        product,
        version,
        banner,
        tls_names: Vec::new(),
    })
}

/// Anything that may be seen at one of eight addresses, with one of four MACs or none.
fn seen() -> impl Strategy<Value = Seen> {
    let services = prop::collection::vec((1_u16..5).prop_flat_map(service), 0..3);
    let names = (
        prop::option::of("[a-c]{1,3}"),
        prop::option::of("[a-c]{1,3}"),
        prop::option::of("[a-c]{1,3}"),
        prop::option::of(("[a-c]{1,3}", prop::option::of(0.0..1.0))),
    );
    let place = (1_u8..9, prop::option::of(1_u8..5), prop::option::of(1_u8..4));
    let ports = prop::collection::btree_set(1_u16..6, 0..4);
    let extra = prop::collection::btree_map("[a-c]", 0..9, 0..3);
    (place, names, ports, services, extra).prop_map(
        |((last, mac, agent), (hostname, vendor, os, class), mut ports, services, extra)| {
            ports.extend(services.iter().map(|service| service.port));
            Seen {
                mac: mac.and_then(|mac| Mac::parse(&format!("02:00:00:00:00:{mac:02x}"))),
                runs: agent.map(|agent| format!("runs-{agent}").parse().unwrap()),
                hostname,
                vendor,
                os_hint: os,
                class,
                ports,
                services: services
                    .into_iter()
                    .map(|service| ((service.port, "tcp".to_owned()), service))
                    .collect(),
                extra: extra.into_iter().map(|(key, value)| (key, json!(value))).collect(),
                ..nothing_but(ip(last))
            }
        },
    )
}

/// One batch: each place once, as the cleaning leaves it.
fn batch() -> impl Strategy<Value = Vec<Seen>> {
    prop::collection::vec(seen(), 0..8).prop_map(|seen| {
        let mut places = BTreeSet::new();
        seen.into_iter().filter(|seen| places.insert(seen.ip)).collect()
    })
}

fn sweep(seen: Vec<Seen>, seconds: i64, is_complete: bool) -> Sweep {
    Sweep {
        target: Target::parse("10.0.0.0/24"),
        look: Look {
            is_complete,
            ..look(seconds)
        },
        is_late: false,
        seen,
    }
}

/// All that is known, as the database would keep it.
#[derive(Default, Clone)]
struct World {
    known: BTreeMap<String, Asset>,
    ids: u32,
}

impl World {
    fn take(&mut self, sweep: &Sweep) -> Vec<Change> {
        let known: Vec<Asset> = self.known.values().cloned().collect();
        let taken = sweep::take_in(&known, sweep, || {
            self.ids += 1;
            format!("{:06}", self.ids)
        });
        for (from, _) in &taken.absorbed {
            assert!(self.known.remove(from).is_some());
        }
        for asset in taken.touched.into_iter().chain(taken.added) {
            self.known.insert(asset.id.clone(), asset);
        }
        taken.changes
    }

    /// What is known, without ids: those depend on who came first.
    fn facts(&self) -> Vec<Asset> {
        let mut facts: Vec<Asset> = self
            .known
            .values()
            .map(|asset| Asset {
                id: String::new(),
                ..asset.clone()
            })
            .collect();
        facts.sort_by_key(|asset| (asset.ip, asset.mac));
        facts
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_known_overwrites_nothing(first in seen(), more in prop::collection::vec(seen(), 0..4)) {
        let (mut asset, _) = merge::first_sight("a".into(), &first, &look(0));
        for (number, seen) in more.iter().enumerate() {
            asset = merge::merge(&asset, seen, &look(number as i64 + 1)).0;
        }
        let (next, changes) = merge::merge(&asset, &nothing_but(asset.ip), &look(9));
        prop_assert_eq!(changes, []);
        prop_assert_eq!(Asset { last_seen: asset.last_seen, ..next }, asset);
    }

    #[test]
    fn a_batch_taken_in_twice_changes_nothing_the_second_time(batches in prop::collection::vec(batch(), 1..4), is_complete: bool) {
        let mut world = World::default();
        for (number, batch) in batches.iter().enumerate() {
            world.take(&sweep(batch.clone(), number as i64, is_complete));
        }
        let last = sweep(batches.last().unwrap().clone(), 10, false);
        world.take(&last);
        let before = world.facts();
        let changes = world.take(&last);
        prop_assert_eq!(changes, []);
        prop_assert_eq!(world.facts(), before);
    }

    #[test]
    fn batches_about_different_things_may_come_in_any_order(one in batch(), other in batch()) {
        // other addresses, other MACs, other agents
        let other: Vec<Seen> = other
            .into_iter()
            .map(|seen| Seen {
                ip: match seen.ip {
                    IpAddr::V4(ip) => ip_above(ip),
                    ip @ IpAddr::V6(_) => ip,
                },
                mac: seen.mac.and_then(|mac| Mac::parse(&mac.to_string().replace("02:", "06:"))),
                runs: seen.runs.map(|runs| format!("other-{runs}").parse().unwrap()),
                ..seen
            })
            .collect();
        let (one, other) = (sweep(one, 0, false), sweep(other, 0, false));
        let (mut forth, mut back) = (World::default(), World::default());
        let mut told_forth = [forth.take(&one), forth.take(&other)].concat();
        let mut told_back = [back.take(&other), back.take(&one)].concat();
        prop_assert_eq!(forth.facts(), back.facts());
        for told in [&mut told_forth, &mut told_back] {
            told.iter_mut().for_each(|change| change.asset_id.clear());
            told.sort_by_key(|change| change.ip);
        }
        prop_assert_eq!(told_forth, told_back);
    }

    #[test]
    fn whatever_comes_the_books_stay_in_order(batches in prop::collection::vec((batch(), any::<bool>()), 1..8)) {
        let mut world = World::default();
        let mut there: BTreeSet<String> = BTreeSet::new();
        for (number, (batch, is_complete)) in batches.into_iter().enumerate() {
            let seen: BTreeSet<IpAddr> = batch.iter().map(|seen| seen.ip).collect();
            let changes = world.take(&sweep(batch, number as i64, is_complete));
            for change in changes {
                // new once, gone only from there, back only from gone
                match change.kind {
                    ChangeKind::New | ChangeKind::Returned => prop_assert!(there.insert(change.asset_id)),
                    ChangeKind::Gone => prop_assert!(there.remove(&change.asset_id)),
                    _ => prop_assert_ne!(change.before, change.after),
                }
            }
            for ip in seen {
                let at_ip = world.known.values().filter(|asset| asset.ip == ip && !asset.is_gone && asset.misses == 0);
                prop_assert!(at_ip.count() >= 1);
            }
            for asset in world.known.values() {
                prop_assert!(asset.is_gone || asset.misses < MISSES);
                for service in asset.facts.services.iter().filter(|service| service.protocol == "tcp") {
                    prop_assert!(asset.facts.ports.contains_key(&service.port));
                }
            }
        }
    }
}

fn ip_above(ip: Ipv4Addr) -> IpAddr {
    let [a, b, c, last] = ip.octets();
    Ipv4Addr::new(a, b, c, last + 100).into()
}

#[test]
fn the_same_words_in_other_fields_are_no_news() {
    let speaking = |service: Option<&str>, product: &str, version: Option<&str>| {
        let service = SeenService {
            port: 1,
            protocol: "tcp".into(),
            service: service.map(str::to_owned),
            product: Some(product.into()),
            version: version.map(str::to_owned),
            banner: None,
            tls_names: Vec::new(),
        };
        Seen {
            ports: [1].into(),
            services: [((1, "tcp".to_owned()), service)].into(),
            ..nothing_but(ip(1))
        }
    };
    let (known, _) = merge::first_sight("a".into(), &speaking(None, "b", Some("aa")), &look(0));
    let (known, changes) = merge::merge(&known, &speaking(Some("b"), "aa", None), &look(1));
    assert_eq!(changes, []);
    let (_, changes) = merge::merge(&known, &speaking(Some("b"), "cc", None), &look(2));
    assert_eq!(changes.len(), 1);
}
