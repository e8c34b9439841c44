//! `agent status`: whether the agent of this data directory runs, and how it does. Reads what it writes down; asks nobody.

use serde::Serialize;
use venom_agent::{AgentFile, AgentState, OutboxReport, Phase, ScheduleState};
use venom_protocol::{AgentId, Timestamp};

use super::{process, settings_of_agent};
use crate::cli::StatusArgs;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;

/// What `agent start` waits for.
pub(super) struct Seen {
    /// The nexus has answered a heartbeat.
    pub heard: bool,
    /// The nexus does not know the token, in its words.
    pub refused: Option<String>,
    /// The last trouble with the nexus.
    pub last_error: Option<String>,
}

/// Which run of an agent wrote its state down last.
pub(super) fn last_run(data: &DataDir) -> Option<String> {
    AgentState::read(&data.0).map(|state| state.boot_id)
}

/// What the agent with this process id says; none when it has not said anything yet. `before` is the last run before it was started:
/// that one may have had the same number.
pub(super) fn of(data: &DataDir, pid: u32, before: Option<&str>) -> Option<Seen> {
    let state = AgentState::read(&data.0).filter(|state| state.pid == pid && Some(state.boot_id.as_str()) != before)?;
    Some(Seen {
        heard: matches!(state.phase, Phase::Online | Phase::Unapproved),
        refused: (state.phase == Phase::Revoked).then(|| {
            state
                .error
                .clone()
                .unwrap_or_else(|| "it does not know the token".to_owned())
        }),
        last_error: state.error,
    })
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    running: bool,
    pid: Option<u32>,
    agent_id: &'a AgentId,
    name: &'a str,
    site_name: &'a str,
    nexus: &'a str,
    link: bool,
    /// How the nexus answers; absent while the agent does not run.
    phase: Option<Phase>,
    since: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    clock_ahead: Option<i64>,
    outbox: Option<OutboxReport>,
    delivered_at: Option<Timestamp>,
    delivered: Option<u64>,
    commands: Option<u64>,
    schedules: Vec<ScheduleLine<'a>>,
    error: Option<String>,
    last_refusal: Option<String>,
}

/// One schedule, as it is set and as it stands.
#[derive(Serialize)]
struct ScheduleLine<'a> {
    name: &'a str,
    #[serde(flatten)]
    state: Option<ScheduleState>,
}

/// Says it; the exit code says whether it runs.
pub(super) fn run(args: &StatusArgs, data: &DataDir) -> Result<(), Failure> {
    let file = settings_of_agent(data)?;
    let running = process::find(&data.agent_pid())?;
    let pid = running.map(|agent| agent.pid);
    // what a process before wrote is true of its outbox only
    let state = AgentState::read(&data.0);
    let report = report(&file, pid, state);
    if args.json {
        output::say_json(&report)?;
    } else {
        tell(&report)?;
    }
    if report.running { Ok(()) } else { Err(Failure::told()) }
}

fn report(file: &AgentFile, pid: Option<u32>, state: Option<AgentState>) -> Report<'_> {
    let now = state.clone().filter(|state| Some(state.pid) == pid);
    let lines = file.schedules.iter().map(|schedule| ScheduleLine {
        name: &schedule.name,
        state: state
            .as_ref()
            .and_then(|state| state.schedules.get(&schedule.name).cloned()),
    });
    Report {
        running: pid.is_some(),
        pid,
        agent_id: &file.agent_id,
        name: &file.name,
        site_name: &file.site_name,
        nexus: &file.nexus,
        link: file.link,
        phase: now.as_ref().map(|state| state.phase),
        since: now.as_ref().map(|state| state.since),
        last_seen: state.as_ref().and_then(|state| state.last_seen),
        clock_ahead: now.as_ref().and_then(|state| state.clock_ahead),
        outbox: state.as_ref().map(|state| state.outbox),
        delivered_at: state.as_ref().and_then(|state| state.delivered_at),
        delivered: now.as_ref().map(|state| state.delivered),
        commands: state.as_ref().map(|state| state.commands),
        schedules: lines.collect(),
        error: now.as_ref().and_then(|state| state.error.clone()),
        last_refusal: state.and_then(|state| state.last_refusal),
    }
}

fn tell(report: &Report<'_>) -> Result<(), Failure> {
    let phase = match report.phase {
        None => "",
        Some(Phase::Starting) => "has not been answered yet",
        Some(Phase::Online) => "online",
        Some(Phase::Unapproved) => "waits for an operator's approval; what it sees is kept",
        Some(Phase::Unreachable) => "the nexus does not answer; what it sees is kept",
        Some(Phase::Revoked) => "the nexus does not know its token: register it again",
        Some(Phase::Stopped) => "stopping",
    };
    let state = match report.pid {
        Some(pid) => format!(
            "runs (pid {pid}), {}",
            if phase.is_empty() { "just began" } else { phase }
        ),
        None => "does not run".to_owned(),
    };
    let at = |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), |time| time.to_string());
    let mut facts = vec![
        ("agent", format!("{} ({})", report.name, report.agent_id)),
        ("site", report.site_name.to_owned()),
        ("state", state),
        ("nexus", report.nexus.to_owned()),
        ("last heard", at(report.last_seen)),
        ("link", if report.link { "on" } else { "off" }.to_owned()),
    ];
    if let Some(outbox) = report.outbox {
        facts.push((
            "outbox",
            format!(
                "{} waiting ({}), {} dropped, {} refused for good",
                outbox.waiting,
                bytesize::ByteSize::b(outbox.bytes),
                outbox.tally.dropped,
                outbox.tally.dead
            ),
        ));
        facts.push(("delivered", at(report.delivered_at)));
    }
    if let Some(commands) = report.commands {
        facts.push(("commands", format!("{commands} not done")));
    }
    for line in &report.schedules {
        let state = line.state.as_ref();
        let next = match state {
            Some(state) if state.running => "runs now".to_owned(),
            Some(state) => format!("next {}", at(state.next)),
            None => "not planned yet".to_owned(),
        };
        let trouble = state.and_then(|state| state.error.as_ref());
        let trouble = trouble.map_or_else(String::new, |error| format!("; the last run failed: {error}"));
        facts.push(("schedule", format!("{}: {next}{trouble}", line.name)));
    }
    if let Some(ahead) = report.clock_ahead.filter(|ahead| ahead.abs() > 30) {
        facts.push(("clock", format!("the nexus's is {ahead} s ahead")));
    }
    for (name, trouble) in [("error", &report.error), ("refused", &report.last_refusal)] {
        if let Some(trouble) = trouble {
            facts.push((name, trouble.clone()));
        }
    }
    let bold = output::BOLD;
    for (name, value) in facts {
        output::say(format!("{bold}{name:<11}{bold:#} {value}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_run_wrote_is_not_what_the_new_one_says() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir(directory.path().to_owned());
        assert_eq!(last_run(&data), None);
        let at = Timestamp::now();
        let mut state = serde_json::json!({
            "agent_id": "a", "name": "pi", "site_name": "Berlin", "nexus": "http://hub", "version": "1", "boot_id": "earlier",
            "pid": 77, "phase": "online", "since": at, "written_at": at, "outbox": OutboxReport::default(), "delivered": 0,
            "schedules": {}, "commands": 0, "token_issued_at": at,
        });
        let write = |state: &serde_json::Value| {
            std::fs::write(directory.path().join(venom_agent::STATUS_FILE), state.to_string()).unwrap();
        };
        write(&state);
        let before = last_run(&data);
        assert_eq!(before.as_deref(), Some("earlier"));
        // the new process got the number of the one that wrote it
        assert!(of(&data, 77, before.as_deref()).is_none());
        state["boot_id"] = "new".into();
        write(&state);
        assert!(of(&data, 77, before.as_deref()).unwrap().heard);
        assert!(of(&data, 78, before.as_deref()).is_none());
    }
}
