//! What goes into a broker and comes out: plain values.

use std::time::Duration;

use venom_protocol::{ErrorCode, GroupLimits, Lane, NodeId, Priority, SessionId, TaskId, TaskStatus};

/// What a broker is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most tasks that may wait (pending, delayed, blocked together).
    pub max_waiting: u64,
    /// How long an ended task, its progress and its idempotency key are kept.
    pub result_ttl: Duration,
    /// How long a session lives without being renewed; then its leases go back to the queue.
    pub session_ttl: Duration,
    /// Most entries kept of one task's progress; the oldest go first.
    pub max_progress: usize,
    /// First part of every key in Redis, in braces: `{venom}`. One name is one hive.
    pub namespace: String,
    /// Name of the queue of high priorities, part of keys in Redis.
    pub high_queue: String,
    /// Name of the queue of low priorities, part of keys in Redis.
    pub background_queue: String,
    /// Channel of control broadcasts.
    pub broadcast_channel: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_waiting: 2_000_000,
            result_ttl: Duration::from_secs(24 * 3_600),
            session_ttl: Duration::from_secs(5),
            max_progress: 1_000,
            namespace: "venom".to_owned(),
            high_queue: "venom:tasks:high".to_owned(),
            background_queue: "venom:tasks:background".to_owned(),
            broadcast_channel: "venom:broadcast".to_owned(),
        }
    }
}

/// A task to take in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Made by the caller with [`TaskId::next`]. Submitting a known id again changes nothing and is answered as the first
    /// time (`existing` is false), so that a request whose answer was lost can be repeated.
    pub id: TaskId,
    /// Where it waits.
    pub lane: Lane,
    /// How urgent.
    pub priority: Priority,
    /// Time before it may run. Zero: at once. Counted from the end of the last dependency when it has some.
    pub delay: Duration,
    /// So that the same request twice is one task.
    pub idempotency: Option<Idempotency>,
    /// Must complete first: tasks known to the broker or earlier ones of the same batch.
    pub depends_on: Vec<TaskId>,
    /// The task's spec as JSON text, opaque to the broker.
    pub body: String,
}

/// An idempotency key and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Chosen by the submitter.
    pub key: String,
    /// The same for the same task: a digest of what was asked.
    pub fingerprint: String,
}

/// What came of a [`NewTask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The task: the new one, or the one the idempotency key stands for.
    pub id: TaskId,
    /// True: the key stands for another task, submitted before or earlier in the batch, and nothing was added.
    pub existing: bool,
}

/// Work to take, by [`crate::Broker::claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// From which lane.
    pub lane: Lane,
    /// At which priority.
    pub priority: Priority,
    /// At most so many of these.
    pub most: usize,
}

/// What [`crate::Broker::claim`] gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// Leased to the session, in the order of the wants, oldest first in each.
    pub leases: Vec<Lease>,
    /// Wants that have nothing (more) waiting.
    pub empty: Vec<(Lane, Priority)>,
    /// Wants held back by limits of their group, and when to ask again: at the latest when a task of the group
    /// ends.
    pub held_back: Vec<(Lane, Priority, Duration)>,
}

/// The right to run a task, until the session ends it or stops renewing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub id: TaskId,
    /// Fencing token: higher than that of every lease before it on this task.
    pub fence: u64,
    /// 1 for the first run. Runs that were returned do not count.
    pub attempt: u32,
    /// Nodes lost while they ran it.
    pub losses: u32,
    /// Where it waited.
    pub lane: Lane,
    /// How urgent.
    pub priority: Priority,
    /// As submitted.
    pub body: String,
    /// When the task was taken in.
    pub created_at: u64,
    /// Node of the run before this one, when there was one.
    pub last_node: Option<NodeId>,
    /// Results (JSON text) of the tasks it depends on, in no order; those that are no longer kept are missing.
    pub inputs: Vec<(TaskId, String)>,
}

/// The end of a lease, by [`crate::Broker::finish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The task.
    pub id: TaskId,
    /// Of the lease that ends.
    pub fence: u64,
    /// Node that ran it.
    pub node: Option<NodeId>,
    /// When the node began, in ms since 1970.
    pub started_at: u64,
    /// How it ended.
    pub kind: EndingKind,
}

/// How a lease ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndingKind {
    /// The task is done. Dependents that wait for nothing else become pending.
    Completed {
        /// JSON text.
        result: String,
    },
    /// The task failed for good: it is dead-lettered. Dependents fail with it.
    Failed {
        /// For programs.
        code: ErrorCode,
        /// For people.
        error: String,
    },
    /// The task was cancelled. Dependents fail with it.
    Cancelled {
        /// For people.
        reason: String,
    },
    /// The run failed; the task goes back and may run again after the delay.
    Retry {
        /// Zero: at once, before newer work of its priority.
        delay: Duration,
        /// For programs.
        code: ErrorCode,
        /// Why the run failed, shown while it waits.
        error: String,
        /// The node was lost: counted in `losses`. Whoever decides parks a task with too many.
        lost_node: bool,
    },
    /// It was never run: it goes back to the front of its lane, and the attempt does not count.
    Returned,
}

/// What [`crate::Broker::finish`] did about one [`Ending`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is written. A task whose cancellation was asked for meanwhile and that would have gone back is `Cancelled`.
    Written(State),
    /// The lease is no longer the task's (the session was given up, or somebody ended it, or this very ending was told
    /// before): nothing was changed.
    Stale,
}

/// A task that ended or moved because of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent {
    /// Which.
    pub id: TaskId,
    /// What it is now: pending, delayed or failed.
    pub state: State,
}

/// What [`crate::Broker::finish`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// One for each ending, in order.
    pub recorded: Vec<Recorded>,
    /// Tasks that were unblocked, or failed, with them.
    pub dependents: Vec<Dependent>,
}

/// Where a task is, more finely than [`TaskStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for tasks it depends on.
    Blocked,
    /// Waits for its time.
    Delayed,
    /// Waits for a node.
    Pending,
    /// A session has a lease.
    Running,
    /// Ended.
    Completed,
    /// Ended, dead-lettered.
    Failed,
    /// Ended.
    Cancelled,
}

impl State {
    /// As it is shown.
    #[must_use]
    pub const fn status(self) -> TaskStatus {
        match self {
            Self::Blocked => TaskStatus::Blocked,
            Self::Delayed | Self::Pending => TaskStatus::Pending,
            Self::Running => TaskStatus::Running,
            Self::Completed => TaskStatus::Completed,
            Self::Failed => TaskStatus::Failed,
            Self::Cancelled => TaskStatus::Cancelled,
        }
    }

    /// Whether it stays this way.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        self.status().has_ended()
    }
}

/// A task as it is stored. Times are ms since 1970 by the broker's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTask {
    /// Which.
    pub id: TaskId,
    /// Where it is.
    pub state: State,
    /// Where it waits or waited.
    pub lane: Lane,
    /// How urgent.
    pub priority: Priority,
    /// Of the last lease; 0 before the first.
    pub fence: u64,
    /// Runs begun; returned ones do not count.
    pub attempt: u32,
    /// Nodes lost while they ran it.
    pub losses: u32,
    /// As submitted.
    pub body: String,
    /// When it was taken in.
    pub created_at: u64,
    /// When it may run, while it is delayed.
    pub due_at: Option<u64>,
    /// When its last run began: when it was leased, and once that run ended, as its ending told.
    pub started_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// Node of the last run, as far as it was noted.
    pub node: Option<NodeId>,
    /// Session that has the lease, while it runs.
    pub session: Option<SessionId>,
    /// How it ended, or how the last run failed.
    pub outcome: Option<Outcome>,
}

/// How a task, or its last run, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// JSON text.
    Completed(String),
    /// Code and text.
    Failed(ErrorCode, String),
    /// Text.
    Cancelled(String),
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// It had not begun and is cancelled now; these depended on it and failed.
    Now(Vec<Dependent>),
    /// It runs: its session was told and will end it.
    Asked,
    /// It had ended before.
    Ended(State),
    /// There is no such task.
    Unknown,
}

/// What a session tells with [`crate::Broker::renew`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note {
    /// For other sessions to read: opaque text, kept as long as the session.
    pub text: String,
    /// Nodes that tasks run on since the last renewal, so that others can see it.
    pub assigned: Vec<(TaskId, u64, NodeId)>,
    /// Nodes of this session that are new or changed: opaque text for other sessions.
    pub nodes: Vec<(NodeId, String)>,
    /// Nodes that are no longer this session's.
    pub nodes_gone: Vec<NodeId>,
}

/// What [`crate::Broker::renew`] gives back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Renewal {
    /// The session had been given up, or was not known: it is new now, holds no leases, and its nodes must be told
    /// again. What it ran is in the queue again or with others.
    pub fresh: bool,
    /// Its running tasks that somebody wants cancelled.
    pub cancels: Vec<TaskId>,
    /// The other live sessions.
    pub peers: Vec<Peer>,
}

/// A small document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Grows with every change; never 0.
    pub version: u64,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// Another session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Which.
    pub session: SessionId,
    /// Its note.
    pub text: String,
}

/// What [`crate::Broker::tend`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tended {
    /// Delayed tasks that became pending.
    pub promoted: u64,
    /// Leases of dead sessions that went back to the queue.
    pub requeued: Vec<TaskId>,
    /// Sessions that were given up.
    pub sessions_ended: Vec<SessionId>,
    /// Cancelled with their dead session, as somebody had asked.
    pub cancelled: Vec<TaskId>,
    /// Records that could not be read and were put aside.
    pub corrupt: u64,
    /// Until the next delayed task is due.
    pub next_due: Option<Duration>,
}

/// A lane that has work waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Which.
    pub lane: Lane,
    /// At which priority.
    pub priority: Priority,
}

/// Tasks in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Waiting for a node, by priority level.
    pub pending: [u64; 11],
    /// Waiting for their time.
    pub delayed: u64,
    /// Waiting for other tasks.
    pub blocked: u64,
    /// Leased.
    pub running: u64,
    /// Ended well, ever.
    pub completed: u64,
    /// Failed, ever.
    pub failed: u64,
    /// Cancelled, ever.
    pub cancelled: u64,
    /// Failed and not requeued, as far as they are kept.
    pub dead: u64,
}

impl Counts {
    /// All that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.pending.iter().sum::<u64>() + self.delayed + self.blocked
    }
}

/// One group of tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupState {
    /// Its name.
    pub name: String,
    /// Its limits.
    pub limits: GroupLimits,
    /// Running now.
    pub running: u64,
}

/// One entry of a task's progress log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// 1 for the first of the task; never used twice.
    pub seq: u64,
    /// As it was appended: JSON text.
    pub text: String,
}
