//! The other end of [`crate::CompilerProcess`]: takes a component on standard input, writes its code to standard output,
//! under limits it sets on itself first. It loads no code, runs none and opens no file of anybody's.

use std::io::{self, Read, Write};

use bytesize::ByteSize;
use rustix::process::{Resource, Rlimit};

use crate::error::EngineFailure;
use crate::{RuntimeError, RuntimeSettings, engine};

/// Memory it may fill. Compiling CPython takes a fifth of it.
const MAX_MEMORY: u64 = 2 << 30;
/// CPU time it may use, should the process that waits for it be gone: far over what that one would wait.
const MAX_CPU_SECONDS: u64 = 3_600;
/// How much later than everything else it runs: calls go first.
const NICENESS: i32 = 10;

/// Why the worker has no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileWorkerError {
    /// The limits cannot be set.
    #[error("its limits cannot be set")]
    Limits(#[source] io::Error),
    /// The engine of the parent cannot be built here.
    #[error(transparent)]
    Engine(#[from] RuntimeError),
    /// The component does not compile.
    #[error(transparent)]
    Compile(#[from] EngineFailure),
    /// The parent is gone.
    #[error("the parent cannot be talked to")]
    Pipe(#[source] io::Error),
}

/// Compiles one component of `length` bytes for an engine of `max_memory`. To be called by a program that
/// [`RuntimeSettings::compiler`] names, with the two numbers it is given; the process ends afterwards.
///
/// # Errors
/// When the limits cannot be set, the component does not compile, or the parent is gone.
pub fn compile_worker(max_memory: ByteSize, length: u64) -> Result<(), CompileWorkerError> {
    limit_self().map_err(|error| CompileWorkerError::Limits(error.into()))?;
    let settings = RuntimeSettings {
        slots: 1,
        max_memory,
        ..RuntimeSettings::default()
    };
    let engine = engine::build(&settings)?;
    let mut component = Vec::new();
    let read = io::stdin().take(length).read_to_end(&mut component);
    read.map_err(CompileWorkerError::Pipe)?;
    let code = engine.precompile_component(&component).map_err(EngineFailure::from)?;
    let mut output = io::stdout().lock();
    output
        .write_all(&code)
        .and_then(|()| output.flush())
        .map_err(CompileWorkerError::Pipe)
}

fn limit_self() -> rustix::io::Result<()> {
    // the engine reserves address space without filling it, so that the address space itself cannot be the limit
    limit(Resource::Data, MAX_MEMORY)?;
    limit(Resource::Cpu, MAX_CPU_SECONDS)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // courtesies: where memory or time is short, this process goes first
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let _ = rustix::process::nice(NICENESS);
    Ok(())
}

fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let maximum = rustix::process::getrlimit(resource)
        .maximum
        .map_or(most, |maximum| maximum.min(most));
    let limit = Rlimit {
        current: Some(maximum),
        maximum: Some(maximum),
    };
    rustix::process::setrlimit(resource, limit)
}
