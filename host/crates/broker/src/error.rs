//! Why a broker did not do what it was asked.

use std::time::Duration;

use venom_protocol::TaskId;

/// Why a broker did not do what it was asked. Nothing was changed, unless it says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// It cannot be reached now: down, starting, network. What was asked may or may not have been done; ask
    /// again with the same ids.
    #[error("{broker} cannot be reached: {why}")]
    Unavailable {
        /// `redis at host:port` or `sqlite at path`; never with a password.
        broker: String,
        /// Why, with what to do where that is known.
        why: String,
    },
    /// It can be reached and does not let us in: wrong password, missing right, wrong version.
    #[error("{broker} refused: {why}")]
    Refused {
        /// As above.
        broker: String,
        /// Why, with what to do.
        why: String,
    },
    /// No room: memory limit of Redis, full disk.
    #[error("{broker} is full: {why}")]
    OutOfSpace {
        /// As above.
        broker: String,
        /// Why, with what to do.
        why: String,
    },
    /// As many tasks wait as may.
    #[error("{waiting} tasks wait and at most {limit} may, so {asked} more are not taken; try again later")]
    QueueFull {
        /// That wait now.
        waiting: u64,
        /// That may.
        limit: u64,
        /// In the request.
        asked: u64,
    },
    /// Tasks named in `depends_on` that are not there.
    #[error("tasks to depend on are not known (results are kept for {}): {}", human(*kept), list(tasks))]
    UnknownDependency {
        /// Which, at most ten.
        tasks: Vec<TaskId>,
        /// How long results are kept.
        kept: Duration,
    },
    /// An idempotency key that was used for something else.
    #[error("idempotency key `{key}` was used for task {task_id}, which is not the same task")]
    KeyReused {
        /// The key.
        key: String,
        /// The task it stands for.
        task_id: TaskId,
    },
    /// The quota of a cache namespace is used up.
    #[error(
        "quota of cache namespace `{namespace}` leaves no room for {asked} bytes: {used} of {quota} bytes are in use"
    )]
    CacheFull {
        /// Which.
        namespace: String,
        /// Bytes.
        used: u64,
        /// Bytes.
        quota: u64,
        /// Bytes.
        asked: u64,
    },
    /// A record over the limit.
    #[error("record `{name}` would have {asked} bytes, at most {limit} are kept")]
    RecordTooBig {
        /// Which.
        name: String,
        /// Bytes.
        asked: usize,
        /// Bytes.
        limit: usize,
    },
    /// What is stored cannot be read. It was put aside, and the rest goes on.
    #[error("{what} in {broker} cannot be read: {why}")]
    Corrupt {
        /// As above.
        broker: String,
        /// Which record.
        what: String,
        /// Why.
        why: String,
    },
}

impl BrokerError {
    /// Whether the same request may succeed later without anybody doing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::OutOfSpace { .. } | Self::QueueFull { .. } | Self::Refused { .. }
        )
    }
}

/// Refuses a record over the limit, the same on all back ends.
pub(crate) fn check_record(name: &str, bytes: &[u8]) -> Result<(), BrokerError> {
    let (asked, limit) = (bytes.len(), crate::MAX_RECORD_BYTES);
    if asked <= limit {
        return Ok(());
    }
    let name = name.chars().take(80).collect();
    Err(BrokerError::RecordTooBig { name, asked, limit })
}

fn list(tasks: &[TaskId]) -> String {
    let texts: Vec<String> = tasks.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn human(kept: Duration) -> String {
    match kept.as_secs() {
        seconds if seconds >= 7_200 => format!("{} h", seconds / 3_600),
        seconds => format!("{seconds} s"),
    }
}
