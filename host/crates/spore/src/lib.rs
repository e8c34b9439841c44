//! The worker of a hive: keeps a link to its nexus for ever, runs the calls it is sent, tells how it is.
//! It never restarts itself, never runs anything but verified skills in their sandbox, and no failure of
//! the nexus, the network or a skill ends it.
//!
//! What happens when the link breaks: the nexus has failed every call of that link for its callers, so
//! nobody waits any more; the spore cancels them and comes back with nothing in hand.

mod address;
mod backoff;
mod broadcasts;
mod calls;
mod detect;
mod dial;
mod error;
mod executor;
mod hive;
mod identity;
mod link;
mod settings;
pub mod sim;
mod slots;
mod spore;
mod update;
mod vitals;
mod wire;

pub use detect::detect;
pub use error::{CaFileError, SporeError};
pub use executor::Executor;
pub use hive::{LinkPort, link_backends};
pub use identity::{IdentityError, node_id_in};
pub use settings::{Backoff, DEFAULT_CONCURRENCY, DEFAULT_QUEUE, SporeSettings, Token};
pub use slots::MAX_AWAITING;
pub use spore::{Attached, Ready, run};
pub use update::{Gate, InvalidWindow, UpdateError, UpdateGround, UpdateSettings, Updater, Window};
