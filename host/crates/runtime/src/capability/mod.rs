//! What a skill reaches outside its memory, one module a capability. Each checks its grant before it acts
//! and names the missing one when it refuses. Nothing here is reachable but through a store's host calls.

pub mod command;
mod connections;
pub mod http;
pub mod net;
mod refusal;

pub use connections::Connections;
pub use refusal::{GrantError, Refusal, Refusals};
