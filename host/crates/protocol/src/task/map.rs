//! Mapping one method over many items: bodies of `POST /api/v1/map`, and the result that `ParallelSkill` gives too.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Priority, Requirements, TaskId, TaskStatus};

/// `POST /api/v1/map`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MapRequest {
    /// Skill to run.
    pub skill_name: String,
    /// Its method.
    pub method_name: String,
    /// One task each. An object becomes the parameters itself, anything else is passed under `param`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub items: Vec<Box<RawValue>>,
    /// Name of the parameter an item that is no object is passed under; `item` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// As for a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Seconds to wait for all; 300 when absent. What has not ended by then is listed as pending and goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_timeout: Option<f64>,
    /// Seconds one run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Runs after the first, when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// What the nodes must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Requirements>,
    /// Run once over the results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Reduce>,
}

/// A method that is given the results of all that completed, in order, and whose answer is `reduced`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reduce {
    /// Skill to run.
    pub skill_name: String,
    /// Its method.
    pub method_name: String,
    /// Name of the parameter that gets the list of results; `results` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
}

/// What came of a map (CONTRACTS, hive).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MapResult {
    /// In numbers.
    pub summary: MapSummary,
    /// By `item_index`.
    pub results: Vec<MapItem>,
    /// What `reduce` made of it; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub reduced: Option<Value>,
    /// Why there is no `reduced`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce_error: Option<String>,
}

/// A map in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MapSummary {
    /// Items.
    pub total_tasks: usize,
    /// Ended well.
    pub completed: usize,
    /// Ended badly.
    pub failed: usize,
    /// Not ended within the wait.
    pub pending: usize,
    /// Completed out of all, as `95.0%`.
    pub success_rate: String,
}

/// One item of a map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MapItem {
    /// Its task.
    pub task_id: TaskId,
    /// Where it is; `pending` when it had not ended within the wait.
    pub status: TaskStatus,
    /// Its answer.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub result: Option<Value>,
    /// Why it failed; `Timeout` when it had not ended within the wait.
    pub error: Option<String>,
    /// Place in `items`.
    pub item_index: usize,
}

impl MapResult {
    /// Counts the items.
    #[must_use]
    pub fn of(results: Vec<MapItem>) -> Self {
        let count = |wanted: &[TaskStatus]| results.iter().filter(|item| wanted.contains(&item.status)).count();
        let completed = count(&[TaskStatus::Completed]);
        let failed = count(&[TaskStatus::Failed, TaskStatus::Cancelled]);
        let summary = MapSummary {
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
}

/// `95.0%`; of nothing, all of it.
#[expect(clippy::cast_precision_loss, reason = "counts of items, far below 2^52")]
fn percent(part: usize, whole: usize) -> String {
    let share = if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
    format!("{:.1}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_counted_once() {
        let statuses = [
            TaskStatus::Completed,
            TaskStatus::Failed,
            TaskStatus::Cancelled,
            TaskStatus::Running,
            TaskStatus::Completed,
            TaskStatus::Pending,
        ];
        let items = statuses.iter().enumerate().map(|(item_index, status)| MapItem {
            task_id: TaskId::random(),
            status: *status,
            result: None,
            error: None,
            item_index,
        });
        let result = MapResult::of(items.collect());
        let expected = MapSummary {
            total_tasks: 6,
            completed: 2,
            failed: 2,
            pending: 2,
            success_rate: "33.3%".to_owned(),
        };
        assert_eq!(result.summary, expected);
        assert_eq!(MapResult::of(Vec::new()).summary.success_rate, "100.0%");
    }
}
