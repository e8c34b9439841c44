//! The trait. Every method is one atomic step on the store: done as a whole or not at all.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use venom_protocol::{GroupLimits, NodeId, SessionId, TaskId};

use crate::{
    BrokerError, Cancelled, Claim, Counts, Ending, GroupState, Hint, NewTask, Note, Progress, Ready, Record, Renewal,
    Settings, Settled, State, StoredTask, Submitted, Tended, Want,
};

/// Most bytes of one record.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Result of everything a broker does.
pub type Answer<T> = Result<T, BrokerError>;

/// Where tasks live. See the crate.
///
/// Methods may be called at the same time from many tasks; a back end gathers what is ready together into one
/// transaction or pipeline. Dropping a future does not undo what it asked for.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// `sqlite` or `redis`.
    fn kind(&self) -> &'static str;

    /// Where it is, without passwords: for messages.
    fn place(&self) -> String;

    /// As given at its start.
    fn settings(&self) -> &Settings;

    /// A round trip to the store and back.
    async fn check(&self) -> Answer<()>;

    /// What is said unasked from now on. A receiver that falls behind must look at everything.
    fn hints(&self) -> broadcast::Receiver<Hint>;

    /// Takes all tasks or none; answers in their order.
    async fn submit(&self, tasks: Vec<NewTask>) -> Answer<Vec<Submitted>>;

    /// Leases waiting tasks to a live session: for each want in turn up to its `most`, never more than `total` in
    /// all, within the limits of groups (a rate is a bucket that holds one second's worth, at least one task). A session
    /// that is not live gets nothing and an empty `Claim`. When the answer was lost, the session has leases that it
    /// does not know of: it finds them with `list(State::Running)` and gives them back.
    async fn claim(&self, session: SessionId, wants: Vec<Want>, total: usize) -> Answer<Claim>;

    /// Ends leases.
    async fn finish(&self, session: SessionId, endings: Vec<Ending>) -> Answer<Settled>;

    /// Keeps a session and with it all its leases, for another `session_ttl`. The first renewal begins it.
    async fn renew(&self, session: SessionId, note: Note) -> Answer<Renewal>;

    /// Ends a session in good order: leases it still has go back as [`crate::EndingKind::Returned`].
    async fn leave(&self, session: SessionId) -> Answer<()>;

    /// Does what time brings: delayed tasks that are due, dead sessions, what has been kept long enough. Any nexus may
    /// do it at any time; bounded work each time.
    async fn tend(&self) -> Answer<Tended>;

    /// Lanes with work waiting, at most `limit`, the highest priorities first.
    async fn ready(&self, limit: usize) -> Answer<Vec<Ready>>;

    /// Takes a task back.
    async fn cancel(&self, task: TaskId) -> Answer<Cancelled>;

    /// Puts a failed or cancelled task back, as new: attempts and losses count from zero. It waits for those of its
    /// dependencies that have not ended; that others failed does not hold it any more. False: it is not there or did
    /// not fail.
    async fn requeue(&self, task: TaskId) -> Answer<bool>;

    /// Tasks in the order asked; none where there is no such task.
    async fn tasks(&self, ids: Vec<TaskId>) -> Answer<Vec<Option<StoredTask>>>;

    /// Tasks in this state, at most `limit`: ended ones the latest first, others the oldest first as far as that is
    /// known. `Failed` lists dead letters.
    async fn list(&self, state: State, limit: usize) -> Answer<Vec<StoredTask>>;

    /// Tasks in numbers.
    async fn counts(&self) -> Answer<Counts>;

    /// Appends to the progress logs of tasks; gives the number of each entry. Entries of unknown tasks get 0.
    async fn append_progress(&self, session: SessionId, entries: Vec<(TaskId, String)>) -> Answer<Vec<u64>>;

    /// Progress of a task after `seq`, oldest first, at most `limit`.
    async fn progress(&self, task: TaskId, after: u64, limit: usize) -> Answer<Vec<Progress>>;

    /// Sets or (`None`) removes the limits of a group.
    async fn limit_group(&self, name: &str, limits: Option<GroupLimits>) -> Answer<()>;

    /// Groups that have limits or running tasks.
    async fn groups(&self) -> Answer<Vec<GroupState>>;

    /// Nodes of the other live sessions, as they were noted.
    async fn nodes(&self, session: SessionId) -> Answer<Vec<(SessionId, NodeId, String)>>;

    /// Sends a message to one other session or, with `None`, to all. Lossy; false: nobody was there to hear it.
    async fn send(&self, from: SessionId, to: Option<SessionId>, text: String) -> Answer<bool>;

    /// Puts a text on the broadcast channel. It comes back as a hint here too.
    async fn broadcast(&self, text: String) -> Answer<()>;

    /// Value of a cache entry, and how long it lives on.
    async fn cache_get(&self, namespace: &str, key: &str) -> Answer<Option<(Vec<u8>, Duration)>>;

    /// Writes a cache entry. Keys, values and 64 bytes an entry count to the quota of the namespace; entries whose time
    /// is up do not.
    async fn cache_set(&self, namespace: &str, quota: u64, key: &str, value: Vec<u8>, ttl: Duration) -> Answer<()>;

    /// Removes a cache entry; true when there was one.
    async fn cache_delete(&self, namespace: &str, key: &str) -> Answer<bool>;

    /// Keys of a namespace, sorted, at most `limit`.
    async fn cache_keys(&self, namespace: &str, limit: usize) -> Answer<Vec<String>>;

    /// A small document, as it is now.
    async fn record(&self, name: &str) -> Answer<Option<Record>>;

    /// Writes a document, if it still has the version that was seen last (0: there was none). False: it has another, and
    /// nothing was changed. When the answer was lost, asking again is answered with false although it was written: whoever
    /// finds its own bytes then has written them. At most [`MAX_RECORD_BYTES`].
    async fn put_record(&self, name: &str, bytes: Vec<u8>, expected_version: u64) -> Answer<bool>;

    /// Removes a document; true when there was one. Its versions are not used again.
    async fn remove_record(&self, name: &str) -> Answer<bool>;
}
