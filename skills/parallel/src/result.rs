//! What comes of a map, in the shape that `POST /api/v1/map` answers too.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use venom_sdk::hive::{Outcome, Status};
use venom_sdk::{Error, Result};

/// What came of a map.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct MapResult {
    /// In numbers.
    summary: Summary,
    /// By `item_index`.
    results: Vec<ItemResult>,
    /// What `reduce` made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub(crate) reduced: Option<Box<RawValue>>,
    /// Why there is no `reduced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reduce_error: Option<String>,
}

/// A map in numbers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct Summary {
    total_tasks: usize,
    completed: usize,
    failed: usize,
    /// Not ended within the wait.
    pending: usize,
    /// Completed out of all: `95.0%`.
    success_rate: String,
}

/// One run of a map.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct ItemResult {
    #[serde(flatten)]
    state: TaskState,
    /// Place in the list of items.
    item_index: usize,
}

/// A task and what came of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct TaskState {
    task_id: String,
    /// `pending`, `running`, `completed`, `failed` or `cancelled`.
    status: &'static str,
    /// Its answer, when completed.
    #[schemars(with = "Value")]
    result: Option<Box<RawValue>>,
    /// Why it failed; `Timeout` when it had not ended within the wait.
    error: Option<String>,
}

impl MapResult {
    pub(crate) fn of(results: Vec<ItemResult>) -> Self {
        let count = |wanted: &[&str]| {
            results
                .iter()
                .filter(|item| wanted.contains(&item.state.status))
                .count()
        };
        let completed = count(&["completed"]);
        let failed = count(&["failed", "cancelled"]);
        let summary = Summary {
            total_tasks: results.len(),
            completed,
            failed,
            pending: results.len() - completed - failed,
            success_rate: percent(completed, results.len()),
        };
        Self {
            summary,
            results,
            reduced: None,
            reduce_error: None,
        }
    }

    /// Answers of the runs that completed, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &RawValue> {
        self.results.iter().filter_map(|item| item.state.result.as_deref())
    }
}

impl ItemResult {
    /// A run that ended.
    pub(crate) fn of(item_index: usize, outcome: Outcome) -> Result<Self> {
        let state = TaskState::of(outcome)?;
        Ok(Self { state, item_index })
    }

    /// A run that had not ended within the wait.
    pub(crate) fn pending(item_index: usize, task_id: String) -> Self {
        let state = TaskState {
            task_id,
            status: "pending",
            result: None,
            error: Some("Timeout".to_owned()),
        };
        Self { state, item_index }
    }
}

impl TaskState {
    pub(crate) fn of(outcome: Outcome) -> Result<Self> {
        let status = match outcome.status {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        };
        let task_id = outcome.task_id;
        let result = match (outcome.status, outcome.value) {
            // an answer of nothing is an answer
            (Status::Completed, value) => Some(raw(&task_id, value.unwrap_or_else(|| "null".to_owned()))?),
            _ => None,
        };
        Ok(Self {
            task_id,
            status,
            result,
            error: outcome.reason,
        })
    }
}

fn raw(task_id: &str, text: String) -> Result<Box<RawValue>> {
    RawValue::from_string(text).map_err(|cause| Error::Failed(format!("task {task_id} answered no JSON: {cause}")))
}

/// Of nothing, all of it.
#[expect(clippy::cast_precision_loss, reason = "counts of items, far below 2^52")]
fn percent(part: usize, whole: usize) -> String {
    let share = if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
    format!("{:.1}%", share * 100.0)
}
