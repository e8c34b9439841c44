//! What is known of the calls of one loaded skill: how many run, and how those that ended went. A new version is watched
//! by it before it is trusted to stay.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How the calls of a skill went since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Calls that ended. Those that were refused, cancelled by their caller or had wrong parameters do not count.
    pub calls: u64,
    /// Those of them that failed, for whatever reason.
    pub failures: u64,
    /// Those of them that crashed: a trap, or a budget used up.
    pub traps: u64,
    /// Calls that run or wait for their turn now.
    pub in_flight: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Record {
    calls: AtomicU64,
    failures: AtomicU64,
    traps: AtomicU64,
    in_flight: AtomicU32,
}

impl Record {
    pub(crate) fn health(&self) -> Health {
        Health {
            calls: self.calls.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            traps: self.traps.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
        }
    }
}
