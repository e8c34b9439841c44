//! Everything the nexus can be told, as one plain struct, and the rules it must keep.
//!
//! Never reads a flag, an environment variable or a settings file: the host merges those.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use venom_foreman::LoadWeights;
use venom_protocol::MAX_FRAME_BYTES;

use crate::{AgentSettings, HiveSettings, ReleasesSettings, Secret};

/// Room left in a frame for the envelope around a body's parameters.
const ENVELOPE_ROOM: u64 = 64 * 1024;

/// What the nexus can be told. `Default` is a closed, loopback-friendly nexus: no token, nobody gets in.
#[derive(Debug, Clone)]
pub struct NexusSettings {
    /// Loopback only, no operator token asked. Refused on any other address.
    pub dev: bool,
    /// Version told to spores and in `/openapi.json`.
    pub version: String,
    /// A node silent for this long is offline (60 s).
    pub heartbeat_timeout: Duration,
    /// A spore that has connected must have said its handshake by then (10 s).
    pub handshake_timeout: Duration,
    /// How loads are compared.
    pub weights: LoadWeights,
    /// Whether spores may register (`ENABLE_NEXUS`); off closes `/ws/nodes` with 1003.
    pub node_role: bool,
    /// What spores must present. `None`: registration is closed.
    pub shared_token: Option<Secret>,
    /// Who may use REST, events and metrics.
    pub operator_tokens: Vec<TokenRecord>,
    /// Serve TLS instead of plain text.
    pub tls: Option<TlsFiles>,
    /// Largest request body (8 MiB). At most the frame limit less 64 KiB, as parameters travel in one frame.
    pub max_body: ByteSize,
    /// A request must be read to its end by then (30 s); also closes idle keep-alive connections.
    pub read_timeout: Duration,
    /// Connections at one time, links included (10,000); more are closed at once.
    pub max_connections: usize,
    /// How often anyone may knock.
    pub rate_limits: RateLimits,
    /// Events kept for `Last-Event-ID` (1,024).
    pub event_history: usize,
    /// JSON lines of security events are appended here.
    pub audit_log: Option<PathBuf>,
    /// Calls in flight get this long to finish at shutdown (10 s).
    pub drain_timeout: Duration,
    /// Tasks.
    pub hive: HiveSettings,
    /// What is installed where.
    pub releases: ReleasesSettings,
    /// How agents get in.
    pub agents: AgentSettings,
}

impl Default for NexusSettings {
    fn default() -> Self {
        Self {
            dev: false,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            heartbeat_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            weights: LoadWeights::default(),
            node_role: true,
            shared_token: None,
            operator_tokens: Vec::new(),
            tls: None,
            max_body: ByteSize::mib(8),
            read_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            rate_limits: RateLimits::default(),
            event_history: 1_024,
            audit_log: None,
            drain_timeout: Duration::from_secs(10),
            hive: HiveSettings::default(),
            releases: ReleasesSettings::default(),
            agents: AgentSettings::default(),
        }
    }
}

/// How often anyone may knock. A bucket holds one second's worth of requests, or half a minute's worth of
/// failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests a second for each token, or for each address without one (50,000: a brake on runaway
    /// scripts, over what one nexus can do on a small machine). 0: no limit.
    pub requests_per_second: u32,
    /// Wrong tokens a minute for each address (60). 0: no limit.
    pub auth_failures_per_minute: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            requests_per_second: 50_000,
            auth_failures_per_minute: 60,
        }
    }
}

/// PEM files of a server certificate.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Certificate chain, own certificate first.
    pub cert: PathBuf,
    /// Private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

/// What a token allows. Each scope includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reads.
    Viewer,
    /// Reads, runs skills, drains nodes.
    Operator,
    /// All of it.
    Admin,
}

impl Scope {
    /// As it is written in `tokens.toml` and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = InvalidSettings;
    fn from_str(text: &str) -> Result<Self, InvalidSettings> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            other => Err(InvalidSettings::UnknownScope { text: other.to_owned() }),
        }
    }
}

/// One operator token at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// For logs and the audit.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// SHA-256 of the token's text.
    pub sha256: [u8; 32],
}

impl TokenRecord {
    /// The record of a token in plain text, which is not kept.
    #[must_use]
    pub fn of(name: impl Into<String>, scope: Scope, token: &str) -> Self {
        Self {
            name: name.into(),
            scope,
            sha256: crate::auth::digest(token),
        }
    }
}

impl fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenRecord({} {})", self.name, self.scope)
    }
}

/// A setting that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Not one of the three.
    #[error("`{text}` is no scope, use viewer, operator or admin")]
    UnknownScope {
        /// What was given.
        text: String,
    },
    /// A duration, count or size of zero where zero means nothing works.
    #[error("`{name}` is zero, give at least one")]
    Zero {
        /// Which setting.
        name: &'static str,
    },
    /// Parameters of this size would not fit into a frame.
    #[error("`max_body` is {given}, a frame takes at most {limit}")]
    BodyOverFrame {
        /// What was given.
        given: ByteSize,
        /// The most there can be.
        limit: ByteSize,
    },
    /// An empty token lets everyone in.
    #[error("the shared token is empty, give one or leave it out to close registration")]
    EmptyToken,
    /// An empty token lets every agent in.
    #[error("the token or secret agents register with is empty, give one or leave it out to close registration")]
    EmptyRegistrationToken,
}

impl NexusSettings {
    /// Checks what must hold before anything is bound.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let limit = ByteSize(MAX_FRAME_BYTES as u64 - ENVELOPE_ROOM);
        if self.max_body > limit {
            return Err(InvalidSettings::BodyOverFrame {
                given: self.max_body,
                limit,
            });
        }
        if self
            .shared_token
            .as_ref()
            .is_some_and(|token| token.expose().is_empty())
        {
            return Err(InvalidSettings::EmptyToken);
        }
        let secrets = [&self.agents.registration_token, &self.agents.registration_secret];
        if secrets.into_iter().flatten().any(|secret| secret.expose().is_empty()) {
            return Err(InvalidSettings::EmptyRegistrationToken);
        }
        let must_not_be_zero = [
            ("heartbeat_timeout", self.heartbeat_timeout.is_zero()),
            ("handshake_timeout", self.handshake_timeout.is_zero()),
            ("read_timeout", self.read_timeout.is_zero()),
            ("max_body", self.max_body.0 == 0),
            ("max_connections", self.max_connections == 0),
            ("event_history", self.event_history == 0),
            ("releases.max_downloads", self.releases.max_downloads == 0),
            ("releases.rollout_lifetime", self.releases.rollout_lifetime.is_zero()),
            ("releases.poll", self.releases.poll.is_zero()),
            ("hive.task_timeout", self.hive.task_timeout.is_zero()),
            ("hive.zombie_task_timeout", self.hive.zombie_task_timeout.is_zero()),
            ("hive.lease_ttl", self.hive.lease_ttl.is_zero()),
            ("hive.max_batch", self.hive.max_batch == 0),
            ("hive.max_parameters", self.hive.max_parameters.0 == 0),
            ("hive.max_result", self.hive.max_result.0 == 0),
        ];
        match must_not_be_zero.into_iter().find(|(_, zero)| *zero) {
            Some((name, _)) => Err(InvalidSettings::Zero { name }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_keep_the_rules() {
        assert_eq!(NexusSettings::default().check(), Ok(()));
    }

    #[test]
    fn a_body_over_the_frame_limit_is_refused() {
        let settings = NexusSettings {
            max_body: ByteSize::mib(16),
            ..NexusSettings::default()
        };
        assert!(matches!(settings.check(), Err(InvalidSettings::BodyOverFrame { .. })));
    }

    #[test]
    fn an_empty_shared_token_is_refused() {
        let settings = NexusSettings {
            shared_token: Some(Secret::new("")),
            ..NexusSettings::default()
        };
        assert_eq!(settings.check(), Err(InvalidSettings::EmptyToken));
    }

    #[test]
    fn an_empty_registration_token_is_refused() {
        for (registration_token, registration_secret) in [(Some(Secret::new("")), None), (None, Some(Secret::new("")))]
        {
            let agents = AgentSettings {
                registration_token,
                registration_secret,
                ..AgentSettings::default()
            };
            let settings = NexusSettings {
                agents,
                ..NexusSettings::default()
            };
            assert_eq!(settings.check(), Err(InvalidSettings::EmptyRegistrationToken));
        }
    }

    #[test]
    fn zeroes_are_named() {
        let settings = NexusSettings {
            heartbeat_timeout: Duration::ZERO,
            ..NexusSettings::default()
        };
        assert_eq!(
            settings.check(),
            Err(InvalidSettings::Zero {
                name: "heartbeat_timeout"
            })
        );
    }

    #[test]
    fn scopes_include_those_before() {
        assert!(Scope::Admin > Scope::Operator && Scope::Operator > Scope::Viewer);
        assert_eq!("operator".parse(), Ok(Scope::Operator));
        assert!("root".parse::<Scope>().is_err());
    }

    #[test]
    fn a_token_record_prints_no_digest() {
        assert_eq!(
            format!("{:?}", TokenRecord::of("ci", Scope::Viewer, "x")),
            "TokenRecord(ci viewer)"
        );
    }
}
