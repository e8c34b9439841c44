//! Runs a program to its end within a time limit, and tells in one line why it failed.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs it and answers its stdout.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} does not start"))?;
    let stdout = read_aside(child.stdout.take().context("no stdout")?);
    let stderr = read_aside(child.stderr.take().context("no stderr")?);
    let ended = end_within(&mut child, limit);
    let (stdout, stderr) = (joined(stdout), joined(stderr));
    match ended? {
        Some(true) => Ok(stdout),
        Some(false) => bail!("{program} failed: {}", reason(&stderr)),
        None => bail!("{program} did not end within {} s", limit.as_secs()),
    }
}

/// Whether it ended well; `None` when it had to be killed.
fn end_within(child: &mut Child, limit: Duration) -> Result<Option<bool>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn read_aside(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before a failure still helps.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn joined(reader: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
}

/// The line that says most: the last one with "error", else the last one.
fn reason(stderr: &str) -> String {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = lines().rfind(|line| line.to_ascii_lowercase().contains("error"));
    let line = said.or_else(|| lines().next_back()).unwrap_or("it said nothing");
    line.chars().take(200).collect()
}
