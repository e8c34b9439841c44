//! The nexus: control plane of the hive. One port serves REST, `/ws/nodes`, events, metrics and docs.
//!
//! This crate is the async shell around the pure [`venom_foreman`]: it owns sockets, clocks and tasks, and
//! decides nothing about placement. It never reads flags or environment, never opens its own listener, and
//! runs a skill itself only as a fallback, through the skill set it was given.

mod auth;
mod nexus;
mod secret;
mod settings;

pub use nexus::{Nexus, NexusError};
pub use secret::Secret;
pub use settings::{InvalidSettings, NexusSettings, RateLimits, Scope, TlsFiles, TokenRecord};
pub use venom_foreman::LoadWeights;
