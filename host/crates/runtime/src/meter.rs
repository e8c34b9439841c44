//! How long a guest has run: the time its thread spent in it, waiting not included. It measures and stops
//! nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by whoever polls a guest and by the epoch callback within it. Both are on the same thread while the
/// guest runs, so relaxed order is enough.
#[derive(Debug)]
pub(crate) struct Meter {
    origin: Instant,
    spent: AtomicU64,
    resumed: AtomicU64,
}

impl Meter {
    pub(crate) fn new(origin: Instant) -> Self {
        Self {
            origin,
            spent: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The guest is about to run.
    pub(crate) fn resume(&self) {
        self.resumed.store(self.now(), Ordering::Relaxed);
    }

    /// It does not run any more.
    pub(crate) fn pause(&self) {
        let ran = self.now().saturating_sub(self.resumed.load(Ordering::Relaxed));
        self.spent.fetch_add(ran, Ordering::Relaxed);
    }

    /// Time spent up to the last pause.
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// Time spent up to now; for use while the guest runs.
    pub(crate) fn running_total(&self) -> Duration {
        self.total() + Duration::from_nanos(self.now().saturating_sub(self.resumed.load(Ordering::Relaxed)))
    }
}
