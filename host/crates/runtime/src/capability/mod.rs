//! What a skill reaches outside its memory, one module a capability. Each checks its grant before it acts
//! and names the missing one when it refuses. Nothing here is reachable but through a store's host calls.

pub(crate) mod cache;
pub mod command;
mod connections;
mod denied;
pub(crate) mod fs;
pub(crate) mod hive;
pub mod http;
pub(crate) mod lan;
pub(crate) mod log;
pub mod net;
pub(crate) mod progress;
pub(crate) mod random;
mod refusal;
pub(crate) mod run_command;
pub(crate) mod settings;
pub(crate) mod stdio;

pub use connections::Connections;
pub use refusal::{GrantError, Refusal, Refusals};
