//! Agents: registration, heartbeats, tokens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Map, Value};

use crate::Timestamp;

/// An agent's identity: made by the agent, or by the nexus for one that brings none. 1 to 128 bytes of printable ASCII
/// without spaces, `/`, `\\`, `?`, `#` and `%`, and no word that means something else in its place of a path, so that
/// `/api/agents/{id}` is always the agent.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String))]
pub struct AgentId(String);

/// A text that is no agent's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no agent id (1 to 128 printable ASCII characters, no space, none of / \\ ? # %, and no word of a path such as `version`)"
)]
pub struct InvalidAgentId {
    /// What came, cut to 64 characters.
    pub text: String,
}

/// What stands in an id's place below `/api/agents/` and is no agent, and what clients take for a step in a path.
const NO_IDS: [&str; 8] = [
    "register",
    "heartbeat",
    "rotate-token",
    "deregister",
    "commands",
    "version",
    ".",
    "..",
];

impl AgentId {
    /// A new random id (UUID v4).
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().hyphenated().to_string())
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentId {
    type Err = InvalidAgentId;
    fn from_str(text: &str) -> Result<Self, InvalidAgentId> {
        let fits = (1..=128).contains(&text.len())
            && !NO_IDS.contains(&text)
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"/\\?#%".contains(&byte));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            let text = text.chars().take(64).collect();
            Err(InvalidAgentId { text })
        }
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<crate::NodeId> for AgentId {
    /// A spore that is an agent has one id for both.
    fn from(id: crate::NodeId) -> Self {
        Self(id.to_string())
    }
}

impl<'de> Deserialize<'de> for AgentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// `POST /api/agents/register`: the union of what both families of clients send. The registration token comes as a bearer token or as
/// `secret`; either may be an enrolment token.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterAgent {
    /// Its id; one is made when it brings none. The same again updates the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Name of its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name for people; the host name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it stands; an enrolment token that is bound to a site overrules it, and an agent's own token moves it nowhere. `default` when
    /// nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_name: Option<String>,
    /// Where in the site, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Networks it is in, CIDR.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// The registration secret of a LAN scan agent, or an enrolment token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// A port it serves something on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_port: Option<u16>,
    /// How it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What it says it can do.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// New for each run of the agent: tells a restart from a clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Whatever else it sent; kept as it is, at most 16 KiB.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Map<String, Value>,
}

/// The answer to a registration, for both families.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registered {
    /// `registered`.
    pub status: String,
    /// The agent's id from now on.
    pub agent_id: AgentId,
    /// Its own token, shown this once: 32 random bytes, base64url.
    pub token: String,
    /// One line for people.
    pub message: String,
    /// Always empty; older clients look for it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub assigned_tasks: Vec<Value>,
    /// False: an operator must approve it before anything it sends is taken in.
    #[serde(default = "yes")]
    pub approved: bool,
    /// The site it belongs to.
    #[serde(default)]
    pub site_name: String,
}

fn yes() -> bool {
    true
}

/// `POST /api/agents/heartbeat`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentHeartbeat {
    /// `online` when absent; `offline` is a goodbye.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its version, when it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Networks it is in, when they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnets: Option<Vec<String>>,
    /// New for each run of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// What waits in its outbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox: Option<OutboxStatus>,
}

/// What waits on an agent's disk, and what was lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutboxStatus {
    /// Batches that wait.
    pub waiting: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Batches dropped for want of room, ever.
    pub dropped: u64,
    /// Batches the nexus will never take, put aside, ever.
    pub dead: u64,
    /// Batches that its disk spoiled, ever.
    pub damaged: u64,
    /// Batches that could not be kept at all, for want of room or because the disk took nothing, ever.
    pub refused: u64,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatAnswer {
    /// `ok`.
    pub status: String,
    /// Who it was.
    pub agent_id: AgentId,
    /// By the nexus's clock.
    pub last_seen: Timestamp,
    /// Commands that wait for it: `GET /api/agents/commands`.
    pub pending_commands: u64,
    /// False while an operator has not approved it.
    #[serde(default = "yes")]
    pub approved: bool,
}

/// The answer to `POST /api/agents/rotate-token`. The token before stays good until the new one is used, and for the overlap
/// after that.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenRotated {
    /// `rotated`.
    pub status: String,
    /// Whose.
    pub agent_id: AgentId,
    /// The new one, shown this once.
    pub token: String,
    /// One line for people.
    pub message: String,
}

/// Where an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AgentStatus {
    /// Not approved, or never heard of since it registered.
    Pending,
    /// Heard of within five minutes.
    Online,
    /// Silent for longer than that.
    Stale,
    /// Silent for so long that it is taken for gone, or it said goodbye.
    Offline,
}

impl AgentStatus {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Online => "online",
            Self::Stale => "stale",
            Self::Offline => "offline",
        }
    }
}

/// An agent, for operators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentView {
    /// Its id.
    pub id: AgentId,
    /// Name for people.
    pub name: String,
    /// Its site.
    pub site_name: String,
    /// Where in the site.
    pub location: Option<String>,
    /// False once it was deregistered or revoked.
    pub is_active: bool,
    /// When it came first.
    pub registered_at: Timestamp,
    /// When it was heard of last, by the nexus's clock.
    pub last_seen: Option<Timestamp>,
    /// Where it stands.
    pub status: AgentStatus,
    /// Its version.
    pub version: Option<String>,
    /// Networks it is in, CIDR.
    pub subnets: Vec<String>,
    /// Fingerprint of the network it scanned last.
    pub current_network: Option<String>,
    /// Bound to it by its enrolment.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Name of its machine.
    #[serde(default)]
    pub hostname: Option<String>,
    /// False: it waits for an operator.
    pub approved: bool,
    /// When two machines were seen with its id last.
    #[serde(default)]
    pub clone_suspected_at: Option<Timestamp>,
    /// What waits on its disk, as it said last.
    #[serde(default)]
    pub outbox: Option<OutboxStatus>,
    /// What it can do, as it said.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Whatever else it said of itself.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Map<String, Value>,
}

/// `GET /api/agents`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentList {
    /// By name, then id.
    pub agents: Vec<AgentView>,
    /// How many there are on all pages.
    pub total: u64,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_fit_into_a_path() {
        for good in ["a", "host-1.lan", "6fa459ea-ee8a-4ca4-894e-db77e160355e", "agent:7@x"] {
            assert_eq!(good.parse::<AgentId>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "a\\b", "a?b", "ä", "a\n", "%2e", &"x".repeat(129)] {
            assert!(bad.parse::<AgentId>().is_err(), "{bad}");
        }
        for word in NO_IDS {
            assert!(word.parse::<AgentId>().is_err(), "{word}");
        }
        assert!("version-2".parse::<AgentId>().is_ok() && "...".parse::<AgentId>().is_ok());
    }

    #[test]
    fn both_families_can_register_and_what_is_not_known_is_kept() {
        let hive: RegisterAgent = serde_json::from_str(
            r#"{"agent_id":"spore-1","hostname":"pi","service_port":8001,"status":"online","capabilities":["shell"],"version":"1.0","gpu":{"n":1}}"#,
        )
        .unwrap();
        assert_eq!(hive.metadata["gpu"]["n"], 1);
        assert_eq!((hive.service_port, hive.subnets.len()), (Some(8001), 0));
        let lan: RegisterAgent =
            serde_json::from_str(r#"{"name":"a","site_name":"Berlin","subnets":["10.0.0.0/24"],"secret":"s"}"#)
                .unwrap();
        assert!(lan.metadata.is_empty() && lan.agent_id.is_none());
    }
}
