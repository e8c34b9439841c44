//! The sandbox: runs signed skills in wasmtime, each call in a fresh store with only what it was granted
//! and every budget enforced. It never loads a component that was not verified, never runs precompiled
//! code it did not compile itself, and never lets a failing skill take the process down.

mod runtime;
mod settings;
mod skill_set;

mod load;
mod rights;
mod skill;

mod admission;
mod call;
mod failure;
mod invoke;
mod journal;
mod limits;
mod meter;
mod record;
mod state;
mod stop;

mod backend;
mod bindings;
pub mod capability;
mod linker;

mod compile_worker;
mod compiled;
mod compiler;
mod engine;
mod error;
mod ticker;
mod trusted;

pub use backend::{
    BackendError, Backends, CacheBackend, CacheNamespace, HiveBackend, HiveCaller, HiveOutcome, HiveRequest,
};
pub use call::{Call, Outcome, Usage};
pub use compile_worker::{CompileWorkerError, compile_worker};
pub use compiler::CompilerProcess;
pub use error::{LoadError, RuntimeError};
pub use record::Health;
pub use runtime::Runtime;
pub use settings::{DirtyPageScan, RuntimeSettings};
pub use skill::{Description, MethodDescription, Skill};
pub use skill_set::{LoadReport, RefusedBundle, SkillSet};
