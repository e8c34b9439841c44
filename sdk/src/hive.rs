//! Work for other skills. A skill may submit only what its grants name; depth and fan-out are bounded.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, answer, host};

/// One task to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Skill to run, for example `EchoSkill`.
    pub skill: String,
    /// Its method.
    pub method: String,
    /// JSON object.
    pub params: String,
    /// `0` to `10`, `high_priority` or `background`.
    pub priority: String,
    /// Longest one run may take; none: the default.
    pub timeout: Option<Duration>,
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Waiting to run, or in a state this SDK does not know.
    Pending,
    /// Running somewhere.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Called off.
    Cancelled,
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The task.
    pub task_id: String,
    /// Where it is.
    pub status: Status,
    /// JSON text, when completed.
    pub value: Option<String>,
    /// Why, when failed.
    pub reason: Option<String>,
}

impl Request {
    /// A background task; `params` must serialize to a JSON object.
    pub fn new<T: Serialize + ?Sized>(skill: impl Into<String>, method: impl Into<String>, params: &T) -> Result<Self> {
        Ok(Self {
            skill: skill.into(),
            method: method.into(),
            params: answer::answer(&params)?,
            priority: "background".to_owned(),
            timeout: None,
        })
    }

    /// With another priority: `0` to `10`, `high_priority` or `background`.
    #[must_use]
    pub fn priority(mut self, priority: impl Into<String>) -> Self {
        self.priority = priority.into();
        self
    }

    /// With a limit on one run.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl Outcome {
    /// The value of a completed task; an error for any other.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        let id = &self.task_id;
        match (self.status, &self.value) {
            (Status::Completed, value) => serde_json::from_str(value.as_deref().unwrap_or("null"))
                .map_err(|cause| Error::Failed(format!("task {id} answered something else: {cause}"))),
            (Status::Cancelled, _) => Err(Error::Failed(format!("task {id} was cancelled"))),
            (Status::Failed, _) => Err(Error::Failed(
                self.reason.clone().unwrap_or_else(|| format!("task {id} failed")),
            )),
            (Status::Pending | Status::Running, _) => Err(Error::TimedOut(format!("task {id} has not ended"))),
        }
    }
}

impl Status {
    /// As the host writes it.
    #[cfg_attr(
        not(target_family = "wasm"),
        expect(dead_code, reason = "the fake host speaks Rust types")
    )]
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "running" => Self::Running,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            _ => Self::Pending,
        }
    }
}

/// Submits all or none; answers the ids in order.
pub fn submit(requests: Vec<Request>) -> Result<Vec<String>> {
    host::submit(requests)
}

/// Waits until all have ended or `timeout` has passed; answers in the order of `task_ids`.
pub fn await_tasks(task_ids: &[String], timeout: Duration) -> Result<Vec<Outcome>> {
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    host::await_tasks(task_ids, u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// The state of one task, now.
pub fn status(task_id: &str) -> Result<Outcome> {
    host::task_status(task_id)
}
