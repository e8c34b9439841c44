//! The hive of a spore that has none: tasks that skills submit run on this spore's own skills. Bounded in
//! number, depth, bytes and time kept; in memory only, so nothing survives the process.

mod board;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use venom_runtime::{BackendError, Call, HiveBackend, HiveCaller, HiveOutcome, HiveRequest};

use crate::Executor;
use board::{Board, Job, Priority, State};

/// Bounds of a [`LocalHive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalHiveLimits {
    /// Tasks known at one time, ended ones included until they are forgotten.
    pub tasks: usize,
    /// Tasks running at one time at each depth. Counted by depth, so that tasks which wait for their
    /// children never hold the slots the children need.
    pub concurrency: usize,
    /// Greatest depth: a task submitted by a call of a person has depth 1.
    pub depth: u32,
    /// How long the result of a task can be asked for.
    pub keep: Duration,
    /// Bytes of results kept; beyond it the oldest are forgotten sooner.
    pub result_bytes: usize,
    /// Longest a task runs when its submitter does not say.
    pub timeout: Duration,
}

impl Default for LocalHiveLimits {
    fn default() -> Self {
        Self {
            tasks: 10_000,
            concurrency: 64,
            depth: 4,
            keep: Duration::from_secs(3_600),
            result_bytes: 256 * 1024 * 1024,
            timeout: Duration::from_secs(300),
        }
    }
}

/// See the module. It runs tasks on an executor that may itself reach this hive, so neither is freed before
/// the process ends; `stop` cancels what runs.
pub struct LocalHive<E> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    executor: E,
    limits: LocalHiveLimits,
    board: Mutex<Board>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<E: Executor> LocalHive<E> {
    /// A hive that runs tasks on `executor` until `stop`.
    pub fn new(executor: E, limits: LocalHiveLimits, stop: CancellationToken) -> Self {
        Self {
            shared: Arc::new(Shared {
                executor,
                limits,
                board: Mutex::new(Board::new(limits)),
                tasks: TaskTracker::new(),
                stop,
            }),
        }
    }

    fn check(&self, caller: &HiveCaller, requests: Vec<HiveRequest>) -> Result<Vec<Job>, BackendError> {
        let limits = self.shared.limits;
        if caller.depth > limits.depth {
            let text = format!(
                "tasks may submit tasks {} deep, and this would be {}",
                limits.depth, caller.depth
            );
            return Err(BackendError::Limit(text));
        }
        if self.shared.stop.is_cancelled() {
            return Err(BackendError::Unavailable(
                "spore is ending and takes no tasks".to_owned(),
            ));
        }
        let known = self.shared.executor.skills();
        requests
            .into_iter()
            .map(|request| self.job(caller, request, &known))
            .collect()
    }

    fn job(&self, caller: &HiveCaller, request: HiveRequest, known: &[String]) -> Result<Job, BackendError> {
        if !known.contains(&request.skill) {
            let text = format!("no skill `{}` here; known are: {}", request.skill, known.join(", "));
            return Err(BackendError::NotFound(text));
        }
        let priority = Priority::parse(&request.priority).ok_or_else(|| {
            let text = format!(
                "`{}` is no priority (0 to 10, high_priority or background)",
                request.priority
            );
            BackendError::Invalid(text)
        })?;
        let params = RawValue::from_string(request.params)
            .ok()
            .filter(|params| params.get().starts_with('{'))
            .ok_or_else(|| BackendError::Invalid(format!("params of {} are no json object", request.skill)))?;
        Ok(Job {
            task_id: Uuid::new_v4(),
            depth: caller.depth,
            priority,
            skill: request.skill,
            method: request.method,
            params,
            traceparent: caller.traceparent.clone(),
            timeout: request.timeout.unwrap_or(self.shared.limits.timeout),
        })
    }

    fn watch(&self, caller: &HiveCaller, task_id: &str) -> Result<watch::Receiver<State>, BackendError> {
        let found = Uuid::parse_str(task_id)
            .ok()
            .and_then(|id| self.shared.board().watch(&caller.skill, id));
        found.ok_or_else(|| {
            let keep = self.shared.limits.keep;
            BackendError::NotFound(format!("no task `{task_id}`; results are kept for {keep:?}"))
        })
    }
}

impl<E: Executor> Shared<E> {
    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what waits at this depth, as far as there are slots.
    fn start_waiting(self: &Arc<Self>, depth: u32) {
        let jobs: Vec<Job> = std::iter::from_fn(|| self.board().start_next(depth)).collect();
        for job in jobs {
            let shared = Arc::clone(self);
            self.tasks.spawn(async move {
                let (task_id, depth) = (job.task_id, job.depth);
                let mut slot = Slot {
                    shared: &shared,
                    task_id,
                    depth,
                    result: Err("the host failed while it ran the task; its log says more".to_owned()),
                };
                slot.result = shared.run(job).await;
            });
        }
    }

    async fn run(&self, job: Job) -> Result<String, String> {
        let call = Call {
            task_id: job.task_id.to_string(),
            traceparent: job.traceparent,
            attempt: 1,
            method: job.method,
            params: job.params,
            timeout: job.timeout,
            cancel: self.stop.child_token(),
            progress: None,
            depth: job.depth,
        };
        let outcome = self.executor.execute(job.skill, call).await;
        outcome
            .result
            .map(|value| value.get().to_owned())
            .map_err(|error| error.message)
    }
}

/// A slot in use. Given back, with the result, however the task ends.
struct Slot<'a, E: Executor> {
    shared: &'a Arc<Shared<E>>,
    task_id: Uuid,
    depth: u32,
    result: Result<String, String>,
}

impl<E: Executor> Drop for Slot<'_, E> {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Ok(String::new()));
        self.shared
            .board()
            .end(self.task_id, self.depth, result, Instant::now());
        self.shared.start_waiting(self.depth);
    }
}

#[async_trait]
impl<E: Executor> HiveBackend for LocalHive<E> {
    async fn submit(&self, caller: &HiveCaller, requests: Vec<HiveRequest>) -> Result<Vec<String>, BackendError> {
        let jobs = self.check(caller, requests)?;
        let ids = jobs.iter().map(|job| job.task_id.to_string()).collect();
        let posted = self.shared.board().post(&caller.skill, jobs, Instant::now());
        posted.map_err(|full| BackendError::Limit(full.to_string()))?;
        self.shared.start_waiting(caller.depth);
        Ok(ids)
    }

    async fn await_tasks(
        &self,
        caller: &HiveCaller,
        task_ids: Vec<String>,
        timeout: Duration,
    ) -> Result<Vec<HiveOutcome>, BackendError> {
        let deadline = Instant::now() + timeout;
        let watched: Result<Vec<_>, _> = task_ids
            .into_iter()
            .map(|id| self.watch(caller, &id).map(|state| (id, state)))
            .collect();
        let mut outcomes = Vec::new();
        for (task_id, mut state) in watched? {
            // past the deadline each task is still looked at once
            let _ = timeout_at(deadline, state.wait_for(State::has_ended)).await;
            let state = state.borrow().clone();
            outcomes.push(state.outcome(task_id));
        }
        Ok(outcomes)
    }

    async fn status(&self, caller: &HiveCaller, task_id: String) -> Result<HiveOutcome, BackendError> {
        let state = self.watch(caller, &task_id)?.borrow().clone();
        Ok(state.outcome(task_id))
    }
}
