//! Submitting work to other skills. The local form has no hive to submit to and says so.

use std::time::Duration;

use async_trait::async_trait;
use venom_protocol::RequestId;

use super::BackendError;

/// Who asks: every question and every task carries it, so that depth and blame can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveCaller {
    /// The asking skill.
    pub skill: String,
    /// The call it asks from.
    pub request_id: RequestId,
    /// What that call is named by, see [`crate::Call::task_id`].
    pub task_id: String,
    /// Depth the submitted tasks will have.
    pub depth: u32,
    /// The caller's W3C `traceparent`.
    pub traceparent: Option<String>,
}

/// One task to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveRequest {
    /// Skill to run.
    pub skill: String,
    /// Its method.
    pub method: String,
    /// JSON text of an object.
    pub params: String,
    /// `0`..`10`, `high_priority` or `background`.
    pub priority: String,
    /// Longest one run may take; absent: the hive's default.
    pub timeout: Option<Duration>,
}

/// The state of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveOutcome {
    /// The task.
    pub task_id: String,
    /// `pending`, `running`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// JSON text, when completed.
    pub value: Option<String>,
    /// Why, when failed.
    pub reason: Option<String>,
}

/// The hive as a skill sees it.
#[async_trait]
pub trait HiveBackend: Send + Sync + 'static {
    /// Submits all or none; answers the ids in order.
    async fn submit(&self, caller: &HiveCaller, requests: Vec<HiveRequest>) -> Result<Vec<String>, BackendError>;
    /// Waits until all have ended or `timeout` has passed; answers in the order asked.
    async fn await_tasks(
        &self,
        caller: &HiveCaller,
        task_ids: Vec<String>,
        timeout: Duration,
    ) -> Result<Vec<HiveOutcome>, BackendError>;
    /// The state of one task.
    async fn status(&self, caller: &HiveCaller, task_id: String) -> Result<HiveOutcome, BackendError>;
}

/// No hive: everything is unavailable.
#[derive(Debug)]
pub(super) struct NoHive;

const NO_HIVE: &str = "this spore is not part of a hive, so tasks cannot be submitted (start it with a nexus)";

#[async_trait]
impl HiveBackend for NoHive {
    async fn submit(&self, _: &HiveCaller, _: Vec<HiveRequest>) -> Result<Vec<String>, BackendError> {
        Err(BackendError::Unavailable(NO_HIVE.to_owned()))
    }

    async fn await_tasks(&self, _: &HiveCaller, _: Vec<String>, _: Duration) -> Result<Vec<HiveOutcome>, BackendError> {
        Err(BackendError::Unavailable(NO_HIVE.to_owned()))
    }

    async fn status(&self, _: &HiveCaller, _: String) -> Result<HiveOutcome, BackendError> {
        Err(BackendError::Unavailable(NO_HIVE.to_owned()))
    }
}
