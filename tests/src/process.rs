//! The real binary, and Python scripts, as processes that can be killed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::{host_binary, repository, soon};

/// A running `venom-host`. Killed when dropped.
pub struct HostProcess {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl HostProcess {
    /// Starts it with these arguments, in a data directory of its own and an environment without settings.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn start<A: AsRef<OsStr>>(data: &Path, arguments: &[A]) -> Result<Self> {
        Self::start_through(data, &[], arguments)
    }

    /// The same through another program, which is given the command line behind its own words and must become it.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn start_through<A: AsRef<OsStr>>(data: &Path, through: &[&str], arguments: &[A]) -> Result<Self> {
        let binary = host_binary()?;
        let mut command = match through.split_first() {
            None => Command::new(binary),
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words).arg(binary);
                command
            }
        };
        command
            .args(arguments)
            .env_clear()
            .env("VENOM_DATA_DIR", data)
            // the network of whoever runs the tests is not theirs to speak in
            .env("VENOM_MDNS", "off")
            .env("HOME", data);
        for kept in ["PATH", "RUST_LOG"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let output = child.stdout.take().context("it has no output")?;
        Ok(Self {
            child,
            output: BufReader::new(output).lines(),
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run<A: AsRef<OsStr>>(data: &Path, arguments: &[A]) -> Result<Vec<String>> {
        let mut process = Self::start(data, arguments)?;
        let mut lines = Vec::new();
        while let Some(line) = soon("a line or the end", process.output.next_line()).await?? {
            lines.push(line);
        }
        let status = process.ended().await?;
        ensure!(status.success(), "it failed: {status}; {lines:?}");
        Ok(lines)
    }

    /// What follows `prefix` in the next line, which must begin with it.
    ///
    /// # Errors
    /// When the line does not come, or is another.
    pub async fn ready(&mut self, prefix: &str) -> Result<String> {
        let line = soon(prefix, self.output.next_line()).await??;
        let line = line.with_context(|| format!("it ended before it said `{prefix}`"))?;
        let rest = line
            .strip_prefix(prefix)
            .with_context(|| format!("`{line}` instead of `{prefix}`"))?;
        Ok(rest.trim().to_owned())
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("it is gone already")
    }

    /// SIGKILL: no drain, no goodbye.
    ///
    /// # Errors
    /// When it is gone already.
    pub async fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.ended().await?;
        Ok(())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.id()?;
        let id = Pid::from_raw(i32::try_from(id)?).context("no process id")?;
        Ok(kill_process(id, signal)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(soon("the end of the process", self.child.wait()).await??)
    }
}

/// A Python script of `tests/v1`. Killed when dropped.
pub struct Python {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Python {
    /// Starts a script.
    ///
    /// # Errors
    /// When there is no `python3` here, which is a failure and not a reason to skip.
    pub fn start(script: &str, environment: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new("python3");
        command
            .arg("-I")
            .arg("-u")
            .arg(repository().join("tests/v1").join(script));
        command
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("python3 cannot be run")?;
        let output = child.stdout.take().context("it has no output")?;
        Ok(Self {
            child,
            output: BufReader::new(output).lines(),
        })
    }

    /// Its next line of output; `None`: it ended.
    ///
    /// # Errors
    /// When none comes.
    pub async fn line(&mut self) -> Result<Option<String>> {
        Ok(soon("a line of the script", self.output.next_line()).await??)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(soon("the end of the script", self.child.wait()).await??)
    }
}
