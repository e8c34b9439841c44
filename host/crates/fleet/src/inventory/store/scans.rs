//! Scans, and the sites, networks and subnets they make known.

use sqlx::{Any, Transaction};
use venom_protocol::Timestamp;
use venom_protocol::{AgentId, NetworkFingerprint};

use super::{Place, Statement};
use crate::FleetError;
use crate::database::micros;
use crate::inventory::clean;
use crate::inventory::mac::Mac;
use crate::inventory::range::{self, Target};

/// Networks of one site; whoever makes up more is refused.
const MAX_NETWORKS: u64 = 4_096;
/// Subnets of one site; the same.
const MAX_SUBNETS: u64 = 4_096;

/// Networks without a fingerprint are called this and what was scanned.
const BY_TARGET: &str = "target:";

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Discovery,
    Shield,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Shield => "shield",
        }
    }
}

/// One scan.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) agent: AgentId,
    pub(crate) target: Target,
    pub(crate) method: String,
    /// By the agent's clock, and never later than the nexus's: a clock that is ahead must not make all later scans late.
    pub(crate) started_at: Timestamp,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) received_at: Timestamp,
    pub(crate) items: usize,
    /// Whether a newer one of the same agent and target was taken in before.
    pub(crate) is_late: bool,
}

/// Whether a newer one of the same agent and target was taken in before.
pub(crate) async fn is_late(writing: &mut Transaction<'static, Any>, scan: &Scan) -> Result<bool, FleetError> {
    let newest = Statement::new("SELECT started_at FROM scans WHERE agent_id = ")
        .value(scan.agent.to_string())
        .then(" AND kind = ")
        .value(scan.kind.as_str().to_owned())
        .then(" AND target = ")
        .value(scan.target.text.clone())
        .then(" AND site_name = ")
        .value(scan.place.site.clone())
        .then(" AND network = ")
        .value(scan.place.network.clone())
        .then(" ORDER BY started_at DESC LIMIT 1");
    let newest = newest.first(&mut **writing, |mut columns| columns.number()).await?;
    Ok(newest.is_some_and(|newest| newest > micros(scan.started_at)))
}

/// A fingerprint, tidied.
pub(crate) struct Print {
    hash: Option<String>,
    gateway_ip: Option<String>,
    gateway_mac: Option<String>,
    ssid: Option<String>,
}

impl Print {
    pub(crate) fn read(print: &NetworkFingerprint) -> Self {
        Self {
            hash: clean::name(Some(print.fingerprint_hash.as_str())),
            gateway_ip: print
                .gateway_ip
                .as_ref()
                .and_then(|ip| ip.trim().parse::<std::net::IpAddr>().ok())
                .map(|ip| ip.to_canonical().to_string()),
            gateway_mac: print
                .gateway_mac
                .as_deref()
                .and_then(Mac::parse)
                .map(|mac| mac.to_string()),
            ssid: clean::name(print.ssid.as_deref()),
        }
    }

    /// With its hash, when it has one.
    pub(crate) fn named(mut self) -> Option<(String, Self)> {
        Some((self.hash.take()?, self))
    }
}

/// The network with a fingerprint. An agent that cannot see its gateway's MAC at one time and can at another sends two
/// fingerprints of one network: a new one is the known network with the same gateway, or, where the MAC is missing on one side,
/// the one that this agent scanned last.
pub(crate) async fn network_named(
    writing: &mut Transaction<'static, Any>,
    site: &str,
    agent: &AgentId,
    hash: String,
    print: Print,
) -> Result<String, FleetError> {
    let known = Statement::new("SELECT COUNT(*) FROM networks WHERE site_name = ")
        .value(site.to_owned())
        .then(" AND network = ")
        .value(hash.clone());
    let Some(gateway) = print.gateway_ip else {
        return Ok(hash);
    };
    if known.count(&mut **writing).await? > 0 {
        return Ok(hash);
    }
    let same_gateway = Statement::new("SELECT network, gateway_mac FROM networks WHERE site_name = ")
        .value(site.to_owned())
        .then(" AND gateway_ip = ")
        .value(gateway)
        .then(" ORDER BY last_seen DESC, network LIMIT ")
        .value(i64::try_from(MAX_NETWORKS).unwrap_or(i64::MAX));
    let same_gateway = same_gateway
        .all(&mut **writing, |mut columns| Ok((columns.text()?, columns.text()?)))
        .await?;
    let mac = print.gateway_mac.unwrap_or_default();
    if !mac.is_empty()
        && let Some((network, _)) = same_gateway.iter().find(|(_, known)| *known == mac)
    {
        return Ok(network.clone());
    }
    let last = Statement::new("SELECT network FROM scans WHERE agent_id = ")
        .value(agent.to_string())
        .then(" AND site_name = ")
        .value(site.to_owned())
        .then(" ORDER BY received_at DESC, id DESC LIMIT 1");
    let last = last.first(&mut **writing, |mut columns| columns.text()).await?;
    let half_known = same_gateway
        .into_iter()
        .find(|(network, known)| (known.is_empty() || mac.is_empty()) && Some(network) == last.as_ref());
    Ok(half_known.map_or(hash, |(network, _)| network))
}

/// The network a scan without a fingerprint was in.
pub(crate) async fn network_of(
    writing: &mut Transaction<'static, Any>,
    kind: Kind,
    site: &str,
    agent: &AgentId,
    target: &Target,
) -> Result<String, FleetError> {
    if kind == Kind::Shield
        && let Some(network) = discovered(writing, site, agent, target).await?
    {
        return Ok(network);
    }
    Ok(wider(writing, site, target)
        .await?
        .unwrap_or_else(|| clean::line(&format!("{BY_TARGET}{}", target.text), clean::NAME)))
}

/// Who looks at the security of what it found does so where it found it: the network of the agent's last discovery that covers it.
async fn discovered(
    writing: &mut Transaction<'static, Any>,
    site: &str,
    agent: &AgentId,
    target: &Target,
) -> Result<Option<String>, FleetError> {
    let select = Statement::new("SELECT network FROM scans WHERE kind = 'discovery' AND agent_id = ")
        .value(agent.to_string())
        .then(" AND site_name = ")
        .value(site.to_owned())
        .and("first_key <= ", target.range.map(|range| range::digits(range.first)))
        .and("last_key >= ", target.range.map(|range| range::digits(range.last)))
        .and("target = ", target.range.is_none().then(|| target.text.clone()))
        .then(" AND last_key <> '' ORDER BY received_at DESC, id DESC LIMIT 1");
    select.first(&mut **writing, |mut columns| columns.text()).await
}

/// A part of a target that is a network is in that network: the smallest one that holds all of it.
async fn wider(
    writing: &mut Transaction<'static, Any>,
    site: &str,
    target: &Target,
) -> Result<Option<String>, FleetError> {
    let Some(range) = target.range else {
        return Ok(None);
    };
    let select = Statement::new(
        "SELECT n.network FROM subnets s JOIN networks n ON n.site_name = s.site_name AND n.network = 'target:' || s.cidr \
         WHERE s.site_name = ",
    )
    .value(site.to_owned())
    .then(" AND s.first_key <= ")
    .value(range::digits(range.first))
    .then(" AND s.last_key >= ")
    .value(range::digits(range.last))
    .then(" ORDER BY s.first_key DESC, s.last_key LIMIT 1");
    select.first(&mut **writing, |mut columns| columns.text()).await
}

/// Writes the scan, and what it makes known of site, network and subnet.
pub(crate) async fn write(
    writing: &mut Transaction<'static, Any>,
    scan: &Scan,
    fingerprint: Option<&NetworkFingerprint>,
) -> Result<(), FleetError> {
    let now = micros(scan.received_at);
    let mut site = Statement::new("INSERT INTO sites (name, first_seen, last_scan) VALUES ")
        .rows(1, 3)
        .then(" ON CONFLICT (name) DO UPDATE SET last_scan = excluded.last_scan");
    site.bind(scan.place.site.clone()).bind(now).bind(now);
    site.execute(&mut **writing).await?;
    write_network(writing, &scan.place, fingerprint, scan.received_at).await?;
    write_subnet(writing, scan).await?;
    let mut insert = Statement::new(
        "INSERT INTO scans (id, kind, site_name, network, agent_id, target, first_key, last_key, method, started_at, completed_at, \
         received_at, items, is_late) VALUES ",
    )
    .rows(1, 14);
    let ends = scan
        .target
        .range
        .map(|range| (range::digits(range.first), range::digits(range.last)));
    let (first, last) = ends.unwrap_or_default();
    insert
        .bind(scan.id.clone())
        .bind(scan.kind.as_str().to_owned())
        .bind(scan.place.site.clone())
        .bind(scan.place.network.clone())
        .bind(scan.agent.to_string())
        .bind(scan.target.text.clone())
        .bind(first)
        .bind(last)
        .bind(scan.method.clone())
        .bind(micros(scan.started_at))
        .bind(scan.completed_at.map(micros))
        .bind(now)
        .bind(i64::try_from(scan.items).unwrap_or(i64::MAX))
        .bind(i64::from(scan.is_late));
    insert.execute(&mut **writing).await?;
    Ok(())
}

/// Whether this one may be among the networks or subnets of a site: with it there are no more than `most`. The kind is the table and
/// the column of its name.
async fn has_room(
    writing: &mut Transaction<'static, Any>,
    site: &str,
    (table, name): (&'static str, &'static str),
    this: &str,
    most: u64,
) -> Result<(), FleetError> {
    let others = Statement::new("SELECT COUNT(*) FROM ")
        .then(table)
        .then(" WHERE site_name = ")
        .value(site.to_owned())
        .then(" AND ")
        .then(name)
        .then(" <> ")
        .value(this.to_owned());
    if others.count(&mut **writing).await? < most {
        return Ok(());
    }
    Err(FleetError::Full(format!(
        "site `{site}` has {most} {table}, and none more may be added"
    )))
}

/// Notes what was scanned. One address in a network with a fingerprint is no subnet, and nobody looks for it.
async fn write_subnet(writing: &mut Transaction<'static, Any>, scan: &Scan) -> Result<(), FleetError> {
    let Some(range) = scan.target.range else {
        return Ok(());
    };
    if range.first == range.last && !scan.place.network.starts_with(BY_TARGET) {
        return Ok(());
    }
    let site = &scan.place.site;
    has_room(writing, site, ("subnets", "cidr"), &scan.target.text, MAX_SUBNETS).await?;
    let mut subnet = Statement::new("INSERT INTO subnets (site_name, cidr, first_key, last_key, last_scan) VALUES ")
        .rows(1, 5)
        .then(" ON CONFLICT (site_name, cidr) DO UPDATE SET last_scan = excluded.last_scan");
    subnet
        .bind(site.clone())
        .bind(scan.target.text.clone())
        .bind(range::digits(range.first))
        .bind(range::digits(range.last))
        .bind(micros(scan.received_at));
    subnet.execute(&mut **writing).await?;
    Ok(())
}

/// Notes that the agent is in this network now.
pub(crate) async fn note_network(writing: &mut Transaction<'static, Any>, scan: &Scan) -> Result<(), FleetError> {
    let update = Statement::new("UPDATE agents SET current_network = ")
        .value(scan.place.network.clone())
        .then(" WHERE id = ")
        .value(scan.agent.to_string())
        .then(" AND COALESCE(current_network, '') <> ")
        .value(scan.place.network.clone());
    update.execute(&mut **writing).await?;
    Ok(())
}

/// Nothing unknown overwrites what is known of a network.
async fn write_network(
    writing: &mut Transaction<'static, Any>,
    place: &Place,
    fingerprint: Option<&NetworkFingerprint>,
    at: Timestamp,
) -> Result<(), FleetError> {
    let kind = ("networks", "network");
    has_room(writing, &place.site, kind, &place.network, MAX_NETWORKS).await?;
    let print = fingerprint.map(Print::read);
    let (ip, mac, ssid) = print.map_or_else(Default::default, |print| {
        (print.gateway_ip, print.gateway_mac, print.ssid)
    });
    let mut insert = Statement::new(
        "INSERT INTO networks (site_name, network, gateway_ip, gateway_mac, ssid, first_seen, last_seen) VALUES ",
    )
    .rows(1, 7)
    .then(
        " ON CONFLICT (site_name, network) DO UPDATE SET last_seen = excluded.last_seen, \
         gateway_ip = CASE WHEN excluded.gateway_ip = '' THEN networks.gateway_ip ELSE excluded.gateway_ip END, \
         gateway_mac = CASE WHEN excluded.gateway_mac = '' THEN networks.gateway_mac ELSE excluded.gateway_mac END, \
         ssid = CASE WHEN excluded.ssid = '' THEN networks.ssid ELSE excluded.ssid END",
    );
    insert
        .bind(place.site.clone())
        .bind(place.network.clone())
        .bind(ip.unwrap_or_default())
        .bind(mac.unwrap_or_default())
        .bind(ssid.unwrap_or_default())
        .bind(micros(at))
        .bind(micros(at));
    insert.execute(&mut **writing).await?;
    Ok(())
}
