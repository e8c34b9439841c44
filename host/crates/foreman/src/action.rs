//! What the foreman wants done. The driver carries the actions out in order.

use venom_protocol::{ErrorCode, NodeId, RequestId, TaskId};

use crate::LinkId;
use crate::task::Settlement;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write `EXECUTE_SKILL` to the link: of a call, or of a task's run.
    SendCall {
        /// Which call.
        request_id: RequestId,
        /// Node chosen.
        node_id: NodeId,
        /// Its link.
        link: LinkId,
    },
    /// The call goes nowhere; tell the caller. Ends the call.
    RejectCall {
        /// Which call.
        request_id: RequestId,
        /// Why.
        rejection: Rejection,
    },
    /// The response is genuine: hand it to the caller. A response without this action is late or forged
    /// and must be dropped. Ends the call.
    CompleteCall {
        /// Which call.
        request_id: RequestId,
        /// Who answered.
        node_id: NodeId,
    },
    /// Tell the caller that the call failed. Ends the call.
    FailCall {
        /// Which call.
        request_id: RequestId,
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// The lease ends this way: tell the broker, drop what was kept of the task.
    SettleTask {
        /// Call that carried the run, or would have.
        request_id: RequestId,
        /// The task.
        task_id: TaskId,
        /// Of the lease.
        fence: u64,
        /// Node it was sent to.
        node_id: Option<NodeId>,
        /// How.
        settlement: Settlement,
    },
    /// Ask the node for a sign of life: a WebSocket ping.
    PingLink {
        /// Its link.
        link: LinkId,
    },
    /// Write `CANCEL` to the link (never asked for a v1 peer). The call is over, or, for a task somebody wants
    /// stopped, its answer is awaited for the grace time.
    CancelCall {
        /// Which call.
        request_id: RequestId,
        /// Where it runs.
        link: LinkId,
    },
    /// Close the socket.
    CloseLink {
        /// Which.
        link: LinkId,
        /// WebSocket close code.
        code: u16,
        /// Close reason, at most 123 bytes.
        reason: String,
    },
    /// A node registered over this link (new, back, or over a newer link): greet a v2 peer, tell the world.
    NodeOnline {
        /// Which.
        node_id: NodeId,
        /// Its link.
        link: LinkId,
        /// It was online over an older link, which this one replaces.
        replaced: Option<LinkId>,
    },
    /// A node said something new about its skills, tags or machine.
    NodeChanged {
        /// Which.
        node_id: NodeId,
    },
    /// A node left or fell silent. It stays listed.
    NodeOffline {
        /// Which.
        node_id: NodeId,
        /// For people.
        reason: String,
    },
    /// A node takes nothing new from now on.
    NodeDraining {
        /// Which.
        node_id: NodeId,
        /// Calls still running on it.
        in_flight: u32,
    },
    /// A draining node has finished its last call.
    NodeDrained {
        /// Which.
        node_id: NodeId,
    },
    /// A node that drained takes calls again.
    NodeResumed {
        /// Which.
        node_id: NodeId,
    },
    /// An old offline node is no longer listed, since there are more than the settings keep.
    NodeForgotten {
        /// Which.
        node_id: NodeId,
    },
    /// A second process came with the id of a live node and was refused. For the audit log.
    CloneAlarm {
        /// The id both use.
        node_id: NodeId,
        /// Link of the one refused (a `CloseLink` for it follows).
        link: LinkId,
        /// Name the refused one gave.
        name: String,
    },
}

/// Why a call goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No node with that id was ever seen.
    #[error("no such node is known; list the nodes for those that are")]
    UnknownNode,
    /// The node is not connected.
    #[error("the node is offline")]
    Offline,
    /// The node takes nothing new.
    #[error("the node is draining and takes no new calls")]
    Draining,
    /// The node (or, for `Best`, no node online) has the skill.
    #[error("no such skill there; known: {}", list(known))]
    UnknownSkill {
        /// Skills that are there, sorted, at most [`Rejection::KNOWN_SKILLS_LISTED`].
        known: Vec<String>,
    },
    /// Nodes have the skill, but none meets the requirements.
    #[error("{why}")]
    NoneFits {
        /// Which requirement leaves none.
        why: String,
    },
    /// All that fit have as many calls as they take.
    #[error("every node that fits is at its limit of calls; try again later")]
    Full,
}

impl Rejection {
    /// Most skills that [`Rejection::UnknownSkill`] lists.
    pub const KNOWN_SKILLS_LISTED: usize = 50;

    /// The code a program sees.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownNode => ErrorCode::NotFound,
            Self::Offline | Self::NoneFits { .. } => ErrorCode::Unavailable,
            Self::Draining => ErrorCode::Draining,
            Self::UnknownSkill { .. } => ErrorCode::UnknownSkill,
            Self::Full => ErrorCode::Busy,
        }
    }
}

fn list(known: &[String]) -> String {
    if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    }
}
