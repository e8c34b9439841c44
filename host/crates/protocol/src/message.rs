//! Payloads of the swarm protocol. Field names are the contract; unknown fields are ignored.
//!
//! v1 peers repeat `message_type` and `timestamp` inside the payload and expect them there; [`crate::encode`]
//! writes both, and reading needs neither.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::lenient::{count, null_as_default};
use crate::{
    Broadcast, Capabilities, ErrorCode, HiveAnswer, HiveAsk, NodeId, ReleaseAnswer, ReleaseAsk, RequestId, TaskRun,
    UpdateReport,
};

/// First frame of a spore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handshake {
    /// Made by the spore, kept over reconnects.
    pub node_id: NodeId,
    /// For people.
    pub node_name: String,
    /// What it has.
    #[serde(default, deserialize_with = "null_as_default")]
    pub capabilities: Capabilities,
    /// Shared or agent token.
    #[serde(default, deserialize_with = "null_as_default")]
    pub token: String,
    /// Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    /// Calls it runs at one time (v2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// A new one for each start of the process (v2): tells a restart and a clone from a reconnect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Version of the host software (v2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Answer to a v2 handshake. v1 peers get none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// Version both speak.
    pub protocol: u32,
    /// Seconds after which a silent spore is taken for gone.
    pub heartbeat_timeout: f64,
    /// Version of the nexus.
    pub version: String,
}

/// Run one method.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecuteSkill {
    /// This call.
    pub request_id: RequestId,
    /// The node it is meant for.
    pub node_id: NodeId,
    /// For example `ShellSkill`.
    pub skill_name: String,
    /// For example `run`.
    pub method_name: String,
    /// JSON object, passed through as it came.
    pub parameters: Box<RawValue>,
    /// Seconds.
    #[serde(default = "default_timeout", serialize_with = "whole_as_integer")]
    pub timeout: f64,
    /// W3C `traceparent` (v2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The task it is a run of; absent for a call that somebody waits for (v2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRun>,
}

fn default_timeout() -> f64 {
    30.0
}

/// `30` and not `30.0`: a v1 peer may want an integer.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
fn whole_as_integer<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if seconds.fract() == 0.0 && seconds.abs() < f64::from(i32::MAX) {
        serializer.serialize_i64(*seconds as i64)
    } else {
        serializer.serialize_f64(*seconds)
    }
}

/// Sign of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who.
    pub node_id: NodeId,
    /// 0..1.
    pub cpu_usage: f64,
    /// 0..1.
    pub memory_usage: f64,
    /// Calls running.
    #[serde(deserialize_with = "count")]
    pub active_tasks: u32,
    /// Calls it would take at once beside those (v2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<u32>,
}

/// Outcome of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Response {
    /// The call.
    pub request_id: RequestId,
    /// Who ran it.
    pub node_id: NodeId,
    /// Whether the skill succeeded.
    pub success: bool,
    /// Its answer, any JSON.
    #[serde(default)]
    pub result: Option<Box<RawValue>>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// Seconds.
    #[serde(default, deserialize_with = "null_as_default")]
    pub execution_time: f64,
    /// Why it failed, for programs (v2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<ErrorCode>,
}

/// Something a running skill said (v2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Progress {
    /// The call.
    pub request_id: RequestId,
    /// What it said.
    #[serde(flatten)]
    pub update: ProgressUpdate,
}

/// What a running skill said.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProgressUpdate {
    /// A partial result.
    Partial {
        /// Any JSON.
        value: serde_json::Value,
    },
    /// Done out of total.
    Report {
        /// Units done.
        done: u32,
        /// Units in all; 0: not known.
        total: u32,
        /// For people.
        note: String,
    },
}

/// Stop a call (v2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The call.
    pub request_id: RequestId,
    /// For the log.
    #[serde(default, deserialize_with = "null_as_default")]
    pub reason: String,
}

/// What a spore has changed without a reconnect: skills loaded, draining begun (v2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusUpdate {
    /// Who.
    pub node_id: NodeId,
    /// All it has now.
    pub capabilities: Capabilities,
    /// It takes nothing new.
    pub draining: bool,
}

/// Graceful goodbye.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Disconnect {
    /// For the log.
    #[serde(default, deserialize_with = "null_as_default")]
    pub reason: String,
}

/// What was wrong with the peer's last message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// For people.
    #[serde(default, deserialize_with = "null_as_default")]
    pub error: String,
}

/// A payload and the name it travels under.
pub trait Body: Serialize {
    /// `message_type` on the wire.
    const MESSAGE_TYPE: &'static str;
}

macro_rules! bodies {
    ($($type:ty => $name:literal),* $(,)?) => { $(impl Body for $type { const MESSAGE_TYPE: &'static str = $name; })* };
}
bodies! {
    Handshake => "HANDSHAKE",
    Welcome => "WELCOME",
    ExecuteSkill => "EXECUTE_SKILL",
    Heartbeat => "HEARTBEAT",
    Response => "RESPONSE",
    Progress => "PROGRESS",
    Cancel => "CANCEL",
    StatusUpdate => "STATUS",
    Disconnect => "DISCONNECT",
    ErrorReport => "ERROR",
    HiveAsk => "HIVE_ASK",
    HiveAnswer => "HIVE_ANSWER",
    Broadcast => "BROADCAST",
    ReleaseAsk => "RELEASE_ASK",
    ReleaseAnswer => "RELEASE_ANSWER",
    UpdateReport => "UPDATE_REPORT",
}

/// A frame a spore sends.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each variant is the payload of the same name")]
pub enum FromSpore {
    Handshake(Handshake),
    Heartbeat(Heartbeat),
    Response(Response),
    Progress(Progress),
    Status(StatusUpdate),
    Ask(HiveAsk),
    ReleaseAsk(ReleaseAsk),
    UpdateReport(UpdateReport),
    Disconnect(Disconnect),
    Error(ErrorReport),
}

/// A frame a nexus sends.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each variant is the payload of the same name")]
pub enum FromNexus {
    Welcome(Welcome),
    Execute(ExecuteSkill),
    Cancel(Cancel),
    Answer(HiveAnswer),
    Broadcast(Broadcast),
    ReleaseAnswer(ReleaseAnswer),
    Disconnect(Disconnect),
    Error(ErrorReport),
}
