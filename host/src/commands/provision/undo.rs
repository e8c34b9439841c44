//! How each change is taken back. Noted before the change is made, so that what was half done is taken back too; done in
//! reverse order, and going on whatever fails.

use std::time::Duration;

use super::nexus;
use super::report::{Outcome, Report, Step};
use super::scripts;
use super::ssh::{As, Said, Script, Ssh};
use super::survey::{Facts, printable};
use crate::client::NexusClient;
use crate::failure::Failure;

/// Longest one of them may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A change, taken back.
#[derive(Debug)]
pub(super) struct Undo {
    pub step: Step,
    /// What is so again afterwards, for people.
    pub what: String,
    pub how: How,
}

/// What takes it back.
#[derive(Debug)]
pub(super) enum How {
    /// A script there.
    Script {
        text: &'static str,
        words: Vec<String>,
        by: As,
    },
    /// The nexus withdraws an enrolment.
    Withdraw(String),
    /// The nexus deregisters the agent that the data directory there names, if it does.
    DeregisterThere { data_dir: String, by: As },
}

/// Takes back all of them, the last first.
pub(super) async fn all(undos: Vec<Undo>, ssh: &mut Ssh, client: Option<&NexusClient>, report: &mut Report) {
    let mut fresh = false;
    for undo in undos.into_iter().rev() {
        let mut done = once(&undo.how, ssh, client).await;
        if done.is_err() && !fresh && !matches!(undo.how, How::Withdraw(_)) {
            // The connection may be what broke.
            ssh.reconnect().await;
            fresh = true;
            done = once(&undo.how, ssh, client).await;
        }
        match done {
            Ok(()) => report.tell(undo.step, Outcome::Undone, undo.what),
            Err(failure) => {
                let detail = format!("not put back: {} ({})", undo.what, failure.summary());
                report.tell(undo.step, Outcome::Left, detail);
            }
        }
    }
}

async fn once(how: &How, ssh: &mut Ssh, client: Option<&NexusClient>) -> Result<(), Failure> {
    match (how, client) {
        (How::Script { text, words, by }, _) => {
            let script = Script {
                text,
                words: words.iter().map(String::as_str).collect(),
                by: *by,
                patience: PATIENCE,
            };
            fine(ssh.run(&script).await?).map(drop)
        }
        (How::Withdraw(id), Some(client)) => nexus::withdraw(client, id).await,
        (How::DeregisterThere { data_dir, by }, Some(client)) => {
            let script = Script {
                text: scripts::WHO,
                words: vec![data_dir],
                by: *by,
                patience: PATIENCE,
            };
            match Facts::read(&fine(ssh.run(&script).await?)?).get("agent_id") {
                Some(id) => nexus::deregister(client, id).await,
                None => Ok(()),
            }
        }
        (How::Withdraw(_) | How::DeregisterThere { .. }, None) => Ok(()),
    }
}

fn fine(said: Said) -> Result<String, Failure> {
    match said.code {
        0 => Ok(said.out),
        code => Err(Failure::new(format!("it ended with {code}")).because(printable(said.err.trim()))),
    }
}
