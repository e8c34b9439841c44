//! What becomes of what is known when a thing is seen again. A pure rule: nothing unknown overwrites what is known, and a second look at the
//! same changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use venom_protocol::Timestamp;
use venom_protocol::{AgentId, ChangeKind, SeenService};

use super::asset::{Asset, Change, Class, OpenPort, Seen, ServiceKey, service_line};
use super::clean;

/// A class that was believed for longer gives way to any other: things do change what they are.
const CLASS_LASTS: jiff::SignedDuration = jiff::SignedDuration::from_hours(7 * 24);
/// Agents remembered for a port; who saw it, may miss it.
const WITNESSES: usize = 4;
/// Open ports of one thing that are kept.
pub(crate) const MAX_PORTS: usize = 2_048;
/// Services of one thing that are kept.
pub(crate) const MAX_SERVICES: usize = 256;
/// Bytes of what strangers said of the ports and services of one thing that are kept: each alone may be long, and there may be many.
const MAX_WORDS: usize = 64 * 1024;
/// Of these for the ports; the services get what is left.
const MAX_PORTS_WORDS: usize = MAX_WORDS / 2;
/// Bytes a service takes that says nothing.
const SERVICE: usize = 100;

/// How a scan looked.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// Who looked.
    pub(crate) agent: AgentId,
    /// When the nexus heard of it.
    pub(crate) at: Timestamp,
    /// Whether it came to its end; of one that was broken off, what it did not see says nothing.
    pub(crate) is_complete: bool,
    /// Ports that were tried on every address, when it said so.
    pub(crate) ports_tried: Option<BTreeSet<u16>>,
    /// Looks in a row that must miss a thing before it is gone.
    pub(crate) misses_until_gone: u32,
}

/// The thing as it is known after `seen`, and what changed.
pub(crate) fn merge(known: &Asset, seen: &Seen, look: &Look) -> (Asset, Vec<Change>) {
    let mut next = known.clone();
    let mut told = Told::default();
    next.last_seen = next.last_seen.max(look.at);
    next.seen_by = look.agent.clone();
    next.misses = 0;
    if known.is_gone {
        next.is_gone = false;
        told.note(ChangeKind::Returned, None, Some(seen.ip.to_string()));
    }
    if known.ip != seen.ip {
        next.ip = seen.ip;
        told.note(
            ChangeKind::IpChanged,
            Some(known.ip.to_string()),
            Some(seen.ip.to_string()),
        );
    }
    if let (Some(before), Some(after)) = (&known.hostname, &seen.hostname)
        && !same_name(before, after)
    {
        told.note(ChangeKind::HostnameChanged, Some(before.clone()), Some(after.clone()));
    }
    next.mac = seen.mac.or(known.mac);
    overwrite(&mut next.runs, &seen.runs);
    overwrite(&mut next.hostname, &seen.hostname);
    overwrite(&mut next.vendor, &seen.vendor);
    overwrite(&mut next.facts.os_hint, &seen.os_hint);
    if let Some((name, confidence)) = &seen.class {
        next.facts.class = Some(believe(known.facts.class.as_ref(), name, *confidence, look.at));
    }
    if !seen.evidence.is_empty() {
        next.facts.evidence.clone_from(&seen.evidence);
    }
    next.facts.extra = clean::extra(&seen.extra, &known.facts.extra);
    next.facts.ports = ports(&known.facts.ports, &seen.ports, look, &mut told);
    next.facts.services = services(&known.facts.services, &seen.services, &next.facts.ports, &mut told);
    let changes = told.of(&next);
    (next, changes)
}

/// What a scan adds that is older than one already taken in: it fills in what nobody knows, and turns nothing back.
pub(crate) fn fill(known: &Asset, seen: &Seen) -> Asset {
    let mut next = known.clone();
    next.hostname = next.hostname.or_else(|| seen.hostname.clone());
    next.vendor = next.vendor.or_else(|| seen.vendor.clone());
    next.facts.os_hint = next.facts.os_hint.or_else(|| seen.os_hint.clone());
    next
}

/// A thing nobody had seen, and that it is new.
pub(crate) fn first_sight(id: String, seen: &Seen, look: &Look) -> (Asset, Change) {
    let nothing = Asset {
        id,
        ip: seen.ip,
        mac: None,
        runs: None,
        hostname: None,
        vendor: None,
        facts: super::asset::Facts::default(),
        first_seen: look.at,
        last_seen: look.at,
        seen_by: look.agent.clone(),
        is_gone: false,
        misses: 0,
    };
    // that its ports are open is part of its being new
    let (asset, _) = merge(&nothing, seen, look);
    let change = Change {
        asset_id: asset.id.clone(),
        ip: asset.ip,
        kind: ChangeKind::New,
        before: None,
        after: Some(asset.hostname.clone().unwrap_or_else(|| asset.ip.to_string())),
    };
    (asset, change)
}

/// The thing after a complete scan of its address that did not find it.
pub(crate) fn miss(known: &Asset, misses_until_gone: u32) -> (Asset, Option<Change>) {
    let mut next = known.clone();
    next.misses = known.misses.saturating_add(1);
    if known.is_gone || next.misses < misses_until_gone {
        return (next, None);
    }
    next.is_gone = true;
    let change = Change {
        asset_id: known.id.clone(),
        ip: known.ip,
        kind: ChangeKind::Gone,
        before: Some(known.ip.to_string()),
        after: None,
    };
    (next, Some(change))
}

/// What two rows know that turn out to be one thing: `kept` stays, `other` fills in.
pub(crate) fn absorb(kept: &Asset, other: &Asset) -> Asset {
    let mut next = kept.clone();
    next.runs = next.runs.or_else(|| other.runs.clone());
    next.hostname = next.hostname.or_else(|| other.hostname.clone());
    next.vendor = next.vendor.or_else(|| other.vendor.clone());
    next.first_seen = next.first_seen.min(other.first_seen);
    next.facts.os_hint = next.facts.os_hint.or_else(|| other.facts.os_hint.clone());
    next.facts.class = next.facts.class.or_else(|| other.facts.class.clone());
    next.facts.extra = clean::extra(&kept.facts.extra, &other.facts.extra);
    for (port, open) in &other.facts.ports {
        if next.facts.ports.len() < MAX_PORTS {
            next.facts.ports.entry(*port).or_insert_with(|| open.clone());
        }
    }
    next.facts.ports = fit_ports(next.facts.ports);
    next
}

#[derive(Default)]
struct Told(Vec<(ChangeKind, Option<String>, Option<String>)>);

impl Told {
    fn note(&mut self, kind: ChangeKind, before: Option<String>, after: Option<String>) {
        self.0.push((kind, before, after));
    }

    fn of(self, asset: &Asset) -> Vec<Change> {
        let change = |(kind, before, after)| Change {
            asset_id: asset.id.clone(),
            ip: asset.ip,
            kind,
            before,
            after,
        };
        self.0.into_iter().map(change).collect()
    }
}

fn overwrite<T: Clone>(known: &mut Option<T>, seen: &Option<T>) {
    if seen.is_some() {
        known.clone_from(seen);
    }
}

/// Names are the same in any case, with or without the dot of the root.
fn same_name(one: &str, other: &str) -> bool {
    one.trim_end_matches('.')
        .eq_ignore_ascii_case(other.trim_end_matches('.'))
}

/// A class that is less sure does not overwrite one that is surer, for a week.
fn believe(known: Option<&Class>, name: &str, confidence: Option<f64>, at: Timestamp) -> Class {
    let said = Class {
        name: name.to_owned(),
        confidence,
        at,
    };
    let sure = |class: &Class| class.confidence.unwrap_or(0.0);
    match known {
        Some(known) if sure(&said) < sure(known) && at.0.duration_since(known.at.0) < CLASS_LASTS => known.clone(),
        Some(_) | None => said,
    }
}

fn ports(
    known: &BTreeMap<u16, OpenPort>,
    seen: &BTreeSet<u16>,
    look: &Look,
    told: &mut Told,
) -> BTreeMap<u16, OpenPort> {
    let mut next = BTreeMap::new();
    for (port, open) in known {
        if seen.contains(port) {
            next.insert(*port, witnessed(open, &look.agent));
        } else if let Some(open) = unseen(*port, open, look) {
            next.insert(*port, open);
        } else {
            told.note(ChangeKind::PortClosed, Some(port.to_string()), None);
        }
    }
    for port in seen {
        if !known.contains_key(port) && next.len() < MAX_PORTS {
            next.insert(*port, witnessed(&OpenPort::default(), &look.agent));
        }
    }
    let next = fit_ports(next);
    for port in next.keys().filter(|port| !known.contains_key(port)) {
        told.note(ChangeKind::PortOpened, None, Some(port.to_string()));
    }
    next
}

/// As many of the ports as there is room for: first older witnesses go, then the last ports.
fn fit_ports(mut ports: BTreeMap<u16, OpenPort>) -> BTreeMap<u16, OpenPort> {
    if words_of_ports(&ports) > MAX_PORTS_WORDS {
        ports.values_mut().for_each(|open| open.by.truncate(1));
    }
    fitting(ports, MAX_PORTS_WORDS, |(_, open)| words_of_port(open)).collect()
}

/// As many of the first ones as there is room for.
fn fitting<T>(
    all: impl IntoIterator<Item = T>,
    mut room: usize,
    size: impl Fn(&T) -> usize,
) -> impl Iterator<Item = T> {
    all.into_iter().take_while(move |one| {
        let left = room.checked_sub(size(one));
        room = left.unwrap_or_default();
        left.is_some()
    })
}

fn words_of_ports(ports: &BTreeMap<u16, OpenPort>) -> usize {
    ports.values().map(words_of_port).sum()
}

fn words_of_port(open: &OpenPort) -> usize {
    open.by.iter().map(|by| by.as_str().len()).sum()
}

fn words_of_service(service: &SeenService) -> usize {
    let texts = [&service.service, &service.product, &service.version, &service.banner];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let names: usize = service.tls_names.iter().map(|name| name.len() + 3).sum();
    SERVICE + texts + names
}

fn witnessed(open: &OpenPort, agent: &AgentId) -> OpenPort {
    let others = open.by.iter().filter(|by| *by != agent).take(WITNESSES - 1).cloned();
    OpenPort {
        misses: 0,
        by: std::iter::once(agent.clone()).chain(others).collect(),
    }
}

/// A port that was open and was not seen; none: it is closed.
fn unseen(port: u16, open: &OpenPort, look: &Look) -> Option<OpenPort> {
    if !look.is_complete {
        return Some(open.clone());
    }
    match &look.ports_tried {
        Some(tried) if tried.contains(&port) => None,
        Some(_) => Some(open.clone()),
        // nobody says what was tried; who saw it before will have looked there again
        None if open.by.contains(&look.agent) => {
            let misses = open.misses.saturating_add(1);
            (misses < look.misses_until_gone).then(|| OpenPort { misses, ..open.clone() })
        }
        None => Some(open.clone()),
    }
}

fn services(
    known: &[SeenService],
    seen: &BTreeMap<ServiceKey, SeenService>,
    ports: &BTreeMap<u16, OpenPort>,
    told: &mut Told,
) -> Vec<SeenService> {
    let mut next: BTreeMap<ServiceKey, SeenService> = known
        .iter()
        // what spoke on a port that is closed speaks no more
        .filter(|service| service.protocol != "tcp" || ports.contains_key(&service.port))
        .map(|service| ((service.port, service.protocol.clone()), service.clone()))
        .collect();
    for (key, seen) in seen {
        let is_full = next.len() >= MAX_SERVICES;
        match next.get_mut(key) {
            Some(known) => {
                let after = hear(known, seen);
                let lines = (service_line(known), service_line(&after));
                // the same words in other fields are no news
                if speaks_otherwise(known, seen) && lines.0 != lines.1 {
                    told.note(ChangeKind::ServiceChanged, Some(lines.0), Some(lines.1));
                }
                *known = after;
            }
            None if is_full => {}
            None => {
                next.insert(key.clone(), seen.clone());
            }
        }
    }
    let room = MAX_WORDS.saturating_sub(words_of_ports(ports));
    fitting(next.into_values(), room, words_of_service).collect()
}

/// What speaks there as far as it is known now. What was known of one service says nothing of another, nor the version of one product.
fn hear(known: &SeenService, seen: &SeenService) -> SeenService {
    let or = |seen: &Option<String>, known: &Option<String>| seen.clone().or_else(|| known.clone());
    let is_other_service = differ(&known.service, &seen.service);
    let is_other_product = is_other_service || differ(&known.product, &seen.product);
    let mut next = seen.clone();
    if !is_other_service {
        next.service = or(&seen.service, &known.service);
        next.product = or(&seen.product, &known.product);
        next.banner = or(&seen.banner, &known.banner);
        if seen.tls_names.is_empty() {
            next.tls_names.clone_from(&known.tls_names);
        }
    }
    if !is_other_product {
        next.version = or(&seen.version, &known.version);
    }
    next
}

/// Whether something else speaks there: two known words that differ.
fn speaks_otherwise(known: &SeenService, seen: &SeenService) -> bool {
    [
        (&known.service, &seen.service),
        (&known.product, &seen.product),
        (&known.version, &seen.version),
    ]
    .into_iter()
    .any(|(known, seen)| differ(known, seen))
}

fn differ(known: &Option<String>, seen: &Option<String>) -> bool {
    matches!((known, seen), (Some(known), Some(seen)) if !known.eq_ignore_ascii_case(seen))
}
