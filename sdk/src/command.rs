//! Programs of the machine, run without a shell. Only granted programs, arguments and directories; the
//! environment is empty but for what [`Command::env`] sets and the grant allows.
//!
//! ```
//! use venom_sdk::command::Command;
//! # let _host = venom_sdk::fake::Host::new().command("uname", |_| Ok("Linux\n".into())).install();
//! let output = Command::new("uname").arg("-s").run()?;
//! assert!(output.success());
//! # Ok::<(), venom_sdk::Error>(())
//! ```

use std::borrow::Cow;
use std::time::Duration;

use crate::{Error, Result, host};

/// One program to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "nothing runs until `run` is called"]
pub struct Command {
    /// The granted name.
    pub program: String,
    /// Arguments, each one word, never split again.
    pub arguments: Vec<String>,
    /// Guest path to run in; empty: the grant's own directory.
    pub directory: String,
    /// Extra environment; each key must be granted.
    pub environment: Vec<(String, String)>,
    /// Bytes given to standard input.
    pub input: Vec<u8>,
    /// Longest run; none: the grant's limit, which is never exceeded.
    pub timeout: Option<Duration>,
}

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Exit code; none when a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Standard output, at most the granted number of bytes.
    pub stdout: Vec<u8>,
    /// Standard error, at most the granted number of bytes.
    pub stderr: Vec<u8>,
    /// True when either was cut at the cap.
    pub truncated: bool,
}

impl Command {
    /// A program by its granted name.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            ..Self::default()
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item: Into<String>>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Runs in this guest directory, which must be inside a granted one.
    pub fn directory(mut self, directory: impl Into<String>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Sets an environment variable; its key must be granted.
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// Gives it these bytes to read.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Ends it after this long at the latest.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Runs it to its end. A program that ran and failed is `Ok` with its exit code.
    pub fn run(self) -> Result<Output> {
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Error::TimedOut(format!("`{}` was given no time to run", self.program)));
        }
        host::run(self)
    }
}

impl Output {
    /// It ended by itself with exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.exit_code == Some(0)
    }

    /// Standard output as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// Standard error as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn error_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }
}

/// A program that printed this and ended well.
impl From<&str> for Output {
    fn from(stdout: &str) -> Self {
        Self {
            exit_code: Some(0),
            stdout: stdout.into(),
            ..Self::default()
        }
    }
}
