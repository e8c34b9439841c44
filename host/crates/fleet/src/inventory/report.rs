//! One shield report, taken in: a pure rule from the findings that are known and what the checks found to what is known then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value};
use venom_protocol::Timestamp;
use venom_protocol::{AgentId, FindingSeen, FindingStatus, Severity, ShieldReport};

use super::clean;
use super::finding::{self, Happening, Turn};
use super::range::Target;

/// What makes a finding this one, within its network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FindingKey {
    /// An address in its usual spelling, a name, or nothing.
    pub(crate) target_ip: String,
    /// 0: none.
    pub(crate) port: u16,
    /// The stable name of the check; `MODULE: TITLE` when it has none.
    pub(crate) check_id: String,
}

/// A finding as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) id: String,
    pub(crate) key: FindingKey,
    pub(crate) said: Said,
    pub(crate) status: FindingStatus,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) changed_at: Timestamp,
    pub(crate) changed_by: String,
    pub(crate) reason: Option<String>,
    /// Who found it last.
    pub(crate) agent: AgentId,
}

/// What is said of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) module: String,
    /// What was looked at when it was found.
    pub(crate) target: String,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) remediation: String,
    pub(crate) extra: Map<String, Value>,
}

/// A report, cleaned.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) agent: AgentId,
    pub(crate) at: Timestamp,
    pub(crate) target: Target,
    /// Whether a newer one of the same agent and target was taken in before.
    pub(crate) is_late: bool,
    pub(crate) ran: Ran,
    /// Each once.
    pub(crate) found: BTreeMap<FindingKey, Said>,
}

/// Which checks ran to their end: only those can say that something is fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ran {
    /// Nobody knows: it was broken off, or a newer report was taken in before.
    Unknown,
    /// These modules, on every address of the target.
    Modules(HashSet<String>),
    /// These checks and no others.
    Checks(HashSet<(String, String, u16)>),
}

/// What is to be written, and what there is to tell of it.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    pub(crate) findings: Vec<Finding>,
    pub(crate) added: u64,
    /// Index into `findings`, and what became of it.
    pub(crate) turns: Vec<(usize, Turn)>,
}

impl Report {
    pub(crate) fn of(report: &ShieldReport, agent: AgentId, at: Timestamp, is_late: bool) -> Self {
        let target = Target::parse(&report.target);
        let mut found = BTreeMap::new();
        for seen in &report.findings {
            let (key, said) = read(seen, &target);
            found.entry(key).or_insert(said);
        }
        let ran = match (&report.completed_at, &report.checks_run) {
            _ if is_late => Ran::Unknown,
            (None, _) => Ran::Unknown,
            (Some(_), None) => Ran::Modules(
                report
                    .modules_run
                    .iter()
                    .map(|name| clean::line(name, clean::NAME))
                    .collect(),
            ),
            (Some(_), Some(checks)) => Ran::Checks(checks.iter().filter_map(|check| check_run(check)).collect()),
        };
        Self {
            agent,
            at,
            target,
            is_late,
            ran,
            found,
        }
    }

    /// Addresses at which something was found or a check ran.
    pub(crate) fn places(&self) -> Vec<String> {
        let mut places: HashSet<&str> = self.found.keys().map(|key| key.target_ip.as_str()).collect();
        if let Ran::Checks(checks) = &self.ran {
            places.extend(checks.iter().map(|(_, ip, _)| ip.as_str()));
        }
        let mut places: Vec<String> = places.into_iter().map(ToOwned::to_owned).collect();
        places.sort();
        places
    }

    /// Whether the check of this finding ran.
    fn did_check(&self, known: &Finding) -> bool {
        let key = &known.key;
        match &self.ran {
            Ran::Unknown => false,
            Ran::Modules(modules) => modules.contains(&known.said.module) && self.is_in_target(known),
            Ran::Checks(checks) => {
                let ran = |port| checks.contains(&(key.check_id.clone(), key.target_ip.clone(), port));
                // without a port, it ran on all of them
                ran(key.port) || ran(0)
            }
        }
    }

    fn is_in_target(&self, known: &Finding) -> bool {
        match known.key.target_ip.parse::<IpAddr>() {
            Ok(ip) => self.target.covers(ip),
            Err(_) => known.said.target == self.target.text || known.key.target_ip == self.target.text,
        }
    }
}

/// Takes it in. `known` must hold all findings of the network at the report's places, and the open ones in its target.
pub(crate) fn take_in(known: Vec<Finding>, report: &Report, mut new_id: impl FnMut() -> String) -> Reported {
    let mut reported = Reported::default();
    let mut known: HashMap<FindingKey, Finding> = known
        .into_iter()
        .map(|finding| (finding.key.clone(), finding))
        .collect();
    for (key, said) in &report.found {
        let (finding, turn) = match known.remove(key) {
            // it stands where the newer report left it
            Some(_) if report.is_late => continue,
            Some(finding) => step(finding, Happening::Found, Some(said), report),
            None => {
                reported.added += 1;
                (open(new_id(), key, said, report), Some(Turn::Opened))
            }
        };
        reported.keep(finding, turn);
    }
    let mut others: Vec<Finding> = known
        .into_values()
        .filter(|finding| report.did_check(finding))
        .collect();
    others.sort_by(|one, other| one.key.cmp(&other.key));
    for finding in others {
        let (finding, turn) = step(finding, Happening::Cleared, None, report);
        if turn.is_some() {
            reported.keep(finding, turn);
        }
    }
    reported
}

impl Reported {
    fn keep(&mut self, finding: Finding, turn: Option<Turn>) {
        if let Some(turn) = turn {
            self.turns.push((self.findings.len(), turn));
        }
        self.findings.push(finding);
    }
}

fn step(mut finding: Finding, happening: Happening, said: Option<&Said>, report: &Report) -> (Finding, Option<Turn>) {
    if let Some(said) = said {
        finding.said = said.clone();
        finding.last_seen = finding.last_seen.max(report.at);
        finding.agent = report.agent.clone();
    }
    // what checks say is always allowed
    let Ok((status, turn)) = finding::next(finding.status, happening) else {
        return (finding, None);
    };
    if turn.is_some() {
        finding.status = status;
        finding.changed_at = report.at;
        finding.changed_by = report.agent.to_string();
        finding.reason = None;
    }
    (finding, turn)
}

fn open(id: String, key: &FindingKey, said: &Said, report: &Report) -> Finding {
    Finding {
        id,
        key: key.clone(),
        said: said.clone(),
        status: FindingStatus::Open,
        first_seen: report.at,
        last_seen: report.at,
        changed_at: report.at,
        changed_by: report.agent.to_string(),
        reason: None,
        agent: report.agent.clone(),
    }
}

fn read(seen: &FindingSeen, target: &Target) -> (FindingKey, Said) {
    let module = clean::line(&seen.module, clean::NAME);
    let title = clean::line(&seen.title, clean::NAME);
    let check_id = clean::name(seen.check_id.as_deref());
    let key = FindingKey {
        target_ip: place(seen.target_ip.as_deref(), target),
        port: seen.port.unwrap_or(0),
        check_id: check_id.unwrap_or_else(|| clean::line(&format!("{module}: {title}"), clean::NAME)),
    };
    let said = Said {
        module,
        target: target.text.clone(),
        severity: seen.severity,
        title,
        detail: clean::lines(&seen.detail, clean::TEXT),
        remediation: clean::lines(&seen.remediation, clean::TEXT),
        extra: clean::extra(&seen.extra, &Map::new()),
    };
    (key, said)
}

/// Where: an address in its usual spelling, or the name it was given. Nobody says: the target, when it is one address.
pub(crate) fn place(text: Option<&str>, target: &Target) -> String {
    match clean::name(text) {
        Some(text) => spelling(&text),
        None => target.single().map(|ip| ip.to_string()).unwrap_or_default(),
    }
}

fn spelling(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) => text.to_lowercase(),
    }
}

/// `check_id@ip:port`, `check_id@[ip]:port` or `check_id@ip`.
fn check_run(text: &str) -> Option<(String, String, u16)> {
    let (check, place) = text.rsplit_once('@')?;
    let (place, port) = if let Ok(socket) = place.parse::<SocketAddr>() {
        (socket.ip().to_string(), socket.port())
    } else if place.parse::<IpAddr>().is_ok() {
        (place.to_owned(), 0)
    } else if let Some((place, port)) = place.rsplit_once(':') {
        (place.trim_matches(['[', ']']).to_owned(), port.parse().ok()?)
    } else {
        (place.to_owned(), 0)
    };
    Some((
        clean::line(check, clean::NAME),
        spelling(&clean::line(&place, clean::NAME)),
        port,
    ))
}
