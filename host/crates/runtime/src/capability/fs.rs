//! The file system of a skill: the granted directories and nothing else, each with a quota. Paths are resolved
//! by wasmtime-wasi below the directory's own handle, which is opened once, when the skill is loaded; a call
//! opens no host path.

mod directory;
mod host;
mod quota;
mod scan;
mod stream;

pub(crate) use directory::{Directories, Directory};
pub(crate) use host::{Files, FsView};
pub(crate) use quota::Quotas;
