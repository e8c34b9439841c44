//! What is known of one thing, and what one scan saw of it. Plain facts: no rules, no database.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use venom_protocol::Timestamp;
use venom_protocol::{AgentId, ChangeKind, SeenService};

use super::mac::Mac;

/// What one scan saw of one thing, cleaned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) ip: IpAddr,
    pub(crate) mac: Option<Mac>,
    /// The agent that runs on it.
    pub(crate) runs: Option<AgentId>,
    pub(crate) hostname: Option<String>,
    pub(crate) vendor: Option<String>,
    pub(crate) os_hint: Option<String>,
    /// What kind of thing, and how sure that is.
    pub(crate) class: Option<(String, Option<f64>)>,
    /// Open TCP ports.
    pub(crate) ports: BTreeSet<u16>,
    pub(crate) services: BTreeMap<ServiceKey, SeenService>,
    pub(crate) evidence: Vec<String>,
    pub(crate) extra: Map<String, Value>,
}

/// Port and protocol.
pub(crate) type ServiceKey = (u16, String);

/// What is known of one thing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asset {
    pub(crate) id: String,
    pub(crate) ip: IpAddr,
    pub(crate) mac: Option<Mac>,
    /// The agent that runs on it.
    pub(crate) runs: Option<AgentId>,
    pub(crate) hostname: Option<String>,
    pub(crate) vendor: Option<String>,
    pub(crate) facts: Facts,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    /// Who saw it last.
    pub(crate) seen_by: AgentId,
    pub(crate) is_gone: bool,
    /// Complete scans in a row that did not find it.
    pub(crate) misses: u32,
}

/// The part nobody searches by, kept as one JSON text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    pub(crate) os_hint: Option<String>,
    pub(crate) class: Option<Class>,
    /// Open TCP ports.
    pub(crate) ports: BTreeMap<u16, OpenPort>,
    /// Ascending by port and protocol.
    pub(crate) services: Vec<SeenService>,
    pub(crate) evidence: Vec<String>,
    pub(crate) extra: Map<String, Value>,
}

/// What kind of thing it seems to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Class {
    pub(crate) name: String,
    /// 0..1, when anybody said.
    pub(crate) confidence: Option<f64>,
    /// Since when it is believed.
    pub(crate) at: Timestamp,
}

/// What is remembered of an open port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OpenPort {
    /// Complete scans in a row, by who had seen it before, that did not find it and did not say which ports they tried.
    pub(crate) misses: u32,
    /// Who saw it, the last few.
    pub(crate) by: Vec<AgentId>,
}

/// What changed of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) asset_id: String,
    /// Its address then.
    pub(crate) ip: IpAddr,
    pub(crate) kind: ChangeKind,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl Change {
    /// Whether it is about a part of a thing.
    pub(crate) const fn is_detail(&self) -> bool {
        match self.kind {
            ChangeKind::New | ChangeKind::Gone | ChangeKind::Returned | ChangeKind::IpChanged => false,
            ChangeKind::PortOpened
            | ChangeKind::PortClosed
            | ChangeKind::ServiceChanged
            | ChangeKind::HostnameChanged
            | ChangeKind::CertificateChanged => true,
        }
    }
}

impl Asset {
    /// As the database keys and the search finds it, in small letters.
    pub(crate) fn words(&self) -> String {
        let mac = self.mac.map(|mac| mac.to_string());
        let class = self.facts.class.as_ref().map(|class| class.name.as_str());
        [
            Some(self.ip.to_string().as_str()),
            mac.as_deref(),
            self.hostname.as_deref(),
            self.vendor.as_deref(),
            class,
            self.facts.os_hint.as_deref(),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
    }
}

/// `80/tcp http nginx 1.24`.
pub(crate) fn service_line(service: &SeenService) -> String {
    let known = [&service.service, &service.product, &service.version];
    let words: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
    format!("{}/{} {}", service.port, service.protocol, words.join(" "))
        .trim_end()
        .to_owned()
}
