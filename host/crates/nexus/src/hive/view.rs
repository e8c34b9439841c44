//! Stored tasks as REST shows them.

use serde_json::value::RawValue;
use venom_broker::{Outcome, StoredTask};
use venom_protocol::{TaskPayload, TaskSpec, TaskView, Timestamp};

/// One task.
///
/// # Errors
/// When its record does not read as a task, which only somebody else's hand can cause.
pub(crate) fn view(task: StoredTask) -> Result<TaskView, String> {
    let wrong = |error: serde_json::Error| format!("record of task {} cannot be read: {error}", task.id);
    let spec: TaskSpec = serde_json::from_str(&task.body).map_err(wrong)?;
    let (result, error_code, error) = match task.outcome {
        None => (None, None, None),
        Some(Outcome::Completed(json)) => (Some(RawValue::from_string(json).map_err(wrong)?), None, None),
        Some(Outcome::Failed(code, text)) => (None, Some(code), Some(text)),
        Some(Outcome::Cancelled(text)) => (None, None, Some(text)),
    };
    let task_type = spec
        .task_type
        .unwrap_or_else(|| format!("{}.{}", spec.skill_name, spec.method_name));
    Ok(TaskView {
        task_id: task.id,
        task_type,
        payload: TaskPayload {
            skill_name: spec.skill_name,
            method_name: spec.method_name,
            parameters: spec.parameters,
        },
        priority: task.priority,
        created_at: time(task.created_at),
        timeout: spec.timeout,
        max_retries: spec.max_retries,
        attempt: task.attempt,
        assigned_node: task.node,
        started_at: task.started_at.map(time),
        completed_at: task.ended_at.map(time),
        due_at: task.due_at.map(time),
        result,
        error,
        error_code,
        status: task.state.status(),
        requirements: spec.requirements,
        placement: spec.placement,
        group: spec.group,
        depends_on: spec.depends_on,
        losses: task.losses,
    })
}

/// Milliseconds since 1970; what no calendar has becomes its first day.
fn time(ms: u64) -> Timestamp {
    let found = i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    Timestamp(found.unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}
