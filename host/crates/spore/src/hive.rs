//! The hive of a spore that has none: tasks that skills submit run on this spore's own skills. Bounded in
//! number, depth and time kept; in memory only, so nothing survives the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use venom_runtime::{BackendError, Call, HiveBackend, HiveCaller, HiveOutcome, HiveRequest};

use crate::Executor;

/// Bounds of a [`LocalHive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalHiveLimits {
    /// Tasks remembered at one time, ended ones included until they are forgotten.
    pub tasks: usize,
    /// Tasks running at one time at each depth. Counted by depth, so that tasks which wait for their
    /// children never hold the slots the children need.
    pub concurrency: usize,
    /// Greatest depth: a task submitted by a call of a person has depth 1.
    pub depth: u32,
    /// How long the result of a task can be asked for.
    pub keep: Duration,
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
            timeout: Duration::from_secs(300),
        }
    }
}

/// See the module.
pub struct LocalHive<E> {
    executor: Arc<E>,
    limits: LocalHiveLimits,
    slots: Vec<Arc<Semaphore>>,
    records: Arc<Mutex<Records>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

type Records = HashMap<String, Record>;

struct Record {
    /// Skill that submitted it; others are told that there is no such task.
    owner: String,
    state: watch::Receiver<State>,
}

#[derive(Debug, Clone)]
enum State {
    Pending,
    Running,
    Completed { value: Arc<str>, at: Instant },
    Failed { reason: Arc<str>, at: Instant },
}

impl<E: Executor> LocalHive<E> {
    /// A hive that runs tasks on `executor` until `stop`.
    pub fn new(executor: E, limits: LocalHiveLimits, stop: CancellationToken) -> Self {
        let _ = (executor, limits, stop);
        todo!()
    }
}
