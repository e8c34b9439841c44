//! What the outbox lost or refused, ever. Kept in `tally.json`; what segments that are still there say is added to it.

use serde::{Deserialize, Serialize};
use venom_protocol::OutboxStatus;

use super::settled::Outcome;

/// Its name in the outbox's directory.
pub(super) const TALLY_FILE: &str = "tally.json";

/// Counted since the outbox was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutboxTally {
    /// Batches dropped for want of room.
    pub dropped: u64,
    /// Batches the nexus will never take, put aside.
    pub dead: u64,
    /// Batches that can no longer be read.
    pub damaged: u64,
    /// Ends of segments that a crash left half written, and were cut off.
    pub torn: u64,
    /// Batches that were refused because there was no room for them.
    pub refused: u64,
    /// Batches that could not be written.
    pub failed: u64,
}

impl OutboxTally {
    /// One more that ended so.
    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Delivered => {}
            Outcome::Dropped => self.dropped = self.dropped.saturating_add(1),
            Outcome::Dead => self.dead = self.dead.saturating_add(1),
            Outcome::Damaged => self.damaged = self.damaged.saturating_add(1),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.dropped, other.dropped),
            (&mut self.dead, other.dead),
            (&mut self.damaged, other.damaged),
            (&mut self.torn, other.torn),
            (&mut self.refused, other.refused),
            (&mut self.failed, other.failed),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TallyFile {
    /// Without what segments say that are still there.
    pub(super) base: OutboxTally,
    /// Segments that are about to be removed, and whose share `base` has already.
    pub(super) folded: Vec<u64>,
}

/// How the outbox stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxReport {
    /// Batches that wait.
    pub waiting: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Bytes on disk.
    pub on_disk: u64,
    /// What was lost or refused, ever.
    pub tally: OutboxTally,
}

impl From<OutboxReport> for OutboxStatus {
    fn from(report: OutboxReport) -> Self {
        Self {
            waiting: report.waiting,
            bytes: report.bytes,
            dropped: report.tally.dropped,
            dead: report.tally.dead,
            damaged: report.tally.damaged,
            refused: report.tally.refused.saturating_add(report.tally.failed),
        }
    }
}
