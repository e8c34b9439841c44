//! What a manifest asks for. The same shape serves as a publisher's ceiling.

use serde::{Deserialize, Serialize};

use super::Lan;

/// Read-only or read-write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Open and list, never change.
    #[default]
    Ro,
    /// Create, write, rename and delete too.
    Rw,
}

/// The capabilities a skill asks for. Absent means "not asked", so never granted.
///
/// Patterns: `*` alone is anything; otherwise `*` stands for any run of characters but no more than one
/// `*` is allowed, at either end (`*.example.com`, `EchoSkill.*`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Guest directories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fs: Vec<FsRequest>,
    /// Names of programs, or patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Sockets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub net: Vec<NetRequest>,
    /// Names to look up, or patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// HTTP hosts (`api.example.com`, `api.example.com:8443`), or patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
    /// Environment keys, or patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Configuration keys, or patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<String>,
    /// Secret names, or patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The key/value cache.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cache: bool,
    /// `Skill.method` patterns it may submit as tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hive: Vec<String>,
    /// What it may learn of the machine's networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lan: Vec<Lan>,
}

impl Request {
    /// A request for everything: the ceiling of a publisher that has none.
    #[must_use]
    pub fn anything() -> Self {
        let all = || vec!["*".to_owned()];
        Self {
            fs: vec![FsRequest {
                guest: "*".to_owned(),
                access: Access::Rw,
            }],
            commands: all(),
            net: vec![NetRequest {
                to: "*".to_owned(),
                ports: all(),
                protocols: vec![super::NetProtocol::Tcp, super::NetProtocol::Udp],
            }],
            dns: all(),
            http: all(),
            env: all(),
            config: all(),
            secrets: all(),
            cache: true,
            hive: all(),
            lan: Lan::ALL.to_vec(),
        }
    }
}

impl Request {
    /// What it asks for beyond `before`, one line each for people; empty: nothing more.
    #[must_use]
    pub fn beyond(&self, before: &Self) -> Vec<String> {
        super::beyond::beyond(self, before)
    }

    /// All it asks for, one line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.beyond(&Self::default())
    }
}

/// One guest directory, `*` for any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FsRequest {
    /// Absolute guest path, for example `/work`.
    pub guest: String,
    /// Read-only unless it says `rw`.
    #[serde(default)]
    pub access: Access,
}

/// One range of socket peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetRequest {
    /// A CIDR, an address, a host name or pattern, or `*`.
    pub to: String,
    /// `22`, `8000-9000` or `*`.
    pub ports: Vec<String>,
    /// TCP when absent.
    #[serde(default = "tcp_only")]
    pub protocols: Vec<super::NetProtocol>,
}

pub(super) fn tcp_only() -> Vec<super::NetProtocol> {
    vec![super::NetProtocol::Tcp]
}
