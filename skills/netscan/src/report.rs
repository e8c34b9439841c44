//! The answer: bodies of `POST /api/ingest/discovery`, one a target. Only shapes; what is not known is left out.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

/// What a scan answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// One for each target, in their order.
    pub(crate) discoveries: Vec<Discovery>,
}

/// What one target showed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Discovery {
    /// A CIDR or an address.
    pub(crate) target: String,
    pub(crate) scan_method: &'static str,
    /// RFC 3339, by this machine's clock.
    pub(crate) started_at: String,
    /// Absent when the sweep was broken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completed_at: Option<String>,
    pub(crate) is_root: bool,
    pub(crate) assets: Vec<Asset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network_fingerprint: Option<Fingerprint>,
    /// Tried on every address; absent when the sweep was broken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ports_scanned: Option<Vec<u16>>,
    /// Not tried, as the policy does not let it be reached: `192.168.1.5:8000`. Its port is not in `ports_scanned`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_out: Vec<String>,
}

/// Which network it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Fingerprint {
    /// SHA-256, in hexadecimal, over the gateway's MAC, or else over its address and the network.
    pub(crate) fingerprint_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway_mac: Option<String>,
}

/// One address that answered.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Asset {
    #[schemars(with = "String")]
    pub(crate) ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vendor: Option<&'static str>,
    pub(crate) open_ports: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) os_hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bigr_category: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confidence_score: Option<f64>,
    pub(crate) services: Vec<Service>,
    /// Why it seems to be what it seems to be.
    pub(crate) evidence: Vec<String>,
}

/// What speaks on a port.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Service {
    pub(crate) port: u16,
    pub(crate) protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) product: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) banner: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tls_names: Vec<String>,
}
