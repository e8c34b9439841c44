//! Updates over the air: what the hive releases becomes what this spore runs, without a restart and without a call lost.
//!
//! Announcements are hints: the updater asks its nexus on each hint, at each link and now and then, believes nothing but
//! signed documents, and does what [`plan`] makes of them: fetch → verify → compile → link → probe → swap → watch → stay,
//! or back to the version before. Whatever fails, what runs goes on running.

mod disk;
#[cfg(test)]
mod faults;
mod fetch;
mod gate;
mod keeper;
mod ledger;
mod line;
mod live;
mod plan;
mod settings;
mod stage;
mod trusted;
mod updater;
mod window;

use std::path::PathBuf;

use venom_bundle::DocumentError;

pub(crate) use fetch::Fetcher;
pub use gate::Gate;
pub(crate) use line::{Outgoing, UpdateLine};
pub use settings::UpdateSettings;
pub use stage::UpdateGround;
pub(crate) use updater::Employer;
pub use updater::Updater;
pub use window::{InvalidWindow, Window};

/// Why updates cannot begin. What runs later is retried or reported instead.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The directory.
    #[error("the update directory {} cannot be used: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The operator's root.
    #[error("the root this spore is to trust cannot be used: {source}")]
    Root {
        /// Why not.
        #[source]
        source: Box<DocumentError>,
    },
    /// A kept file.
    #[error(
        "{} is damaged ({problem}): restore it, or remove the whole directory to begin anew from the root, which also forgets which releases are old",
        path.display()
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The operator's root and the one kept cannot both be right.
    #[error("the root this spore is to trust and the one it trusts already contradict each other: {problem}")]
    Contradiction {
        /// How.
        problem: String,
    },
    /// Another swarm's root.
    #[error(
        "the root is of swarm {pinned}, but {} follows swarm {kept}: give the spore another data directory, or remove that one to change swarms",
        path.display()
    )]
    OtherSwarm {
        /// The directory.
        path: PathBuf,
        /// The swarm followed so far.
        kept: String,
        /// The swarm of the root given.
        pinned: String,
    },
}
