//! What agents saw: `POST /api/ingest/discovery` and `/api/ingest/shield`. Read leniently, written exactly.
//!
//! A header `Idempotency-Key` makes a batch count once however often it is sent.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::AgentId;
use crate::Timestamp;

/// `POST /api/ingest/discovery`: one sweep over one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Discovery {
    /// What was scanned: a CIDR, an address or a name.
    pub target: String,
    /// How.
    #[serde(default = "hybrid")]
    pub scan_method: String,
    /// When it began, by the agent's clock.
    pub started_at: Timestamp,
    /// When it ended; absent: it was broken off, and what it did not see says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Whether it ran as root.
    #[serde(default)]
    pub is_root: bool,
    /// What answered.
    pub assets: Vec<SeenAsset>,
    /// Which network it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_fingerprint: Option<NetworkFingerprint>,
    /// Ports that were tried on every address; absent: not known, so a port that was not seen says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports_scanned: Option<Vec<u16>>,
}

fn hybrid() -> String {
    "hybrid".to_owned()
}

/// Which network a scan was in: the same private addresses are in use everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkFingerprint {
    /// Names the network within its site.
    pub fingerprint_hash: String,
    /// Its gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ip: Option<String>,
    /// Its gateway's MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_mac: Option<String>,
    /// Name of the wireless network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssid: Option<String>,
}

/// One thing that answered. What is absent is not known, and never overwrites what is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeenAsset {
    /// Its address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub ip: IpAddr,
    /// Its MAC, in any usual spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Who made it, by its MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// TCP ports that took a connection.
    #[serde(default)]
    pub open_ports: Vec<PortSeen>,
    /// What it seems to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_hint: Option<String>,
    /// What kind of thing it seems to be (`device_class` is read as the same).
    #[serde(default, alias = "device_class", skip_serializing_if = "Option::is_none")]
    pub bigr_category: Option<String>,
    /// How sure that is, 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_score: Option<f64>,
    /// What speaks on its ports.
    #[serde(default)]
    pub services: Vec<SeenService>,
    /// Why it seems to be what it seems to be, one line each.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// The agent that runs on it, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Whatever else was sent; kept as it is, at most 4 KiB.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub extra: Map<String, Value>,
}

/// A port: a number, a number as text, or an object with `port`. Written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = u16))]
pub struct PortSeen(pub u16);

impl<'de> Deserialize<'de> for PortSeen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Number(u16),
            Text(String),
            Object { port: u16 },
        }
        let wrong = || serde::de::Error::custom("a port is a number from 0 to 65535");
        match Spelling::deserialize(deserializer).map_err(|_| wrong())? {
            Spelling::Number(port) | Spelling::Object { port } => Ok(Self(port)),
            // `443`, `443/tcp`
            Spelling::Text(text) => text
                .split('/')
                .next()
                .unwrap_or_default()
                .trim()
                .parse()
                .map(Self)
                .map_err(|_| wrong()),
        }
    }
}

/// What speaks on a port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeenService {
    /// Which.
    pub port: u16,
    /// `tcp` or `udp`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// `ssh`, `http`, `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `OpenSSH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// `9.2p1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The first line it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
    /// Names in its certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls_names: Vec<String>,
}

fn tcp() -> String {
    "tcp".to_owned()
}

/// The answer to a discovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiscoveryIngested {
    /// `ok`.
    pub status: String,
    /// The scan's id.
    pub scan_id: String,
    /// How many were taken in.
    pub assets_ingested: u64,
    /// True: this batch had come before, and counted then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// `POST /api/ingest/shield`: what one look at the security of a target found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShieldReport {
    /// What was looked at: a CIDR, an address or a name.
    pub target: String,
    /// When it began, by the agent's clock.
    pub started_at: Timestamp,
    /// When it ended; absent: it was broken off, and nothing counts as fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Which modules ran to their end.
    #[serde(default)]
    pub modules_run: Vec<String>,
    /// What they found.
    #[serde(default)]
    pub findings: Vec<FindingSeen>,
    /// Certificates they saw.
    #[serde(default)]
    pub certificates: Vec<CertificateSeen>,
    /// Which network it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_fingerprint: Option<NetworkFingerprint>,
    /// Checks that ran to their end, `check_id@ip:port`: only a finding whose check ran again and did not find it is fixed. Absent, every
    /// check of `modules_run` on every address of `target` counts as run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks_run: Option<Vec<String>>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Severity {
    /// Good to know.
    Info,
    /// Hardly matters.
    Low,
    /// Matters.
    Medium,
    /// Matters much.
    High,
    /// Now.
    Critical,
}

impl Severity {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Reads any usual spelling; what is not known is `info`, never refused.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "critical" | "crit" => Self::Critical,
            "high" | "error" => Self::High,
            "medium" | "moderate" | "warning" => Self::Medium,
            "low" | "minor" => Self::Low,
            _ => Self::Info,
        }
    }
}

impl<'de> Deserialize<'de> for Severity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer).map(|text| Self::of(&text))
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FindingSeen {
    /// Which module found it.
    pub module: String,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// More.
    #[serde(default)]
    pub detail: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ip: Option<String>,
    /// What to do.
    #[serde(default)]
    pub remediation: String,
    /// On which port.
    #[serde(default, alias = "target_port", skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Stable name of the check, `tls.expired`; module and title stand for it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_id: Option<String>,
    /// Whatever else was sent; kept as it is, at most 4 KiB.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub extra: Map<String, Value>,
}

/// A certificate that was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CertificateSeen {
    /// Where (`target_ip` and `host` are read as the same).
    #[serde(alias = "target_ip", alias = "host", skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// On which port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// SHA-256 of its DER, hex.
    #[serde(alias = "fingerprint", skip_serializing_if = "Option::is_none")]
    pub fingerprint_sha256: Option<String>,
    /// Its subject.
    #[serde(alias = "cn", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Who signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Its number, hex.
    #[serde(alias = "serial_number", skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Names in it.
    #[serde(alias = "san", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// From when it is good.
    #[serde(alias = "valid_from", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until when.
    #[serde(alias = "valid_to", skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// `rsa 2048`, `ec p256`, `ed25519`.
    #[serde(alias = "key_type", skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `sha256WithRSAEncryption`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<String>,
    /// Whether it signed itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<bool>,
    /// Whatever else was sent; kept as it is, at most 4 KiB.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub extra: Map<String, Value>,
}

/// The answer to a shield report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShieldIngested {
    /// `ok`.
    pub status: String,
    /// The scan's id.
    pub scan_id: String,
    /// Whose.
    pub agent_id: AgentId,
    /// How many modules ran.
    pub modules_received: u64,
    /// How many findings came.
    pub findings_count: u64,
    /// True: this batch had come before, and counted then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_old_agents_send_is_read() {
        let discovery: Discovery = serde_json::from_str(
            r#"{"target":"192.168.1.0/24","started_at":"2026-01-02T03:04:05","assets":[
                {"ip":"192.168.1.1","mac":null,"open_ports":[22,"443/tcp",{"port":80,"service":"http"}],"bigr_category":"network","confidence_score":0.9,"seen_by":"arp"}]}"#,
        )
        .unwrap();
        let asset = &discovery.assets[0];
        assert_eq!(asset.open_ports, [PortSeen(22), PortSeen(443), PortSeen(80)]);
        assert_eq!(
            (asset.mac.as_deref(), asset.extra["seen_by"].as_str()),
            (None, Some("arp"))
        );
        assert_eq!((discovery.scan_method.as_str(), discovery.is_root), ("hybrid", false));
        let finding: FindingSeen =
            serde_json::from_str(r#"{"module":"tls","severity":"WARNING","title":"t","target_ip":"10.0.0.1"}"#)
                .unwrap();
        assert_eq!(finding.severity, Severity::Medium);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for bad in ["70000", "\"http\"", "-1", "{}", "null"] {
            assert!(serde_json::from_str::<PortSeen>(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&PortSeen(22)).unwrap(), "22");
    }
}
