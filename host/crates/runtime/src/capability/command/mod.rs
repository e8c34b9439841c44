//! Programs a skill may run: each by its granted name, with checked arguments, confined, and never through
//! a shell. It does not count commands against `Budgets::commands`; the caller does.
//!
//! Once a skill, when it is loaded: [`CommandGrants::resolve`]. For each `command.run` of a guest: [`run`].
//!
//! ```text
//! let commands = CommandGrants::resolve(skill_name, &grants.commands, &grants.fs)?;   // Vec<GrantError>
//! let request = CommandRequest { program, arguments, directory, environment, input, timeout: None };
//! match run(&commands, request, CommandLimits { remaining }, &cancel).await {
//!     Ok(output) => ..,                        // also of a program that failed
//!     Err(CommandError::Denied(refusal)) => .. // wit error.denied, the same four fields
//! }
//! ```
//!
//! What holds a program in, from the outside: its arguments are matched before it starts; its environment is
//! empty but for granted keys; it leads its own session and process group, which is killed as a whole when it
//! ends, when the time is up, when the call is cancelled and when the future is dropped, and which it cannot
//! leave (`setsid` and `setpgid` are refused). On Linux also: resource limits, no new privileges, capabilities
//! dropped, Landlock for files and seccomp for system calls.
//!
//! Known limits: Landlock does not hide that a file exists (`stat`), only what is in it; a hard link that
//! lies in a granted directory is that file, wherever its other names are; bytes written by a program count
//! against `file_size` for each file, not against the directory's quota.

mod argument;
mod binary;
mod capture;
mod child;
mod confine;
mod grants;
mod path;

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi::runtime::spawn_blocking;

use super::Refusal;

#[cfg(target_os = "linux")]
pub(crate) use confine::ChildConfinement;
pub use grants::CommandGrants;

/// One program to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandRequest {
    /// The granted name.
    pub program: String,
    /// Arguments, without the program's name.
    pub arguments: Vec<String>,
    /// Guest directory to run in; empty: the grant's own.
    pub directory: String,
    /// Environment; each key must be granted.
    pub environment: Vec<(String, String)>,
    /// Given to standard input.
    pub input: Vec<u8>,
    /// Lowers the grant's limit; absent: the grant's.
    pub timeout: Option<Duration>,
}

/// What the call still has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandLimits {
    /// Time until the call's own deadline.
    pub remaining: Duration,
}

/// How a program ended. One that failed is an output too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// None when a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Standard output up to the granted size.
    pub output: Vec<u8>,
    /// Standard error up to the granted size.
    pub errors: Vec<u8>,
    /// Whether either was cut.
    pub truncated: bool,
}

/// Why a program was not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Not granted.
    #[error(transparent)]
    Denied(#[from] Refusal),
    /// It ran longer than it may; it was killed with everything it started.
    #[error("{program}: still running after {} ms, killed", .after.as_millis())]
    TimedOut {
        /// The granted name.
        program: String,
        /// The limit that was reached.
        after: Duration,
    },
    /// The call was cancelled; the program was killed.
    #[error("cancelled")]
    Cancelled,
    /// It could not be started.
    #[error("{program}: could not be started ({binary})")]
    Start {
        /// The granted name.
        program: String,
        /// What was to be started.
        binary: String,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// It started, and the system failed while it ran.
    #[error("{program}: lost while it ran")]
    Lost {
        /// The granted name.
        program: String,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
}

/// Runs one program to its end, or to its limit.
///
/// Dropping the future kills the program and everything it started.
///
/// # Errors
/// Refusals name the grant that is missing; see [`CommandError`].
pub async fn run(
    grants: &CommandGrants,
    request: CommandRequest,
    limits: CommandLimits,
    cancel: &CancellationToken,
) -> Result<CommandOutput, CommandError> {
    let job = grants.admit(request)?;
    let program = job.name().to_owned();
    let allowed = job.timeout().min(limits.remaining);
    let deadline = Instant::now() + allowed;
    let work = async {
        // looks at paths and forks: blocking work. When this future is dropped meanwhile, the program that
        // was just started is killed as the result is dropped.
        let mut running = spawn_blocking(move || job.start(allowed)).await?;
        running.finish().await
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(CommandError::Cancelled),
        () = tokio::time::sleep_until(deadline) => Err(CommandError::TimedOut { program, after: allowed }),
        ended = work => ended,
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
