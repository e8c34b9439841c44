//! What people on this machine say to an agent that runs: one line through a socket in its data directory, which only its own
//! user can reach. It says no more than could be done by hand there.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as Line;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use venom_agent::{AgentFile, RunNow};

use super::process;
use crate::cli::RunNowArgs;
use crate::data_dir::{DataDir, PRIVATE_FILE};
use crate::failure::{Explain as _, Failure};
use crate::output;

/// Longest line.
const MAX_LINE: u64 = 1_024;
/// Longest time a line and its answer take: they are short, and both ends are here.
const PATIENCE: Duration = Duration::from_secs(5);

/// The socket of an agent that runs.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Opens it. The caller is the only agent of this data directory: what an earlier one left is in the way.
    pub(super) fn open(data: &DataDir) -> std::io::Result<Self> {
        let path = data.agent_socket();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let private = std::fs::Permissions::from_mode(PRIVATE_FILE);
        std::fs::set_permissions(&path, private)?;
        Ok(Self { listener, path })
    }

    /// Hears what is said, one after the other, for ever.
    pub(super) async fn listen(self, file: &AgentFile, run_now: &RunNow) {
        loop {
            match self.listener.accept().await {
                // who is too slow or goes away is not waited for
                Ok((line, _)) => drop(timeout(PATIENCE, hear(line, file, run_now)).await),
                Err(error) => {
                    tracing::debug!(%error, "nobody could be heard at the agent's socket");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // best effort: the next agent clears it away
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn hear(mut line: UnixStream, file: &AgentFile, run_now: &RunNow) -> std::io::Result<()> {
    let mut said = String::new();
    let (from, mut to) = line.split();
    tokio::io::BufReader::new(from.take(MAX_LINE))
        .read_line(&mut said)
        .await?;
    to.write_all(answer(said.trim_end(), file, run_now).as_bytes()).await
}

fn answer(said: &str, file: &AgentFile, run_now: &RunNow) -> String {
    let Some(name) = said.strip_prefix("run-now ") else {
        return "this agent does not understand that; it may be older than you\n".to_owned();
    };
    if file.schedules.iter().any(|schedule| schedule.name == name) {
        run_now.ask(name);
        return "ok\n".to_owned();
    }
    let known: Vec<&str> = file.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
    if known.is_empty() {
        return format!("no schedule `{name}`: this agent has none\n");
    }
    format!("no schedule `{name}` (known: {})\n", known.join(", "))
}

/// `agent run-now`.
pub(super) fn run_now(args: &RunNowArgs, data: &DataDir) -> Result<(), Failure> {
    if process::find(&data.agent_pid())?.is_none() {
        return Err(
            Failure::new(format!("no agent runs with {}", data.0.display())).help("start it: `venom-host agent start`")
        );
    }
    let path = data.agent_socket();
    let answer = say(&path, &format!("run-now {}", args.schedule)).or_advise(
        format!("the agent does not answer at {}", path.display()),
        "it may have just begun, or be older than this program: try again, or restart it",
    )?;
    match answer.trim_end() {
        "ok" => output::say(format!(
            "{} runs now; `venom-host agent status` says how it ends",
            args.schedule
        )),
        other => Err(Failure::new(other)),
    }
}

fn say(path: &Path, words: &str) -> std::io::Result<String> {
    let mut line = Line::connect(path)?;
    line.set_read_timeout(Some(PATIENCE))?;
    line.set_write_timeout(Some(PATIENCE))?;
    writeln!(line, "{words}")?;
    let mut answer = String::new();
    BufReader::new(line.take(MAX_LINE)).read_line(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use venom_agent::Schedule;

    use super::*;

    #[test]
    fn only_schedules_that_are_there_run() {
        let mut file = AgentFile::new("http://hub:8000", "a".parse().unwrap(), "pi");
        let run_now = RunNow::default();
        assert!(answer("run-now lan", &file, &run_now).contains("has none"));
        file.schedules.push(Schedule::new("lan", Duration::from_secs(60)));
        assert_eq!(answer("run-now lan", &file, &run_now), "ok\n");
        assert!(answer("run-now wan", &file, &run_now).contains("known: lan"));
        assert!(answer("shutdown", &file, &run_now).contains("does not understand"));
    }
}
