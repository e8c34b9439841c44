//! The books of a local hive: which tasks wait, run and have ended. Pure: it runs nothing and is told the
//! time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;
use venom_runtime::HiveOutcome;

use super::LocalHiveLimits;

/// 0..10; higher runs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Priority(u8);

impl Priority {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "high_priority" => Some(Self(8)),
            "background" | "" => Some(Self(2)),
            number => number.parse().ok().filter(|level| *level <= 10).map(Self),
        }
    }
}

/// A task to run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) task_id: Uuid,
    pub(super) depth: u32,
    pub(super) priority: Priority,
    pub(super) skill: String,
    pub(super) method: String,
    pub(super) params: Box<RawValue>,
    pub(super) traceparent: Option<String>,
    pub(super) timeout: Duration,
}

/// Where a task is.
#[derive(Debug, Clone)]
pub(super) enum State {
    Pending,
    Running,
    Completed(Arc<str>),
    Failed(Arc<str>),
}

impl State {
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Failed(_))
    }

    pub(super) fn outcome(&self, task_id: String) -> HiveOutcome {
        let (status, value, reason) = match self {
            Self::Pending => ("pending", None, None),
            Self::Running => ("running", None, None),
            Self::Completed(value) => ("completed", Some(value.to_string()), None),
            Self::Failed(reason) => ("failed", None, Some(reason.to_string())),
        };
        HiveOutcome {
            task_id,
            status: status.to_owned(),
            value,
            reason,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Pending | Self::Running => 0,
            Self::Completed(text) | Self::Failed(text) => text.len(),
        }
    }
}

/// Every place is taken.
#[derive(Debug, thiserror::Error)]
#[error("hive of this spore has {known} of at most {most} tasks and cannot take {asked} more; await some first")]
pub(super) struct Full {
    known: usize,
    most: usize,
    asked: usize,
}

struct Record {
    /// Skill that submitted it; others are told that there is no such task.
    owner: String,
    state: watch::Sender<State>,
}

/// Tasks of one depth.
#[derive(Default)]
struct Lane {
    running: usize,
    /// By priority, the highest last; among equals the oldest is last.
    waiting: BTreeMap<(Priority, std::cmp::Reverse<u64>), Job>,
}

/// See the module.
pub(super) struct Board {
    limits: LocalHiveLimits,
    records: HashMap<Uuid, Record>,
    lanes: HashMap<u32, Lane>,
    /// Oldest first.
    ended: VecDeque<(Instant, Uuid)>,
    result_bytes: usize,
    posted: u64,
}

impl Board {
    pub(super) fn new(limits: LocalHiveLimits) -> Self {
        Self {
            limits,
            records: HashMap::new(),
            lanes: HashMap::new(),
            ended: VecDeque::new(),
            result_bytes: 0,
            posted: 0,
        }
    }

    /// Takes all jobs or none.
    pub(super) fn post(&mut self, owner: &str, jobs: Vec<Job>, now: Instant) -> Result<(), Full> {
        self.forget_expired(now);
        let (known, asked, most) = (self.records.len(), jobs.len(), self.limits.tasks);
        if known.saturating_add(asked) > most {
            return Err(Full { known, most, asked });
        }
        for job in jobs {
            let record = Record {
                owner: owner.to_owned(),
                state: watch::Sender::new(State::Pending),
            };
            self.records.insert(job.task_id, record);
            self.posted += 1;
            let place = (job.priority, std::cmp::Reverse(self.posted));
            self.lanes.entry(job.depth).or_default().waiting.insert(place, job);
        }
        Ok(())
    }

    /// The next job of this depth, when there is one and a slot for it. It counts as running from now on.
    pub(super) fn start_next(&mut self, depth: u32) -> Option<Job> {
        let lane = self.lanes.get_mut(&depth)?;
        if lane.running >= self.limits.concurrency {
            return None;
        }
        let (_, job) = lane.waiting.pop_last()?;
        lane.running += 1;
        if let Some(record) = self.records.get(&job.task_id) {
            record.state.send_replace(State::Running);
        }
        Some(job)
    }

    /// A running task ended.
    pub(super) fn end(&mut self, task_id: Uuid, depth: u32, result: Result<String, String>, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&depth) {
            lane.running = lane.running.saturating_sub(1);
        }
        let state = match result {
            Ok(value) => State::Completed(value.into()),
            Err(reason) => State::Failed(reason.into()),
        };
        self.result_bytes += state.bytes();
        if let Some(record) = self.records.get(&task_id) {
            record.state.send_replace(state);
            self.ended.push_back((now, task_id));
        }
        while self.result_bytes > self.limits.result_bytes && self.ended.len() > 1 {
            self.forget_oldest();
        }
    }

    /// The state of a task of `owner`.
    pub(super) fn watch(&mut self, owner: &str, task_id: Uuid) -> Option<watch::Receiver<State>> {
        self.forget_expired(Instant::now());
        let record = self.records.get(&task_id).filter(|record| record.owner == owner)?;
        Some(record.state.subscribe())
    }

    fn forget_expired(&mut self, now: Instant) {
        while self
            .ended
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) >= self.limits.keep)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let record = self.ended.pop_front().and_then(|(_, id)| self.records.remove(&id));
        if let Some(record) = record {
            self.result_bytes = self.result_bytes.saturating_sub(record.state.borrow().bytes());
        }
    }
}
