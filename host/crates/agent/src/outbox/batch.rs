//! One batch: what was seen, on its way to the nexus.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;
use venom_protocol::Timestamp;

/// Names a batch for good: the nexus counts it once, however often it comes. Made when the batch is put, and stored with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BatchKey(pub Uuid);

impl BatchKey {
    pub(super) fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// What tells it from others in little room.
    pub(super) fn fragment(&self) -> u64 {
        self.0.as_u64_pair().1
    }
}

impl fmt::Display for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchKind {
    /// `POST /api/ingest/discovery`.
    Discovery,
    /// `POST /api/ingest/shield`.
    Shield,
}

impl BatchKind {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Discovery => 1,
            Self::Shield => 2,
        }
    }

    pub(super) const fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Discovery),
            2 => Some(Self::Shield),
            _ => None,
        }
    }
}

/// A batch whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its name.
    pub key: BatchKey,
    /// Where it goes.
    pub kind: BatchKind,
    /// When it was put, by this machine's clock.
    pub at: Timestamp,
    /// How often it was tried before, since the outbox was opened.
    pub tries: u32,
    /// What was seen: JSON.
    pub body: Vec<u8>,
}
