//! What the multi-site dashboard reads.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AgentId, AgentStatus, SeenService, Severity};
use crate::Timestamp;

/// One thing in one network of one site. `GET /api/data` lists them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AssetView {
    /// Its id here.
    pub id: String,
    /// Its site.
    pub site_name: String,
    /// Fingerprint of its network.
    pub network: String,
    /// Its address now.
    pub ip: String,
    /// Its MAC, `aa:bb:cc:dd:ee:ff`.
    pub mac: Option<String>,
    /// Its name.
    pub hostname: Option<String>,
    /// Who made it.
    pub vendor: Option<String>,
    /// Open TCP ports, ascending.
    pub open_ports: Vec<u16>,
    /// What it seems to run.
    pub os_hint: Option<String>,
    /// What kind of thing it seems to be.
    pub bigr_category: Option<String>,
    /// How sure that is, 0..1.
    pub confidence_score: Option<f64>,
    /// What speaks on its ports.
    pub services: Vec<SeenService>,
    /// Why it seems to be what it seems to be.
    pub evidence: Vec<String>,
    /// When it was seen first, by the nexus's clock.
    pub first_seen: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
    /// True: complete scans no longer find it.
    pub is_gone: bool,
    /// Who saw it last.
    pub agent_id: AgentId,
    /// Findings that are open on it.
    pub open_findings: u64,
    /// Whatever else was said of it.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub extra: Map<String, Value>,
}

/// `GET /api/assets/{ip}`: all that is known about an address; one for each site and network that has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AssetDetail {
    /// The thing itself.
    pub asset: AssetView,
    /// What changed, newest first, the last 100.
    pub changes: Vec<ChangeView>,
    /// What was found on it.
    pub findings: Vec<FindingView>,
    /// Certificates it showed.
    pub certificates: Vec<CertificateView>,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ChangeKind {
    /// Seen for the first time.
    New,
    /// Missed by enough complete scans.
    Gone,
    /// Seen again.
    Returned,
    /// It has another address.
    IpChanged,
    /// A port is open that was not.
    PortOpened,
    /// A port that was open no longer is.
    PortClosed,
    /// Something else speaks on a port.
    ServiceChanged,
    /// It has another name.
    HostnameChanged,
    /// It shows another certificate.
    CertificateChanged,
}

impl ChangeKind {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Gone => "gone",
            Self::Returned => "returned",
            Self::IpChanged => "ip_changed",
            Self::PortOpened => "port_opened",
            Self::PortClosed => "port_closed",
            Self::ServiceChanged => "service_changed",
            Self::HostnameChanged => "hostname_changed",
            Self::CertificateChanged => "certificate_changed",
        }
    }
}

/// One change of one thing. `GET /api/changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeView {
    /// Its id.
    pub id: String,
    /// Which site.
    pub site_name: String,
    /// Which network.
    pub network: String,
    /// Which thing.
    pub asset_id: String,
    /// Its address then.
    pub ip: String,
    /// What changed.
    pub kind: ChangeKind,
    /// What it was.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
    /// The scan that showed it.
    pub scan_id: String,
    /// When the nexus heard of it.
    pub at: Timestamp,
}

/// One scan. `GET /api/scans`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScanView {
    /// Its id.
    pub id: String,
    /// `discovery` or `shield`.
    pub kind: String,
    /// Which site.
    pub site_name: String,
    /// Which network.
    pub network: String,
    /// Who scanned.
    pub agent_id: AgentId,
    /// What was scanned.
    pub target: String,
    /// How, or which modules.
    pub method: String,
    /// When it began, by the agent's clock.
    pub started_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When the nexus got it.
    pub received_at: Timestamp,
    /// Assets or findings in it.
    pub count: u64,
    /// True: one of the same agent and target that began later was taken in before, so it turned nothing back. When all are, the
    /// agent's clock is behind.
    #[serde(default)]
    pub late: bool,
}

/// One subnet of one site. `GET /api/subnets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubnetView {
    /// CIDR.
    pub cidr: String,
    /// Which site.
    pub site_name: String,
    /// Agents that are in it.
    pub agents: Vec<AgentId>,
    /// Things in it that are there.
    pub assets: u64,
    /// When it was scanned last.
    pub last_scan: Option<Timestamp>,
}

/// One site. `GET /api/sites`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteView {
    /// Its name.
    pub name: String,
    /// Agents registered there.
    pub agents: u64,
    /// Of those, online.
    pub agents_online: u64,
    /// Networks seen there.
    pub networks: u64,
    /// Things that are there.
    pub assets: u64,
    /// Findings that are open.
    pub open_findings: u64,
    /// When it was scanned last.
    pub last_scan: Option<Timestamp>,
}

/// One network of one site. `GET /api/networks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkView {
    /// Names it within its site.
    pub fingerprint_hash: String,
    /// Which site.
    pub site_name: String,
    /// Its gateway.
    pub gateway_ip: Option<String>,
    /// Its gateway's MAC.
    pub gateway_mac: Option<String>,
    /// Name of the wireless network.
    pub ssid: Option<String>,
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
    /// Things that are there.
    pub assets: u64,
}

/// One certificate at one place. `GET /api/certificates`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CertificateView {
    /// Which site.
    pub site_name: String,
    /// Which network.
    pub network: String,
    /// Where.
    pub ip: String,
    /// On which port.
    pub port: u16,
    /// SHA-256 of its DER, hex.
    pub fingerprint_sha256: Option<String>,
    /// Its subject.
    pub subject: Option<String>,
    /// Who signed it.
    pub issuer: Option<String>,
    /// Its number.
    pub serial: Option<String>,
    /// Names in it.
    pub names: Vec<String>,
    /// From when it is good.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub not_after: Option<Timestamp>,
    /// Days left by the nexus's clock; negative: expired.
    pub days_left: Option<i64>,
    /// Its key.
    pub key: Option<String>,
    /// How it was signed.
    pub signature_algorithm: Option<String>,
    /// Whether it signed itself.
    pub self_signed: Option<bool>,
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
}

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FindingStatus {
    /// It is there.
    Open,
    /// The check ran again and did not find it.
    Fixed,
    /// An operator lives with it.
    Accepted,
    /// An operator says it is none.
    FalsePositive,
}

impl FindingStatus {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Fixed => "fixed",
            Self::Accepted => "accepted",
            Self::FalsePositive => "false_positive",
        }
    }
}

/// `PATCH /api/v1/findings/{id}`: an operator's word on a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FindingUpdate {
    /// `open`, `accepted` or `false_positive`; that it is fixed only a check can say.
    pub status: FindingStatus,
    /// Why, for whoever reads it next year; at most 1,000 bytes.
    #[serde(default)]
    pub reason: String,
}

/// One finding. `GET /api/shield-findings`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FindingView {
    /// Its id.
    pub id: String,
    /// Which site.
    pub site_name: String,
    /// Which network.
    pub network: String,
    /// Which module found it.
    pub module: String,
    /// Stable name of the check.
    pub check_id: String,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// More.
    pub detail: String,
    /// Where.
    pub target_ip: Option<String>,
    /// On which port.
    pub port: Option<u16>,
    /// What to do.
    pub remediation: String,
    /// Where it stands.
    pub status: FindingStatus,
    /// When it was found first.
    pub first_seen: Timestamp,
    /// When it was found last.
    pub last_seen: Timestamp,
    /// When its status changed last.
    pub changed_at: Timestamp,
    /// Who changed it last: a token's name, or the agent's id.
    pub changed_by: String,
    /// Why, when an operator did.
    pub reason: Option<String>,
    /// Who found it last.
    pub agent_id: AgentId,
    /// Whatever else was said of it.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub extra: Map<String, Value>,
}

/// `GET /api/topology`: sites, networks, agents and things, and what belongs to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Topology {
    /// All of them.
    pub nodes: Vec<TopologyNode>,
    /// What belongs to what.
    pub links: Vec<TopologyLink>,
    /// True: there are more things than are drawn.
    pub truncated: bool,
}

/// Something in the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopologyNode {
    /// `site:NAME`, `network:SITE:HASH`, `agent:ID`, `asset:ID`.
    pub id: String,
    /// `site`, `network`, `agent`, `asset`, `gateway`.
    pub kind: String,
    /// For people.
    pub label: String,
    /// Which site.
    pub site_name: String,
    /// Its address, when it has one.
    pub ip: Option<String>,
    /// Where it stands, when it is an agent.
    pub status: Option<AgentStatus>,
}

/// A line in the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopologyLink {
    /// One end.
    pub from: String,
    /// The other.
    pub to: String,
}
