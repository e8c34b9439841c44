//! What a broker says unasked. Hints are lossy on purpose: nothing depends on hearing one, only how soon.

use venom_protocol::{Lane, Priority, SessionId, TaskId};

/// Something happened. From any nexus that shares the broker, this one included unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// There is work where there may have been none.
    Ready(Vec<(Lane, Priority)>),
    /// These tasks ended (completed, failed or cancelled). Of other sessions only.
    Ended(Vec<TaskId>),
    /// Somebody wants this running task stopped. Sent when another session holds it, or nobody knows who.
    Cancel(TaskId),
    /// This task has new progress. Of other sessions only.
    Progress(TaskId),
    /// A message of another session to this one or to all.
    Message {
        /// Who sent it.
        from: SessionId,
        /// As it was given to [`crate::Broker::send`].
        text: String,
    },
    /// A text on the broadcast channel, from anybody.
    Broadcast(String),
    /// Hints may have been missed: look at everything.
    Resync,
}
