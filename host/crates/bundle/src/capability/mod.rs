//! What a skill may do: asked for by its manifest, bounded by its publisher's ceiling, granted by the
//! operator's policy. Pure data and pure rules; enforcing them is the runtime's work.
//!
//! `effective rights = manifest ∩ ceiling ∩ policy`. Nothing is granted by default.

mod ask;
mod beyond;
mod budgets;
mod check;
mod http_host;
mod lan;
mod pattern;
mod peer;
mod policy;
mod policy_file;
mod request;
mod resolve;
mod settle;

pub use budgets::{BudgetLimits, Budgets};
pub use check::InvalidRequest;
pub use http_host::HttpHost;
pub use lan::Lan;
pub use pattern::{host_pattern_matches, pattern_matches};
pub use peer::{Peer, PortRange};
pub use policy::{
    CacheGrant, CommandGrant, Confinement, FsGrant, HttpGrant, NetGrant, NetProtocol, Policy, SecretGrant, SkillPolicy,
};
pub use policy_file::PolicyError;
pub use request::{Access, FsRequest, NetRequest, Request};
pub use resolve::{Decision, Grants, Verdict, resolve};
