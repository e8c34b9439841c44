//! How the agent is: watched within the process, and in a file for `venom-host agent status`. Never holds a token.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use venom_protocol::{AgentId, Timestamp};

use crate::outbox::OutboxReport;

/// Name of the status file in the data directory.
pub const STATUS_FILE: &str = "agent-status.json";

/// Where the agent stands with its nexus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It has not been answered yet.
    #[default]
    Starting,
    /// The last heartbeat was answered.
    Online,
    /// An operator must approve it first; what it sees waits.
    Unapproved,
    /// The nexus does not answer, or not as it should; what is seen waits.
    Unreachable,
    /// The nexus does not know its token (any more); what is seen waits. It must be registered again.
    Revoked,
    /// It was stopped.
    Stopped,
}

/// How one schedule stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleState {
    /// Whether it runs now.
    pub running: bool,
    /// When it began last.
    pub began: Option<Timestamp>,
    /// When it ended last.
    pub ended: Option<Timestamp>,
    /// Why the last run failed, when it did.
    pub error: Option<String>,
    /// When it is due next.
    pub next: Option<Timestamp>,
    /// Runs that ended well, since the agent began.
    pub succeeded: u64,
    /// Runs that did not.
    pub failed: u64,
    /// Runs that were due and not made up for.
    pub skipped: u64,
}

/// How the agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentState {
    /// Who.
    pub agent_id: AgentId,
    /// Name for people.
    pub name: String,
    /// Its site.
    pub site_name: String,
    /// Its nexus.
    pub nexus: String,
    /// Its version.
    pub version: String,
    /// This run of it.
    pub boot_id: String,
    /// Its process.
    pub pid: u32,
    /// Where it stands with its nexus.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// When this was written.
    pub written_at: Timestamp,
    /// When the nexus heard it last, by the nexus's clock.
    pub last_seen: Option<Timestamp>,
    /// Seconds the nexus's clock is ahead of this machine's.
    pub clock_ahead: Option<i64>,
    /// The last trouble with the nexus; none while there is none.
    pub error: Option<String>,
    /// What waits on disk.
    pub outbox: OutboxReport,
    /// When a batch was taken in last.
    pub delivered_at: Option<Timestamp>,
    /// Batches taken in since the agent began.
    pub delivered: u64,
    /// Why the last batch that was refused for good was.
    pub last_refusal: Option<String>,
    /// Its schedules, by name.
    pub schedules: BTreeMap<String, ScheduleState>,
    /// Commands it has and has not reported the end of.
    pub commands: u64,
    /// When its token was issued.
    pub token_issued_at: Timestamp,
}

impl AgentState {
    /// What the status file of a data directory says; none when there is no readable one.
    #[must_use]
    pub fn read(data_dir: &Path) -> Option<Self> {
        let bytes = std::fs::read(data_dir.join(STATUS_FILE)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Where the state is changed.
#[derive(Debug)]
pub(crate) struct Board(watch::Sender<AgentState>);

impl Board {
    pub(crate) fn new(state: AgentState) -> Self {
        Self(watch::Sender::new(state))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<AgentState> {
        self.0.subscribe()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.0.borrow().phase
    }

    pub(crate) fn commands(&self) -> u64 {
        self.0.borrow().commands
    }

    /// Changes it; who watches hears of it when something is different.
    pub(crate) fn change(&self, change: impl FnOnce(&mut AgentState)) {
        self.0.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    pub(crate) fn enter(&self, phase: Phase, error: Option<String>, now: Timestamp) {
        self.change(|state| {
            if state.phase != phase {
                state.phase = phase;
                state.since = now;
            }
            state.error = error;
        });
    }

    pub(crate) fn schedule(&self, name: &str, change: impl FnOnce(&mut ScheduleState)) {
        self.change(|state| change(state.schedules.entry(name.to_owned()).or_default()));
    }
}
