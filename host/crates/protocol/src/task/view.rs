//! Tasks, queues, groups and the cluster as REST shows them (CONTRACTS, hive).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::spec::Placement;
use crate::{ErrorCode, NodeId, NodeView, Priority, Requirements, TaskId, Timestamp};

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TaskStatus {
    /// Waits for tasks it depends on.
    Blocked,
    /// Waits for its time or for a node.
    Pending,
    /// A node has it.
    Running,
    /// Ended well; there is a result.
    Completed,
    /// Ended badly; there is an error. It can be requeued.
    Failed,
    /// Somebody took it back.
    Cancelled,
}

impl TaskStatus {
    /// Whether it stays this way.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// As on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a task runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskPayload {
    /// Skill.
    pub skill_name: String,
    /// Method.
    pub method_name: String,
    /// Parameters as submitted: references to results are not replaced.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub parameters: Box<RawValue>,
}

/// A task as REST shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskView {
    /// The task.
    pub task_id: TaskId,
    /// The submitter's word, else `SKILL.METHOD`.
    pub task_type: String,
    /// What it runs.
    pub payload: TaskPayload,
    /// How urgent.
    pub priority: Priority,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// Seconds one run may take.
    pub timeout: f64,
    /// Runs after the first, when it fails.
    pub max_retries: u32,
    /// Runs begun so far: 0 before the first.
    pub attempt: u32,
    /// Node that has it, or had it last.
    pub assigned_node: Option<NodeId>,
    /// Begin of the last run.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it may run, for one that waits for its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Its answer.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub result: Option<Box<RawValue>>,
    /// Why it failed, or why the last run did.
    pub error: Option<String>,
    /// The same, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<ErrorCode>,
    /// Where it is.
    pub status: TaskStatus,
    /// What the node must have.
    pub requirements: Requirements,
    /// How the node is chosen.
    #[serde(default)]
    pub placement: Placement,
    /// Group whose limits apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Tasks that must complete first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskId>,
    /// Nodes that were lost while they ran it.
    #[serde(default)]
    pub losses: u32,
}

/// `GET /api/v1/tasks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskList {
    /// Tasks in this answer.
    pub count: usize,
    /// The tasks: those that ended, the latest first; others, the oldest first.
    pub tasks: Vec<TaskView>,
}

/// `GET /api/v1/queues`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueStats {
    /// Tasks of priority 6 and more that wait for a node.
    pub high_priority_queue: u64,
    /// Tasks of lower priority that wait for a node.
    pub background_queue: u64,
    /// Tasks that wait: for a node, for their time, for other tasks.
    pub tasks_pending: u64,
    /// Of those, waiting for their time.
    pub tasks_delayed: u64,
    /// Of those, waiting for other tasks.
    pub tasks_blocked: u64,
    /// Tasks that nodes have.
    pub tasks_running: u64,
    /// Ended well, since the broker was set up.
    pub tasks_completed: u64,
    /// Ended badly, since the broker was set up.
    pub tasks_failed: u64,
    /// Taken back, since the broker was set up.
    pub tasks_cancelled: u64,
    /// Failed tasks that can be requeued.
    pub dead_letters: u64,
    /// Most tasks that may wait before new ones are refused (429).
    pub limit: u64,
    /// Groups that have limits or tasks.
    pub groups: Vec<GroupView>,
}

/// Limits of a group of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupLimits {
    /// Most that run at one time, over the whole hive; absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Most that begin in a second, over the whole hive; absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

impl Eq for GroupLimits {}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Its limits.
    #[serde(flatten)]
    pub limits: GroupLimits,
    /// Running now.
    pub running: u64,
}

/// `GET /api/v1/cluster`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClusterStatus {
    /// Nodes online, on all nexuses.
    pub online_nodes: usize,
    /// Nodes listed.
    pub total_nodes: usize,
    /// 0..1, over the nodes online.
    pub avg_cpu_usage: f64,
    /// 0..1, over the nodes online.
    pub avg_memory_usage: f64,
    /// Calls and tasks running.
    pub total_active_tasks: u64,
    /// All nodes.
    pub nodes: Vec<NodeView>,
    /// Nexuses that share the broker, this one included.
    pub nexuses: usize,
    /// `sqlite` or `redis`.
    pub broker: String,
}

/// A control broadcast on `venom:broadcast`, and over links.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ControlBroadcast {
    /// `UPDATE_SYSTEM`, `SHUTDOWN` or `STATUS`.
    pub command: String,
    /// By command.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: Value,
    /// When it was sent, by its sender's clock.
    #[serde(default = "Timestamp::now")]
    pub timestamp: Timestamp,
}

/// An entry of the shared cache, as REST shows it: `GET /api/v1/cache/{namespace}/{key}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CacheEntry {
    /// Namespace: a skill's name, or one shared by grant.
    pub namespace: String,
    /// Key.
    pub key: String,
    /// The value as text; absent when it is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The value in base64.
    pub base64: String,
    /// Seconds left.
    pub ttl: u64,
}
