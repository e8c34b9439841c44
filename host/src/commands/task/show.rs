//! Tasks as people read them.

use std::time::Duration;

use reqwest::Method;
use venom_protocol::{TaskStatus, TaskView};

use crate::commands::exec::skill_failure;
use crate::failure::Failure;
use crate::output;

/// Most characters of an error in a table.
const ERROR_WIDTH: usize = 60;

/// All of one task.
pub(super) fn show(task: &TaskView, json: bool) -> Result<(), Failure> {
    if json {
        return output::say_json(task);
    }
    let bold = output::BOLD;
    for (name, value) in facts(task) {
        output::say(format!("{bold}{name:<12}{bold:#} {value}"))?;
    }
    match &task.result {
        Some(result) => output::say(format!(
            "{bold}{:<12}{bold:#} {}",
            "result",
            output::result_text(result)
        )),
        None => Ok(()),
    }
}

fn facts(task: &TaskView) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("id", task.task_id.to_string()),
        ("type", task.task_type.clone()),
        ("status", task.status.to_string()),
        ("runs", name_of(task)),
        ("priority", task.priority.to_string()),
        (
            "attempt",
            format!("{} of {}", task.attempt, u64::from(task.max_retries) + 1),
        ),
        ("timeout", format!("{} s", task.timeout)),
        ("submitted", task.created_at.to_string()),
    ];
    let list = |ids: &[venom_protocol::TaskId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let optional = [
        ("due", task.due_at.map(|at| at.to_string())),
        ("started", task.started_at.map(|at| at.to_string())),
        ("ended", task.completed_at.map(|at| at.to_string())),
        ("node", task.assigned_node.map(|node| node.to_string())),
        ("group", task.group.clone()),
        (
            "depends on",
            (!task.depends_on.is_empty()).then(|| list(&task.depends_on)),
        ),
        ("nodes lost", (task.losses > 0).then(|| task.losses.to_string())),
        ("error", task.error.clone()),
    ];
    facts.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    facts
}

/// One line for each task.
pub(super) fn table(tasks: &[TaskView]) -> String {
    let rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
    output::table(
        &[
            "ID",
            "TYPE",
            "STATUS",
            "PRIORITY",
            "ATTEMPT",
            "SUBMITTED",
            "NODE",
            "ERROR",
        ],
        &rows,
    )
}

fn row(task: &TaskView) -> Vec<String> {
    vec![
        task.task_id.to_string(),
        task.task_type.clone(),
        task.status.to_string(),
        task.priority.to_string(),
        task.attempt.to_string(),
        task.created_at.to_string(),
        task.assigned_node.map(|node| node.to_string()).unwrap_or_default(),
        short(task.error.as_deref().unwrap_or_default()),
    ]
}

/// The first line of a text, cut.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= ERROR_WIDTH {
        return line.to_owned();
    }
    line.chars().take(ERROR_WIDTH - 1).chain(['…']).collect()
}

/// What became of a task that was to be cancelled (`DELETE`) or requeued.
pub(super) fn fate(task: &TaskView, asked: &Method) -> String {
    let id = task.task_id;
    match task.status {
        status if asked != Method::DELETE => format!("{id} is {status} again"),
        TaskStatus::Cancelled => format!("{id} is cancelled"),
        TaskStatus::Completed | TaskStatus::Failed => format!("{id} had {} before", task.status),
        TaskStatus::Blocked | TaskStatus::Pending | TaskStatus::Running => format!("{id} runs and is being stopped"),
    }
}

/// Prints the result of a task that ended, or says why there is none.
pub(super) fn outcome(task: &TaskView) -> Result<(), Failure> {
    let id = task.task_id;
    match (task.status, &task.result) {
        (TaskStatus::Completed, Some(result)) => output::say(output::result_text(result)),
        (TaskStatus::Completed, None) => Ok(()),
        (TaskStatus::Cancelled, _) => {
            let failure = Failure::new(format!("task {id} was cancelled"));
            Err(match &task.error {
                Some(why) => failure.because(why),
                None => failure,
            })
        }
        _ => {
            let why = task.error.as_deref().unwrap_or("it gave no reason");
            let name = format!("{} (task {id}, attempt {})", name_of(task), task.attempt);
            Err(skill_failure(&name, task.error_code, why))
        }
    }
}

/// A wait that was too short for a task.
pub(super) fn not_ended(task: &TaskView, wait: Duration) -> Failure {
    let id = task.task_id;
    let failure = Failure::new(format!("task {id} is {} after {} s", task.status, wait.as_secs_f64()));
    let failure = match &task.error {
        Some(why) => failure.because(why),
        None => failure,
    };
    failure.help(format!("it goes on; `venom-host task watch {id}` follows it"))
}

fn name_of(task: &TaskView) -> String {
    format!("{}.{}", task.payload.skill_name, task.payload.method_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_errors_are_cut_in_tables() {
        assert_eq!(short("one\ntwo"), "one");
        let cut = short(&"ä".repeat(100));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (ERROR_WIDTH, true));
    }
}
