//! Commands: fetched, told of, done, reported. Each is on the disk before it is told of, so that one that a crash broke off is done once
//! more, and then reported as failed; none is done twice because an answer was lost.

use std::collections::VecDeque;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use venom_protocol::{CommandStatus, CommandUpdate, PendingCommand};

use super::Context;
use super::job::Job;
use crate::client::ClientError;
use crate::journal::Journal;

/// The journal's name in the data directory.
pub(super) const FILE: &str = "agent-commands.json";

/// Commands in hand; those beyond wait at the nexus.
const MOST_IN_HAND: usize = 32;

/// Ended commands that are remembered, in case the nexus never heard that they were.
const MOST_REMEMBERED: usize = 256;

/// How often one command is begun before it is given up.
const MOST_BEGINNINGS: u32 = 2;

/// Where a command in hand stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "lowercase")]
enum Stage {
    Waiting { begun: u32 },
    Ended { status: CommandStatus, result: Value },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct InHand {
    command: PendingCommand,
    #[serde(flatten)]
    stage: Stage,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    in_hand: Vec<InHand>,
    ended: VecDeque<(String, CommandStatus)>,
}

/// See the module.
pub(super) struct Commands {
    journal: Journal,
    memory: Memory,
    /// Which of those in hand is being done.
    doing: Option<usize>,
}

impl Commands {
    pub(super) fn open(journal: Journal) -> io::Result<Self> {
        Ok(Self {
            memory: journal.read()?,
            journal,
            doing: None,
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.memory.in_hand.len() as u64
    }

    pub(super) async fn run(mut self, context: &Context) {
        let obeying = async {
            loop {
                // also those a run before left; and those whose report was not heard, with each heartbeat that is
                context.commands_due.notified().await;
                self.fetch(context).await;
                self.obey(context).await;
                self.report(context).await;
            }
        };
        tokio::select! {
            () = obeying => {}
            () = context.stop.cancelled() => {}
        }
        self.break_off(context).await;
    }

    /// Being told to stop is no crash: what was being done is done after the next start, and that it was begun does not count.
    async fn break_off(&mut self, context: &Context) {
        let in_hand = self.doing.take().and_then(|at| self.memory.in_hand.get_mut(at));
        if let Some(Stage::Waiting { begun }) = in_hand.map(|in_hand| &mut in_hand.stage) {
            *begun = begun.saturating_sub(1);
            self.keep(context).await;
        }
    }

    async fn fetch(&mut self, context: &Context) {
        let fetched = match context.client.commands().await {
            Ok(fetched) => fetched.commands,
            Err(error) => {
                tracing::warn!(%error, "commands cannot be fetched");
                return;
            }
        };
        let mut new = false;
        for command in fetched {
            let known = self.memory.in_hand.iter().any(|it| it.command.id == command.id);
            if known || self.memory.in_hand.len() >= MOST_IN_HAND {
                continue;
            }
            // it was done, and the nexus does not know
            let stage = match self.memory.ended.iter().find(|(id, _)| *id == command.id) {
                Some((_, status)) => Stage::Ended {
                    status: *status,
                    result: json!({ "note": "it ended before; its result was reported then" }),
                },
                None => Stage::Waiting { begun: 0 },
            };
            self.memory.in_hand.push(InHand { command, stage });
            new = true;
        }
        if new {
            self.keep(context).await;
        }
    }

    /// Does what is in hand, one after the other.
    async fn obey(&mut self, context: &Context) {
        for at in 0..self.memory.in_hand.len() {
            let Some(in_hand) = self.memory.in_hand.get_mut(at) else {
                return;
            };
            let Stage::Waiting { begun } = &mut in_hand.stage else {
                continue;
            };
            *begun = begun.saturating_add(1);
            let (begun, command) = (*begun, in_hand.command.clone());
            self.doing = Some(at);
            let stage = if begun > MOST_BEGINNINGS {
                failed("the agent ended twice in the middle of it; it is not tried again")
            } else if self.keep(context).await {
                obey(context, &command).await
            } else {
                // what cannot be remembered is not begun: it would be done again and again
                failed("the agent cannot write to its disk")
            };
            if let Some(in_hand) = self.memory.in_hand.get_mut(at) {
                in_hand.stage = stage;
            }
            self.doing = None;
            self.keep(context).await;
        }
    }

    /// Says how those ended that did.
    async fn report(&mut self, context: &Context) {
        let mut left = Vec::new();
        for in_hand in std::mem::take(&mut self.memory.in_hand) {
            let Stage::Ended { status, result } = &in_hand.stage else {
                left.push(in_hand);
                continue;
            };
            let id = in_hand.command.id.clone();
            match update(context, &id, *status, Some(result.clone())).await {
                // it will say the same next time
                Err(error) if may_pass(&error) => {
                    tracing::warn!(%error, command = id, "how a command ended cannot be reported yet");
                    left.push(in_hand);
                }
                reported => {
                    if let Err(error) = reported {
                        tracing::warn!(%error, command = id, "the nexus does not want to know how a command ended");
                    }
                    self.memory.ended.retain(|(ended, _)| *ended != id);
                    self.memory.ended.push_back((id, *status));
                    if self.memory.ended.len() > MOST_REMEMBERED {
                        self.memory.ended.pop_front();
                    }
                }
            }
        }
        self.memory.in_hand = left;
        self.keep(context).await;
    }

    async fn keep(&self, context: &Context) -> bool {
        let commands = self.len();
        context.board.change(|state| state.commands = commands);
        let kept = self.journal.write(&self.memory).await;
        kept.inspect_err(|error| tracing::error!(%error, "commands cannot be written down"))
            .is_ok()
    }
}

fn failed(why: &str) -> Stage {
    Stage::Ended {
        status: CommandStatus::Failed,
        result: json!({ "error": why }),
    }
}

/// Whether a refusal says nothing of the command.
fn may_pass(error: &ClientError) -> bool {
    error.is_retryable() || matches!(error.status().map(|status| status.as_u16()), Some(401 | 403))
}

async fn update(context: &Context, id: &str, status: CommandStatus, result: Option<Value>) -> Result<(), ClientError> {
    let update = CommandUpdate { status, result };
    context.client.update_command(id, &update).await.map(drop)
}

/// Does one; answers how it ended.
async fn obey(context: &Context, command: &PendingCommand) -> Stage {
    let job = match command.command_type.as_str() {
        "scan_now" => Job::of_command(&command.params),
        other => Err(format!(
            "this agent ({}) knows no command `{}`; it knows scan_now",
            context.settings.version,
            other.chars().take(64).collect::<String>()
        )),
    };
    let job = match job {
        Ok(job) => job,
        Err(why) => return failed(&why),
    };
    for status in [CommandStatus::Ack, CommandStatus::Running] {
        if let Err(error) = update(context, &command.id, status, None).await {
            if !may_pass(&error) && status == CommandStatus::Ack {
                return failed("the nexus withdrew it");
            }
            tracing::debug!(%error, command = command.id, "the nexus did not hear that a command is being done");
        }
    }
    tracing::info!(command = command.id, targets = ?job.targets, "a command begins");
    match job.run(context).await {
        Ok(summary) => Stage::Ended {
            status: CommandStatus::Completed,
            result: json!(summary),
        },
        Err(why) => failed(&why),
    }
}
