//! What the driver tells the foreman. Events are facts; the foreman never asks back.

use std::fmt;
use std::time::Duration;

use venom_protocol::{Capabilities, NodeId, RequestId, Requirements, TaskId};

use crate::task::{CallReport, TaskOrder};

/// A point in time: since an origin the caller chose, on a clock that never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// How long before `self` the `earlier` moment was; zero when it was not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// One WebSocket session, numbered by the driver and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// Where a call is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This node and no other. Its credits are not looked at: the spore queues or answers `busy`.
    Node(NodeId),
    /// The least loaded of those that fit and have credits.
    Best(Requirements),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A handshake passed validation and authentication. A link registers once: a second one is ignored.
    NodeConnected {
        /// The new session.
        link: LinkId,
        /// The spore's own id.
        node_id: NodeId,
        /// For people.
        name: String,
        /// What it has.
        capabilities: Capabilities,
        /// Swarm protocol agreed upon (1 or 2).
        protocol: u32,
        /// Calls it runs at one time, when it said so.
        concurrency: Option<u32>,
        /// New for each start of the process (v2).
        boot_id: Option<String>,
    },
    /// Any sign of life: a frame or a WebSocket pong.
    FrameSeen {
        /// From where.
        link: LinkId,
    },
    /// A `HEARTBEAT`. Counts as a sign of life too.
    Heartbeat {
        /// From where.
        link: LinkId,
        /// 0..1.
        cpu: f64,
        /// 0..1.
        memory: f64,
        /// Calls it says it runs.
        active_tasks: u32,
        /// Calls it would take beside those; none: it did not say.
        credits: Option<u32>,
    },
    /// A `STATUS` (v2).
    StatusChanged {
        /// From where.
        link: LinkId,
        /// All it has now.
        capabilities: Capabilities,
        /// It takes nothing new.
        draining: bool,
    },
    /// A `DISCONNECT`: the node takes nothing new from now on and counts as offline, but the link is still
    /// open and may answer what runs. [`Event::LinkClosed`] follows.
    NodeLeft {
        /// From where.
        link: LinkId,
        /// For the log.
        reason: String,
    },
    /// The socket is gone.
    LinkClosed {
        /// Which.
        link: LinkId,
        /// A goodbye came before.
        graceful: bool,
        /// For the log.
        reason: String,
    },
    /// An operator wants the node to take nothing new. Holds over reconnects.
    DrainRequested {
        /// Which.
        node_id: NodeId,
    },
    /// The operator's drain is over.
    UndrainRequested {
        /// Which.
        node_id: NodeId,
    },
    /// Somebody wants a skill run. An id already in flight is ignored.
    CallRequested {
        /// New for each call.
        request_id: RequestId,
        /// Where.
        target: Target,
        /// Name of the skill.
        skill: String,
    },
    /// A `RESPONSE` came. Believed only from the node the call went to.
    CallFinished {
        /// From where.
        link: LinkId,
        /// Which.
        request_id: RequestId,
        /// What it says.
        report: CallReport,
    },
    /// A call waits for the hive and leaves its credit to others meanwhile.
    CallYielded {
        /// From where.
        link: LinkId,
        /// Which.
        request_id: RequestId,
    },
    /// A call that waited goes on.
    CallResumed {
        /// From where.
        link: LinkId,
        /// Which.
        request_id: RequestId,
    },
    /// The driver's deadline for the call passed.
    CallTimedOut {
        /// Which.
        request_id: RequestId,
    },
    /// The caller went away, or the call could not be written to the link. A task goes back.
    CallAbandoned {
        /// Which.
        request_id: RequestId,
    },
    /// The broker leased a task to this nexus. Ends in exactly one [`crate::Action::SettleTask`], unless
    /// [`Event::LeasesLost`] comes first. A lease that is already here is ignored.
    TaskLeased(Box<TaskOrder>),
    /// Somebody wants a leased task stopped.
    TaskCancelRequested {
        /// Which.
        task_id: TaskId,
    },
    /// The session of this nexus was given up: all leases so far are others'. What runs is cancelled, nothing is
    /// settled.
    LeasesLost,
    /// Time went on. Send one several times in each of the time limits of the settings; every quarter of a second is fine.
    Tick,
}
