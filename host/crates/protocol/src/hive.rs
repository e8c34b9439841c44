//! What a skill asks of the hive through its spore and the link (v2): tasks for other skills, and the shared
//! cache. Grants and budgets are checked on the spore before anything is asked; depth, ownership and quota on
//! the nexus.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{RequestId, TaskId, Timestamp};

/// Which task a call belongs to, and where it stands in a chain of skills that submit skills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRun {
    /// The task.
    pub task_id: TaskId,
    /// 1 for the first run.
    pub attempt: u32,
    /// 0 when a person submitted it.
    #[serde(default)]
    pub depth: u32,
}

/// A question of a running skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiveAsk {
    /// Numbered by the spore, unique on its link; the answer carries it.
    pub ask_id: u64,
    /// The call that asks.
    pub request_id: RequestId,
    /// The skill that asks: it owns what it submits.
    pub skill: String,
    /// What it asks.
    pub question: HiveQuestion,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HiveQuestion {
    /// Submit all or none.
    Submit {
        /// The tasks.
        tasks: Vec<HiveTask>,
        /// The asking call's `traceparent`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceparent: Option<String>,
    },
    /// Wait until all have ended. The asking call gives its slot to others meanwhile.
    Await {
        /// Tasks of the same skill.
        task_ids: Vec<String>,
        /// Seconds.
        timeout: f64,
    },
    /// Where a task is now.
    Status {
        /// A task of the same skill.
        task_id: String,
    },
    /// Read a value.
    CacheGet {
        /// Where.
        #[serde(flatten)]
        at: CacheKey,
    },
    /// Write a value.
    CacheSet {
        /// Where.
        #[serde(flatten)]
        at: CacheKey,
        /// Most bytes of the namespace's keys and values together.
        quota: u64,
        /// Base64.
        value: String,
        /// Milliseconds to live.
        ttl_ms: u64,
    },
    /// Remove a value.
    CacheDelete {
        /// Where.
        #[serde(flatten)]
        at: CacheKey,
    },
    /// Time left of a value.
    CacheTtl {
        /// Where.
        #[serde(flatten)]
        at: CacheKey,
    },
}

/// A place in the shared cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheKey {
    /// The skill's own name, or one shared by grant.
    pub namespace: String,
    /// Chosen by the skill.
    pub key: String,
}

/// One task a skill submits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiveTask {
    /// Skill to run.
    pub skill: String,
    /// Its method.
    pub method: String,
    /// JSON text of an object.
    pub params: String,
    /// `0`..`10`, `high_priority` or `background`; empty: background.
    #[serde(default)]
    pub priority: String,
    /// Seconds one run may take; absent: the hive's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiveAnswer {
    /// The question.
    pub ask_id: u64,
    /// What came of it.
    pub reply: HiveReply,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HiveReply {
    /// Submitted, in order.
    Submitted {
        /// The tasks.
        task_ids: Vec<TaskId>,
    },
    /// States in the order asked, of `Await` and `Status`.
    Outcomes {
        /// One each.
        outcomes: Vec<HiveTaskState>,
    },
    /// Of `CacheGet`.
    Value {
        /// Base64; none when there is no such entry.
        value: Option<String>,
    },
    /// Of `CacheSet` (true) and `CacheDelete` (whether there was one).
    Done {
        /// See above.
        existed: bool,
    },
    /// Of `CacheTtl`.
    Ttl {
        /// Milliseconds left; none when there is no such entry.
        left_ms: Option<u64>,
    },
    /// It was not done.
    Refused {
        /// Why, for programs.
        refusal: HiveRefusal,
        /// Why, for people.
        reason: String,
    },
}

/// Why a question was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiveRefusal {
    /// Something is not there now.
    Unavailable,
    /// The thing asked for does not exist.
    NotFound,
    /// A quota or depth is used up.
    Limit,
    /// The question is wrong.
    Invalid,
}

/// The state of one task, for the skill that submitted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiveTaskState {
    /// The task.
    pub task_id: String,
    /// `pending`, `running`, `completed`, `failed`, `cancelled` or `blocked`.
    pub status: String,
    /// JSON text, when completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why, when failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A control broadcast over the link, for spores that cannot hear Redis (v2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Broadcast {
    /// `UPDATE_SYSTEM`, `SHUTDOWN`, `STATUS`, or [`Broadcast::AGENT_COMMANDS`] to one agent.
    pub command: String,
    /// By command.
    #[serde(default)]
    pub data: Value,
    /// When it was sent first: with command and data it tells a second copy from a new broadcast.
    pub sent_at: Timestamp,
}

impl Broadcast {
    /// To an agent that is linked as a spore: a command waits for it. A hint, by a link only; what waits it asks by REST.
    pub const AGENT_COMMANDS: &'static str = "AGENT_COMMANDS";
}
