//! Bodies of `POST /api/v1/tasks`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::spec::{Backoff, Placement};
use crate::{Priority, Requirements, TaskId};

/// One task to submit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskRequest {
    /// For example `EchoSkill`.
    pub skill_name: String,
    /// For example `echo`.
    pub method_name: String,
    /// Parameters by name; `{}` when absent. May refer to results of `depends_on` anywhere inside as
    /// `{"$result": "<task id or ref>", "path": "/json/pointer"}`; `path` is optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub parameters: Option<Box<RawValue>>,
    /// 0 to 10, `high_priority` (8) or `background` (2, the default). Higher runs first; a tenth of all runs
    /// is kept for lower ones, so that none starves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Seconds one run may take; `HIVE_TASK_TIMEOUT` (300) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Runs after the first when it fails; `HIVE_MAX_RETRIES` (3) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// How long to wait between runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// What the node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Requirements>,
    /// How to choose among the nodes that fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// Group whose limits on concurrency and rate apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Tasks that must complete first: ids, or `ref`s of the same request. When one fails, this one fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// A name for this task within the same request, for `depends_on` of others.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The same key with the same task again is answered with the first task's id and starts nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Seconds to wait before it may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<f64>,
    /// When it may run at the earliest (ISO 8601); not with `delay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<crate::Timestamp>,
    /// A word of your own, shown as `task_type`; `SKILL.METHOD` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
}

impl TaskRequest {
    /// A task that asks for nothing beyond its method.
    #[must_use]
    pub fn new(skill_name: impl Into<String>, method_name: impl Into<String>) -> Self {
        Self {
            skill_name: skill_name.into(),
            method_name: method_name.into(),
            parameters: None,
            priority: None,
            timeout: None,
            max_retries: None,
            backoff: None,
            requirements: None,
            placement: None,
            group: None,
            depends_on: Vec::new(),
            reference: None,
            idempotency_key: None,
            delay: None,
            eta: None,
            task_type: None,
        }
    }
}

/// Several tasks: all are taken or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TasksRequest {
    /// The tasks.
    pub tasks: Vec<TaskRequest>,
}

/// Answer (202) to one task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskAccepted {
    /// The task.
    pub task_id: TaskId,
    /// True when the idempotency key was known and nothing new was started.
    #[serde(default)]
    pub existing: bool,
}

/// Answer (202) to several.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TasksAccepted {
    /// In the order of the request.
    pub task_ids: Vec<TaskId>,
    /// How many of them were known by their idempotency key.
    #[serde(default)]
    pub existing: usize,
}
