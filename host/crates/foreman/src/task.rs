//! What goes into the foreman about a task, and what comes out. Plain values; the rules are elsewhere.

use std::time::Duration;

use venom_protocol::{Backoff, ErrorCode, Lane, NodeId, Placement, Priority, RequestId, TaskId};

/// A leased task to place. What the node must have is read from its lane.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskOrder {
    /// New for each run: the call that carries it.
    pub request_id: RequestId,
    /// The task.
    pub task_id: TaskId,
    /// Fencing token of the lease.
    pub fence: u64,
    /// 1 for the first run. Runs whose node was lost count, runs that were returned do not.
    pub attempt: u32,
    /// Nodes lost while they ran it.
    pub losses: u32,
    /// Runs after the first, when it fails.
    pub max_retries: u32,
    /// Where it waited.
    pub lane: Lane,
    /// How urgent.
    pub priority: Priority,
    /// How to choose among the nodes that fit.
    pub placement: Placement,
    /// How long to wait between runs.
    pub backoff: Backoff,
    /// Time one run may take.
    pub timeout: Duration,
    /// Node of the run before: chosen only when no other that fits has room.
    pub avoid: Option<NodeId>,
}

/// How a node says that a call ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CallReport {
    /// The skill did its work.
    pub success: bool,
    /// Why not, for programs. v1 peers do not say.
    pub code: Option<ErrorCode>,
    /// Why not, for people.
    pub error: Option<String>,
    /// Time the skill took by the node's clock.
    pub seconds: f64,
}

impl CallReport {
    /// A call that did its work in no time.
    #[must_use]
    pub fn success() -> Self {
        Self {
            success: true,
            ..Self::default()
        }
    }

    /// A call that failed in no time.
    #[must_use]
    pub fn failure(code: ErrorCode, error: &str) -> Self {
        Self {
            success: false,
            code: Some(code),
            error: Some(error.to_owned()),
            seconds: 0.0,
        }
    }

    /// Why it failed; none when it did not.
    pub(crate) fn failed_with(&self) -> Option<ErrorCode> {
        (!self.success).then(|| self.code.unwrap_or(ErrorCode::SkillFailed))
    }
}

/// How a lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The response that just came is its result.
    Complete,
    /// For good.
    Fail {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// It goes back and may run again.
    Retry {
        /// After this; zero is at once.
        delay: Duration,
        /// Why the run failed, for programs.
        code: ErrorCode,
        /// Why the run failed, for people.
        message: String,
        /// The node was lost: counts as a loss and uses up no retry.
        lost_node: bool,
    },
    /// Somebody wanted it stopped.
    Cancel {
        /// For people.
        reason: String,
    },
    /// Its skill never began: it goes back to the front, and the run does not count.
    Return,
}
