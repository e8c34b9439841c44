//! The nexus: control plane of the hive. One port serves REST, `/ws/nodes`, events, metrics and docs.
//!
//! This crate is the async shell around the pure [`venom_foreman`]: it owns sockets, clocks and tasks, and
//! decides nothing about placement. It never reads flags or environment, never opens its own listener, and
//! runs a skill itself only as a fallback, through the skill set it was given.

mod api;
mod audit;
mod auth;
mod driver;
mod events;
mod fleet;
mod given;
mod hive;
mod link;
mod local;
mod metrics;
mod nexus;
mod releases;
mod secret;
mod serve;
mod settings;
mod state;
mod tls;
mod trace;

pub use fleet::AgentSettings;
pub use hive::HiveSettings;
pub use local::LocalSkills;
pub use nexus::{Nexus, NexusError, Parts};
pub use releases::ReleasesSettings;
pub use secret::Secret;
pub use settings::{InvalidSettings, NexusSettings, RateLimits, Scope, TlsFiles, TokenRecord};
pub use venom_foreman::LoadWeights;
