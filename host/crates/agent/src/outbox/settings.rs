//! Bounds of the outbox, and what happens at them.

use serde::{Deserialize, Serialize};

/// What happens when a batch does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// The oldest make room, and are counted as dropped.
    #[default]
    Oldest,
    /// The new one is dropped, and counted.
    Newest,
    /// The new one is refused: whoever puts it hears of it.
    Refuse,
}

/// How much may wait, and for how much room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboxSettings {
    /// Bytes on disk, all files of waiting batches together.
    pub max_bytes: u64,
    /// Batches that wait.
    pub max_batches: u64,
    /// What happens when either is reached.
    pub when_full: WhenFull,
    /// Batches the nexus will never take that are kept for people to look at; older ones go. Together they take no more than a quarter of
    /// `max_bytes`.
    pub dead_letters: u64,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        Self {
            max_bytes: 256 * 1024 * 1024,
            max_batches: 50_000,
            when_full: WhenFull::default(),
            dead_letters: 100,
        }
    }
}

/// The least room an outbox can work in.
const LEAST_BYTES: u64 = 64 * 1024;

/// A segment is a sixteenth of the room, within these: what is freed at once is small, and files are few.
const SEGMENT: std::ops::RangeInclusive<u64> = 4 * 1024..=4 * 1024 * 1024;

/// The largest batch, whatever the room: a nexus takes no larger one.
const LARGEST_BATCH: u64 = 8 * 1024 * 1024;

impl OutboxSettings {
    /// What is wrong with them, if anything.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.max_bytes < LEAST_BYTES {
            return Err("`max_bytes` is below 65536");
        }
        if self.max_batches == 0 {
            return Err("`max_batches` is zero");
        }
        Ok(())
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        (self.max_bytes / 16).clamp(*SEGMENT.start(), *SEGMENT.end())
    }

    pub(crate) fn largest_batch(&self) -> u64 {
        LARGEST_BATCH.min(self.max_bytes / 4)
    }

    pub(super) fn dead_bytes(&self) -> u64 {
        self.max_bytes / 4
    }
}
