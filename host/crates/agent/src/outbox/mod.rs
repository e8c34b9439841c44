//! What was seen, on disk until the nexus has it. Blocks; from async code, use it on a blocking thread.
//!
//! A batch that was put is on the disk when `put` returns, with a key the nexus counts it by. It leaves in one of four ways: delivered,
//! dropped for want of room, refused by the nexus for good, damaged by the disk; each but the first is counted for good and reported
//! with every heartbeat. Nothing else ends a batch: not time, not failures, not a crash.

mod batch;
mod dead;
mod error;
mod open;
mod queue;
mod record;
mod segments;
mod settings;
mod settled;
mod store;
mod tally;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use venom_protocol::Timestamp;

use crate::disk::Disk;
use store::Store;

pub use batch::{Batch, BatchKey, BatchKind};
pub use error::{OutboxError, PutError};
pub use settings::{OutboxSettings, WhenFull};
pub use tally::{OutboxReport, OutboxTally};

/// Its directory in the data directory.
pub const OUTBOX_DIRECTORY: &str = "outbox";

/// An open outbox; clones are the same one.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    store: Mutex<Store>,
    /// Read without waiting for the disk.
    report: Mutex<OutboxReport>,
    /// Something was put.
    put: Notify,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outbox").field(&self.report()).finish()
    }
}

impl Outbox {
    /// Opens the outbox in a directory of its own, or makes one.
    ///
    /// # Errors
    /// When another process has it, a newer agent wrote it, or the disk says no; never for what a crash left.
    pub fn open(directory: &Path, settings: OutboxSettings, disk: Arc<dyn Disk>) -> Result<Self, OutboxError> {
        let store = Store::open(directory, settings, disk)?;
        let report = store.report();
        Ok(Self(Arc::new(Inner {
            store: Mutex::new(store),
            report: Mutex::new(report),
            put: Notify::new(),
        })))
    }

    /// Keeps a batch (JSON). It is on the disk when this returns.
    ///
    /// # Errors
    /// When there is no room or the disk says no; that is counted, and nothing that was there is harmed.
    pub fn put(&self, kind: BatchKind, body: &[u8], now: Timestamp) -> Result<BatchKey, PutError> {
        let put = self.change(|store| store.put(kind, body, now));
        if put.is_ok() {
            self.0.put.notify_one();
        }
        put
    }

    /// Waits until something was put since this was waited for last. For one that waits.
    pub async fn put_since(&self) {
        self.0.put.notified().await;
    }

    /// The batch whose turn it is: oldest and fresh in turns. It has no other turn until `done`, `refuse` or `postpone`. `steady` is any
    /// clock that never goes back.
    #[must_use]
    pub fn next(&self, now: Timestamp, steady: Duration) -> Option<Batch> {
        self.change(|store| store.next(now, steady))
    }

    /// The nexus has it. One that is not known is no error.
    ///
    /// # Errors
    /// When that cannot be written down now: it is not sent again, unless the process ends before the disk takes it.
    pub fn done(&self, key: &BatchKey) -> Result<(), OutboxError> {
        self.change(|store| store.done(key).map_err(|source| not_written(store, source)))
    }

    /// The nexus will never take it: it goes to the dead letters.
    ///
    /// # Errors
    /// When the disk says no; postpone it then.
    pub fn refuse(&self, key: &BatchKey, why: &str, now: Timestamp) -> Result<(), OutboxError> {
        self.change(|store| store.refuse(key, why, now).map_err(|source| not_written(store, source)))
    }

    /// It was not taken now: its next turn is not before `until` on the steady clock.
    pub fn postpone(&self, key: &BatchKey, until: Duration) {
        self.change(|store| store.queue.postpone(key, until));
    }

    /// When the next batch is ready, on the steady clock; none while none waits.
    #[must_use]
    pub fn ready_at(&self) -> Option<Duration> {
        self.store().queue.ready_at()
    }

    /// How it stands. Never waits for the disk.
    #[must_use]
    pub fn report(&self) -> OutboxReport {
        *self.0.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store();
        let answer = change(&mut store);
        *self.0.report.lock().unwrap_or_else(PoisonError::into_inner) = store.report();
        answer
    }
}

fn not_written(store: &Store, source: std::io::Error) -> OutboxError {
    OutboxError::Disk {
        directory: store.directory.clone(),
        doing: "written",
        source,
    }
}
