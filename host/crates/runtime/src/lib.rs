//! The sandbox: runs signed skills in wasmtime, each call in a fresh store with only what it was granted
//! and every budget enforced. It never loads a component that was not verified, never runs precompiled
//! code it did not compile itself, and never lets a failing skill take the process down.

mod backend;
mod call;
pub mod capability;
mod error;
mod runtime;
mod settings;
mod skill;
mod skill_set;

pub use backend::{
    Backends, BackendError, CacheBackend, CacheNamespace, HiveBackend, HiveCaller, HiveOutcome, HiveRequest,
};
pub use call::{Call, Outcome, Usage};
pub use error::{LoadError, RuntimeError};
pub use runtime::Runtime;
pub use settings::{DirtyPageScan, RuntimeSettings};
pub use skill::{Description, MethodDescription, Skill};
pub use skill_set::{LoadReport, RefusedBundle, SkillSet};
