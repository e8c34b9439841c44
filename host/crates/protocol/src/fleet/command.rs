//! Commands for agents. An agent asks for them; nothing is pushed through its NAT.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AgentId;
use crate::Timestamp;

/// `POST /api/agents/{id}/commands`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SendCommand {
    /// `scan_now`.
    #[serde(default = "scan_now")]
    pub command_type: String,
    /// What to scan, CIDRs or addresses; the agent's own networks when empty.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Whether to look at the security of what it finds too.
    #[serde(default = "yes")]
    pub shield: bool,
}

fn scan_now() -> String {
    "scan_now".to_owned()
}

fn yes() -> bool {
    true
}

impl Default for SendCommand {
    fn default() -> Self {
        Self {
            command_type: scan_now(),
            targets: Vec::new(),
            shield: true,
        }
    }
}

/// The answer: it waits for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandSent {
    /// `queued`.
    pub status: String,
    /// The command's id.
    pub command_id: String,
    /// Who will get it.
    pub agent_id: AgentId,
    /// As it was sent.
    pub command_type: String,
    /// As they were sent.
    pub targets: Vec<String>,
    /// As it was sent.
    pub shield: bool,
}

/// Where a command stands. It only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CommandStatus {
    /// The agent has not asked for it yet.
    Pending,
    /// The agent has it.
    Ack,
    /// The agent is at it.
    Running,
    /// It is done.
    Completed,
    /// It did not work out.
    Failed,
}

impl CommandStatus {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ack => "ack",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// A command, as its agent gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PendingCommand {
    /// The command's id.
    pub id: String,
    /// `scan_now`.
    pub command_type: String,
    /// `{targets, shield}`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub params: Map<String, Value>,
    /// When it was sent.
    pub created_at: Timestamp,
}

/// `GET /api/agents/commands`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PendingCommands {
    /// Oldest first, those pending only.
    pub commands: Vec<PendingCommand>,
    /// How many.
    pub count: u64,
}

/// `PATCH /api/agents/commands/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandUpdate {
    /// Where it stands now; `pending` is refused.
    pub status: CommandStatus,
    /// What came of it, at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub result: Option<Value>,
}

/// The answer to an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandDone {
    /// `ok`.
    pub status: String,
    /// Which.
    pub command_id: String,
    /// Where it stands.
    pub command_status: CommandStatus,
}

/// A command, for operators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandView {
    /// The command's id.
    pub id: String,
    /// Whose.
    pub agent_id: AgentId,
    /// `scan_now`.
    pub command_type: String,
    /// `{targets, shield}`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub params: Map<String, Value>,
    /// Where it stands.
    pub status: CommandStatus,
    /// What came of it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub result: Option<Value>,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// Name of the token it was sent with.
    pub created_by: String,
}

/// `GET /api/agents/{id}/commands`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandList {
    /// Newest first.
    pub commands: Vec<CommandView>,
    /// How many are listed.
    pub count: u64,
}
