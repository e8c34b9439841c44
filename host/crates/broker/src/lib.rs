//! Where tasks, results, groups, the shared cache, small documents and broadcasts live. One [`Broker`] trait, two back ends:
//! [`sqlite`], embedded, for one nexus; [`redis`], for several. A broker keeps the books and decides
//! nothing: which work to take, where it runs and when it is tried again is for the foreman.
//!
//! Promises, the same on both back ends and held by the conformance suite in `tests/laws`:
//! - what was accepted is there after a crash, and ends once: as completed, failed or cancelled;
//! - a task has at most one live lease; each lease has a fencing token higher than the one before, and an
//!   ending with an older token changes nothing;
//! - the leases of a session that stopped renewing go back to the queue, before newer work of their priority;
//! - hints may be lost; whoever hears none finds everything by asking.

mod broker;
mod error;
mod hint;
pub mod redis;
pub mod sqlite;
mod task;

pub use broker::{Answer, Broker, MAX_RECORD_BYTES};
pub use error::BrokerError;
pub use hint::Hint;
pub use task::{
    Cancelled, Claim, Counts, Dependent, Ending, EndingKind, GroupState, Idempotency, Lease, NewTask, Note, Outcome,
    Peer, Progress, Ready, Record, Recorded, Renewal, Settings, Settled, State, StoredTask, Submitted, Tended, Want,
};
