//! What is told of each step: a line on stderr as it goes, everything as JSON at the end.

use serde::Serialize;

use crate::failure::Failure;
use crate::output;

/// A part of the work; what failed is named by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Step {
    /// The connection.
    Connect,
    /// What the machine is and has.
    Look,
    /// The string the agent registers with.
    Enrol,
    /// The program goes there.
    Upload,
    /// It takes its place.
    Install,
    /// The agent registers.
    Register,
    /// It is started.
    Start,
    /// The nexus hears of it.
    Online,
}

impl Step {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Look => "look",
            Self::Enrol => "enrol",
            Self::Upload => "upload",
            Self::Install => "install",
            Self::Register => "register",
            Self::Start => "start",
            Self::Online => "online",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// Done now.
    Done,
    /// It was so already.
    Unchanged,
    /// Would be done (`--dry-run`).
    Planned,
    /// It did not work.
    Failed,
    /// Put back as it was.
    Undone,
    /// Could not be put back.
    Left,
}

#[derive(Debug, Serialize)]
struct Line {
    step: Step,
    outcome: Outcome,
    detail: String,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    host: String,
    ok: bool,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_at: Option<Step>,
    steps: Vec<Line>,
}

impl Report {
    pub(super) fn new(host: &str, dry_run: bool) -> Self {
        Self {
            host: host.to_owned(),
            ok: false,
            dry_run,
            agent_id: None,
            version: None,
            previous_version: None,
            failed_at: None,
            steps: Vec::new(),
        }
    }

    /// Notes a step and tells it.
    pub(super) fn tell(&mut self, step: Step, outcome: Outcome, detail: impl Into<String>) {
        let detail = detail.into();
        let (style, word) = match outcome {
            Outcome::Done => (output::GREEN, "done"),
            Outcome::Unchanged => (output::DIM, "same"),
            Outcome::Planned => (output::BOLD, "plan"),
            Outcome::Failed => (output::RED, "FAIL"),
            Outcome::Undone => (output::YELLOW, "undo"),
            Outcome::Left => (output::RED, "LEFT"),
        };
        output::note(format!("{style}{word}{style:#}  {:<9} {detail}", step.as_str()));
        self.steps.push(Line { step, outcome, detail });
    }

    /// The end of it, on stdout.
    pub(super) fn end(mut self, json: bool, ended: Result<(), (Step, Failure)>) -> Result<(), Failure> {
        match ended {
            Ok(()) => {
                self.ok = true;
                if json {
                    return output::say_json(&self);
                }
                output::say(match (&self.agent_id, self.dry_run) {
                    (_, true) => "nothing was changed".to_owned(),
                    (Some(id), _) => format!("agent {id} on {} is ready", self.host),
                    (None, _) => format!("the agent on {} is ready", self.host),
                })
            }
            Err((step, failure)) => {
                self.failed_at = Some(step);
                if json {
                    output::say_json(&self)?;
                }
                Err(failure.at(format!("provisioning {} failed at `{}`", self.host, step.as_str())))
            }
        }
    }
}
