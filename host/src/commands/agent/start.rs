//! `agent start`: an agent in the background. This process starts it, waits for its first heartbeat, and leaves it alone.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{process, settings_of_agent, status};
use crate::cli::StartArgs;
use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::{AgentSettings, Sources};

/// Time between two looks how far it is.
const LOOK: Duration = Duration::from_millis(50);
/// Most that is kept of what a failing agent says.
const MOST_WORDS: u64 = 64 * 1024;

/// Starts it and answers once it was heard.
pub(super) fn run(args: &StartArgs, sources: &Sources, data: &DataDir) -> Result<(), Failure> {
    // what is wrong with these is told here, and not by a process nobody sees
    let settings = AgentSettings::merge(sources)?;
    let file = settings_of_agent(data)?;
    if let Some(agent) = process::find(&data.agent_pid())? {
        return Err(already(&agent));
    }
    let before = status::last_run(data);
    let mut child = spawn()?;
    let words = listen(&mut child);
    let deadline = Instant::now() + args.wait.0;
    loop {
        if let Some(ended) = child.try_wait().or_fail("the agent cannot be watched")? {
            return Err(ended_early(words, ended, &settings));
        }
        let seen = status::of(data, child.id(), before.as_deref());
        if let Some(seen) = &seen {
            if seen.heard {
                return output::say(format!("agent started (pid {}), heard by {}", child.id(), file.nexus));
            }
            if let Some(why) = &seen.refused {
                return Err(Failure::new(format!("the agent runs, but the nexus at {} refuses it", file.nexus))
                    .because(why.clone())
                    .help("register it again: `venom-host agent register --enrol STRING`; `venom-host agent stop` ends it"));
            }
        }
        if Instant::now() >= deadline {
            let why = seen.and_then(|seen| seen.last_error);
            return Err(Failure::new(format!(
                "the agent runs (pid {}), but {} has not answered within {:?}",
                child.id(),
                file.nexus,
                args.wait.0
            ))
            .because(why.unwrap_or_else(|| "it has not begun to talk yet".to_owned()))
            .help(format!(
                "it goes on trying and logs to {}; `venom-host agent stop` ends it",
                settings.log_file.display()
            )));
        }
        std::thread::sleep(LOOK);
    }
}

/// That another one runs with this data directory.
pub(super) fn already(agent: &process::Running) -> Failure {
    Failure::new(format!(
        "the agent of this data directory runs already (pid {})",
        agent.pid
    ))
    .because("a data directory holds one agent's id, and two with one id look like a clone")
    .help("`venom-host agent status` says how it does, `venom-host agent stop` ends it")
}

/// This program again, with the same words, as the agent itself.
fn spawn() -> Result<Child, Failure> {
    let program = std::env::current_exe().or_fail("this program cannot be found again")?;
    Command::new(program)
        .args(std::env::args_os().skip(1))
        .args(["--foreground", "--detached"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .or_fail("the agent cannot be started")
}

/// Collects what it says until it has taken its log as stderr.
fn listen(child: &mut Child) -> Option<JoinHandle<String>> {
    let stderr = child.stderr.take()?;
    Some(std::thread::spawn(move || {
        let mut words = Vec::new();
        // what cannot be read was not said
        let _ = stderr.take(MOST_WORDS).read_to_end(&mut words);
        String::from_utf8_lossy(&words).into_owned()
    }))
}

fn ended_early(
    words: Option<JoinHandle<String>>,
    ended: std::process::ExitStatus,
    settings: &AgentSettings,
) -> Failure {
    let words = words.and_then(|words| words.join().ok()).unwrap_or_default();
    if words.trim().is_empty() {
        return Failure::new(format!("the agent ended at once ({ended})"))
            .help(format!("its log is {}", settings.log_file.display()));
    }
    // its own words, as it would have said them here
    output::note(words.trim_end());
    Failure::told()
}
