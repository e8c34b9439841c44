//! Why the outbox cannot do what it is asked.

use std::io;
use std::path::PathBuf;

/// Why an outbox cannot be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Another process has it.
    #[error("the outbox {} is in use by another agent: stop that one, or give this one a data directory of its own", directory.display())]
    InUse {
        /// Its directory.
        directory: PathBuf,
    },
    /// Something newer wrote it.
    #[error("{} was written by a newer agent (format {version}): update this one", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// The settings make no sense.
    #[error("the outbox's settings are wrong: {why}")]
    Settings {
        /// What is wrong.
        why: &'static str,
    },
    /// The disk says no.
    #[error("the outbox {} cannot be {doing}", directory.display())]
    Disk {
        /// Its directory.
        directory: PathBuf,
        /// `opened`, `written` or `read`.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a batch was not kept. It is counted.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It is larger than the outbox takes.
    #[error(
        "a batch of {bytes} bytes is larger than the outbox takes ({most}): scan fewer addresses at once, or raise outbox.max_bytes"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The largest that is taken.
        most: u64,
    },
    /// It is no JSON text.
    #[error("a batch is no UTF-8")]
    NotText,
    /// There is no room, and nothing is dropped for it.
    #[error(
        "the outbox is full ({waiting} batches wait): it waits for the nexus; raise outbox.max_bytes or max_batches, or set outbox.when_full"
    )]
    Full {
        /// Batches that wait.
        waiting: u64,
    },
    /// There is no room, and new ones are dropped.
    #[error("the outbox is full ({waiting} batches wait) and the new batch was dropped, as outbox.when_full says")]
    Dropped {
        /// Batches that wait.
        waiting: u64,
    },
    /// The disk says no. What was there is unharmed.
    #[error("the batch cannot be written to {}", directory.display())]
    Disk {
        /// The outbox's directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
