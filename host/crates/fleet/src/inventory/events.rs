//! What there is to tell of a batch: each change, or when there are many, how many of which.

use std::collections::BTreeMap;

use serde_json::json;
use venom_protocol::ChangeKind;
use venom_protocol::{Event, Timestamp};

use super::asset::Change;
use super::finding::Turn;
use super::report::Finding;
use super::store::Place;
use super::store::changes::MOST as MOST_CHANGES;
use super::store::scans::Scan;
use crate::fleet::event;

/// More of one batch are told as one.
const MOST: usize = 25;

/// A scan was taken in.
pub(crate) fn scan_ingested(scan: &Scan) -> Event {
    let message = format!(
        "{} of {} in {}: {}",
        scan.kind.as_str(),
        scan.target.text,
        scan.place.site,
        scan.items
    );
    let data = json!({
        "scan_id": scan.id, "kind": scan.kind.as_str(), "agent_id": scan.agent, "site_name": scan.place.site,
        "network": scan.place.network, "target": scan.target.text, "count": scan.items,
        "late": scan.is_late,
    });
    event("SCAN_INGESTED", message, data, scan.received_at)
}

/// What changed of things.
pub(crate) fn of_changes(scan: &Scan, changes: &[(String, &Change)]) -> Vec<Event> {
    if changes.len() > MOST {
        let counts = counted(changes.iter().map(|(_, change)| change.kind.as_str()));
        let mut told = summed(scan, "ASSETS_CHANGED", "changes", changes.len(), &counts);
        if changes.len() > MOST_CHANGES
            && let Some(data) = told.data.as_object_mut()
        {
            data.insert("kept".to_owned(), MOST_CHANGES.into());
        }
        return vec![told];
    }
    changes.iter().map(|(id, change)| of_change(scan, id, change)).collect()
}

fn of_change(scan: &Scan, id: &str, change: &Change) -> Event {
    let (kind, what) = match change.kind {
        ChangeKind::New => ("ASSET_NEW", "is new"),
        ChangeKind::Gone => ("ASSET_GONE", "is gone"),
        ChangeKind::Returned => ("ASSET_RETURNED", "is back"),
        ChangeKind::IpChanged
        | ChangeKind::PortOpened
        | ChangeKind::PortClosed
        | ChangeKind::ServiceChanged
        | ChangeKind::HostnameChanged
        | ChangeKind::CertificateChanged => ("ASSET_CHANGED", change.kind.as_str()),
    };
    let message = format!("{} in {}: {what}", change.ip, scan.place.site);
    let data = json!({
        "change_id": id, "asset_id": change.asset_id, "ip": change.ip, "kind": change.kind, "before": change.before,
        "after": change.after, "scan_id": scan.id, "agent_id": scan.agent, "site_name": scan.place.site,
        "network": scan.place.network,
    });
    event(kind, message, data, scan.received_at)
}

/// What became of findings in a report.
pub(crate) fn of_findings(scan: &Scan, findings: &[Finding], turns: &[(usize, Turn)]) -> Vec<Event> {
    if turns.len() > MOST {
        let counts = counted(turns.iter().map(|(_, turn)| turn.event()));
        return vec![summed(scan, "FINDINGS_CHANGED", "findings", turns.len(), &counts)];
    }
    turns
        .iter()
        .filter_map(|(place, turn)| {
            let finding = findings.get(*place)?;
            Some(of_finding(&scan.place, finding, *turn, Some(scan), scan.received_at))
        })
        .collect()
}

/// What became of one finding; with the scan, when one showed it.
pub(crate) fn of_finding(place: &Place, finding: &Finding, turn: Turn, scan: Option<&Scan>, now: Timestamp) -> Event {
    let message = format!(
        "{} at {} in {} {}",
        finding.said.title,
        finding.key.target_ip,
        place.site,
        turn.word()
    );
    let data = json!({
        "finding_id": finding.id, "check_id": finding.key.check_id, "module": finding.said.module,
        "severity": finding.said.severity, "title": finding.said.title, "target_ip": finding.key.target_ip,
        "port": Some(finding.key.port).filter(|port| *port != 0), "status": finding.status,
        "by": finding.changed_by, "reason": finding.reason, "scan_id": scan.map(|scan| &scan.id),
        "agent_id": finding.agent, "site_name": place.site, "network": place.network,
    });
    event(turn.event(), message, data, now)
}

fn counted<'a>(kinds: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for kind in kinds {
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn summed(scan: &Scan, kind: &str, what: &str, count: usize, counts: &BTreeMap<&str, u64>) -> Event {
    let message = format!(
        "{count} {what} in {} by one scan of {}",
        scan.place.site, scan.target.text
    );
    let data = json!({
        "scan_id": scan.id, "agent_id": scan.agent, "site_name": scan.place.site, "network": scan.place.network,
        "count": count, "counts": counts,
    });
    event(kind, message, data, scan.received_at)
}
