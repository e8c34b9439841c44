//! `agent outbox`: what waits on this machine's disk for the nexus, and what the nexus refused for good.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use venom_agent::{AgentState, BatchKind, OUTBOX_DIRECTORY, Outbox, OutboxReport, RealDisk};
use venom_protocol::Timestamp;

use super::{process, settings_of_agent};
use crate::cli::{OutboxCommand, OutboxKeyArgs, OutboxListArgs};
use crate::client::path_part;
use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::output;

/// A batch that was refused, as the outbox keeps it for people.
#[derive(Deserialize, Serialize)]
struct Letter {
    key: String,
    kind: String,
    put_at: Timestamp,
    refused_at: Timestamp,
    why: String,
    #[serde(skip_serializing)]
    body: Option<Box<RawValue>>,
}

/// What `outbox list --json` prints.
#[derive(Serialize)]
struct Report {
    outbox: OutboxReport,
    refused: Vec<Letter>,
}

/// Runs one of the `agent outbox` commands.
pub(super) fn run(command: OutboxCommand, data: &DataDir) -> Result<(), Failure> {
    match command {
        OutboxCommand::List(args) => list(&args, data),
        OutboxCommand::Retry(args) => retry(&args, data),
        OutboxCommand::DropDead(args) => drop_dead(&args, data),
    }
}

fn list(args: &OutboxListArgs, data: &DataDir) -> Result<(), Failure> {
    let report = match process::find(&data.agent_pid())? {
        // who runs has it open, and writes down how it stands
        Some(_) => AgentState::read(&data.0).map(|state| state.outbox).unwrap_or_default(),
        None => open(data)?.report(),
    };
    let refused: Vec<Letter> = letters(data)?.into_values().collect();
    if args.json {
        return output::say_json(&Report {
            outbox: report,
            refused,
        });
    }
    let tally = report.tally;
    output::say(format!(
        "{} waiting ({}); ever dropped for want of room {}, refused for good {}, damaged {}",
        report.waiting,
        bytesize::ByteSize::b(report.bytes),
        tally.dropped,
        tally.dead,
        tally.damaged
    ))?;
    if refused.is_empty() {
        return Ok(());
    }
    let row = |letter: &Letter| {
        vec![
            letter.key.clone(),
            letter.kind.clone(),
            letter.put_at.to_string(),
            letter.why.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = refused.iter().map(row).collect();
    output::say(output::table(&["REFUSED", "KIND", "FROM", "WHY"], &rows))
}

/// Puts what was refused into the outbox again; under a new key, as the nexus remembers the old one.
fn retry(args: &OutboxKeyArgs, data: &DataDir) -> Result<(), Failure> {
    let outbox = open_alone(data)?;
    let mut count = 0_u32;
    for (path, letter) in chosen(args, data)? {
        let kind = match letter.kind.as_str() {
            "discovery" => BatchKind::Discovery,
            "shield" => BatchKind::Shield,
            other => {
                return Err(Failure::new(format!(
                    "{} is a `{other}`, which nothing takes",
                    letter.key
                )));
            }
        };
        let Some(body) = &letter.body else {
            return Err(
                Failure::new(format!("{} is no JSON and would be refused again", letter.key))
                    .help("look at it, then delete it: `venom-host agent outbox drop-dead KEY`"),
            );
        };
        outbox
            .put(kind, body.get().as_bytes(), Timestamp::now())
            .or_fail(format!("{} cannot be put into the outbox again", letter.key))?;
        delete(&path)?;
        count += 1;
    }
    output::say(format!("{count} will be sent again once the agent runs"))
}

fn drop_dead(args: &OutboxKeyArgs, data: &DataDir) -> Result<(), Failure> {
    let _alone = open_alone(data)?;
    let chosen = chosen(args, data)?;
    for path in chosen.keys() {
        delete(path)?;
    }
    output::say(format!("{} deleted", chosen.len()))
}

fn delete(path: &Path) -> Result<(), Failure> {
    std::fs::remove_file(path).or_fail(format!("cannot delete {}", path.display()))
}

/// The one that is named, or all.
fn chosen(args: &OutboxKeyArgs, data: &DataDir) -> Result<BTreeMap<PathBuf, Letter>, Failure> {
    let mut all = letters(data)?;
    if let Some(key) = &args.key {
        let key = path_part(key)?;
        all.retain(|_, letter| letter.key == key);
        if all.is_empty() {
            return Err(Failure::new(format!("no batch `{key}` was refused"))
                .help("`venom-host agent outbox list` shows those that were"));
        }
    }
    Ok(all)
}

/// All that were refused, the oldest first.
fn letters(data: &DataDir) -> Result<BTreeMap<PathBuf, Letter>, Failure> {
    let directory = data.0.join(OUTBOX_DIRECTORY).join("dead");
    let failed = || format!("cannot read {}", directory.display());
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error).or_fail(failed()),
    };
    let mut letters = BTreeMap::new();
    for entry in entries {
        let path = entry.or_fail(failed())?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            // it made room for a newer one in between
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).or_fail(format!("cannot read {}", path.display())),
        };
        let letter = serde_json::from_slice(&text).or_fail(format!("{} is no refused batch", path.display()))?;
        letters.insert(path, letter);
    }
    Ok(letters)
}

fn open(data: &DataDir) -> Result<Outbox, Failure> {
    let file = settings_of_agent(data)?;
    Outbox::open(&data.0.join(OUTBOX_DIRECTORY), file.outbox, Arc::new(RealDisk)).or_fail("the outbox cannot be opened")
}

fn open_alone(data: &DataDir) -> Result<Outbox, Failure> {
    match process::find(&data.agent_pid())? {
        None => open(data),
        Some(agent) => Err(Failure::new("the agent runs and has its outbox open")
            .because(format!("its pid is {}", agent.pid))
            .help("stop it first: `venom-host agent stop`")),
    }
}
