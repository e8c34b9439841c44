//! Runs schedules when they are due. What was decided is on the disk before a run begins: a restart neither forgets a run nor makes it
//! twice, but for one that a crash broke off, which is made once more when its schedule makes up for missed ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use venom_protocol::Timestamp;

use super::Context;
use super::job::Job;
use crate::journal::Journal;
use crate::schedule::{Missed, Schedule};

/// The journal's name in the data directory.
pub(super) const FILE: &str = "agent-schedules.json";

/// Longest time between two looks at the clock: it may be set, and the machine may have slept.
const LOOK: Duration = Duration::from_secs(30);

/// How often one run is begun before it is given up.
const MOST_BEGINNINGS: u32 = 2;

/// What is remembered of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    last: Option<Timestamp>,
    /// How often the run that is not over was begun; 0 when none is.
    #[serde(default)]
    begun: u32,
}

/// See the module.
pub(super) struct Timer {
    journal: Journal,
    memories: BTreeMap<String, Memory>,
    running: BTreeSet<String>,
}

impl Timer {
    pub(super) fn open(journal: Journal) -> io::Result<Self> {
        Ok(Self {
            memories: journal.read()?,
            journal,
            running: BTreeSet::new(),
        })
    }

    pub(super) async fn run(mut self, context: &Context) {
        let schedules = &context.settings.file.schedules;
        self.memories
            .retain(|name, _| schedules.iter().any(|schedule| schedule.name == *name));
        let mut runs = FuturesUnordered::new();
        for schedule in schedules {
            if self.resume(schedule) {
                runs.push(make_runs(context, schedule, 1));
            }
        }
        self.keep().await;
        loop {
            let mut wait = LOOK;
            let asked = context.asked.take();
            for schedule in schedules.iter().filter(|schedule| asked.contains(&schedule.name)) {
                if self.running.insert(schedule.name.clone()) {
                    tracing::info!(schedule = schedule.name, "runs now, as somebody here wants");
                    runs.push(make_runs(context, schedule, 1));
                }
            }
            for schedule in schedules {
                if self.running.contains(&schedule.name) {
                    continue;
                }
                let (count, soonest) = self.decide(context, schedule).await;
                wait = wait.min(soonest);
                if count > 0 {
                    runs.push(make_runs(context, schedule, count));
                }
            }
            tokio::select! {
                () = context.stop.cancelled() => return self.break_off().await,
                Some(name) = runs.next() => self.ended(name).await,
                () = context.asked.rung() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Whether a run that was broken off is begun again.
    fn resume(&mut self, schedule: &Schedule) -> bool {
        let Some(memory) = self.memories.get_mut(&schedule.name) else {
            return false;
        };
        let begun = std::mem::take(&mut memory.begun);
        if begun == 0 || schedule.missed == Missed::Skip {
            return false;
        }
        if begun >= MOST_BEGINNINGS {
            tracing::error!(
                schedule = schedule.name,
                "a run was broken off twice; it is not begun again until it is due"
            );
            return false;
        }
        memory.begun = begun.saturating_add(1);
        self.running.insert(schedule.name.clone());
        true
    }

    /// How many runs to begin now, and how long to wait for the next look.
    async fn decide(&mut self, context: &Context, schedule: &Schedule) -> (u32, Duration) {
        let now = context.now();
        let memory = self.memories.entry(schedule.name.clone()).or_default();
        let decision = schedule.decide(&context.settings.file.agent_id, memory.last, now);
        let remembered = Memory {
            last: Some(decision.remember),
            begun: decision.runs.min(1),
        };
        let changed = *memory != remembered;
        *memory = remembered;
        if decision.runs > 0 {
            self.running.insert(schedule.name.clone());
        }
        context.board.schedule(&schedule.name, |state| {
            state.next = Some(decision.next);
            state.skipped = state.skipped.saturating_add(decision.skipped);
        });
        if decision.skipped > 0 {
            tracing::warn!(
                schedule = schedule.name,
                runs = decision.skipped,
                "runs were missed and are not made up for"
            );
        }
        if changed {
            self.keep().await;
        }
        let wait = decision.next.0.duration_since(now.0);
        (decision.runs, Duration::try_from(wait).unwrap_or_default())
    }

    /// Being told to stop is no crash: what runs is begun again after the next start, as if it had been begun once less.
    async fn break_off(&mut self) {
        let mut changed = false;
        for (_, memory) in self
            .memories
            .iter_mut()
            .filter(|(name, _)| self.running.contains(*name))
        {
            if memory.begun > 1 {
                memory.begun = memory.begun.saturating_sub(1);
                changed = true;
            }
        }
        if changed {
            self.keep().await;
        }
    }

    async fn ended(&mut self, name: &str) {
        self.running.remove(name);
        if let Some(memory) = self.memories.get_mut(name) {
            memory.begun = 0;
        }
        self.keep().await;
    }

    async fn keep(&self) {
        if let Err(error) = self.journal.write(&self.memories).await {
            // the run is made all the same: at worst it is made again after a restart
            tracing::error!(%error, "when schedules ran cannot be written down");
        }
    }
}

/// Makes runs of one schedule, one after the other.
async fn make_runs<'a>(context: &Context, schedule: &'a Schedule, count: u32) -> &'a str {
    let (name, job) = (&schedule.name, Job::of_schedule(schedule));
    for _ in 0..count {
        context.board.schedule(name, |state| {
            state.running = true;
            state.began = Some(context.now());
        });
        let outcome = job.run(context).await;
        match &outcome {
            Ok(summary) => tracing::info!(schedule = name, ?summary, "a run ended"),
            Err(error) => tracing::warn!(schedule = name, error, "a run failed"),
        }
        context.board.schedule(name, |state| {
            state.running = false;
            state.ended = Some(context.now());
            match &outcome {
                Ok(summary) => {
                    state.succeeded = state.succeeded.saturating_add(1);
                    state.error = summary.trouble.first().cloned();
                }
                Err(error) => {
                    state.failed = state.failed.saturating_add(1);
                    state.error = Some(error.clone());
                }
            }
        });
    }
    name
}
