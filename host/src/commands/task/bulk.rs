//! Many tasks submitted in requests of a size every nexus takes.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use reqwest::Method;
use serde::Serialize;
use tokio::time::Instant;
use venom_protocol::{TaskId, TaskRequest, TasksAccepted, TasksRequest};

use crate::client::{NexusClient, Trouble};
use crate::failure::Failure;

/// Tasks in one request: few requests for many tasks, and none that a nexus is busy with for long.
const CHUNK: usize = 1_000;
/// Bytes of parameters in one request: well under the 8 MiB a nexus takes by default.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// What a task takes beside its parameters, roughly.
const TASK_BYTES: usize = 512;
/// First wait before a request is repeated; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Tasks in the order given, cut into requests. Those that name each other must stay together: then it is one.
pub(crate) fn chunks(tasks: Vec<TaskRequest>) -> Vec<TasksRequest> {
    if tasks.iter().any(|task| task.reference.is_some()) {
        return vec![TasksRequest { tasks }];
    }
    let (mut chunks, mut chunk, mut bytes) = (Vec::new(), Vec::new(), 0);
    for task in tasks {
        let size = TASK_BYTES + task.parameters.as_ref().map_or(0, |json| json.get().len());
        if chunk.len() == CHUNK || (bytes + size > CHUNK_BYTES && !chunk.is_empty()) {
            chunks.push(TasksRequest {
                tasks: std::mem::take(&mut chunk),
            });
            bytes = 0;
        }
        bytes += size;
        chunk.push(task);
    }
    if !chunk.is_empty() {
        chunks.push(TasksRequest { tasks: chunk });
    }
    chunks
}

/// Submits one request of several.
pub(crate) async fn submit(client: &NexusClient, chunk: &TasksRequest) -> Result<Vec<TaskId>, Trouble> {
    let accepted: TasksAccepted = ask(client, chunk).await?;
    if accepted.task_ids.len() == chunk.tasks.len() {
        return Ok(accepted.task_ids);
    }
    let (given, taken) = (chunk.tasks.len(), accepted.task_ids.len());
    Err(Failure::new(format!("{given} tasks were submitted and the nexus named {taken}")).into())
}

/// `POST /api/v1/tasks`.
pub(super) async fn ask<T: serde::de::DeserializeOwned>(
    client: &NexusClient,
    body: &impl Serialize,
) -> Result<T, Trouble> {
    client
        .ask(Method::POST, "/api/v1/tasks", Some(body), Duration::ZERO)
        .await
}

/// Asks until there is an answer, as long as asking again can help and there is time. What is asked must do no harm
/// when it is done twice.
pub(crate) async fn patiently<T, F>(until: Instant, ask: impl Fn() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let trouble = match ask().await {
            Err(trouble) if trouble.may_pass() => trouble,
            answer => return answer,
        };
        let wait = trouble.retry_after.unwrap_or(pause);
        if Instant::now() + wait > until {
            return Err(trouble);
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A bar on stderr; nothing where nobody watches.
pub(crate) fn bar(count: usize, what: &str) -> ProgressBar {
    let target = if crate::output::is_watched() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    // The template is a constant; a wrong one would only lose the looks.
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}{msg}  {rate}, {eta} left") {
        bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            // Writing to a line of the terminal that is gone loses only the looks.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        }));
    }
    bar.set_prefix(what.to_owned());
    bar
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::commands::task::blank;
    use crate::params::Target;

    fn tasks(count: usize, bytes: usize) -> Vec<TaskRequest> {
        let text = format!("{{\"t\":\"{}\"}}", "x".repeat(bytes));
        let task = TaskRequest {
            parameters: Some(RawValue::from_string(text).unwrap()),
            ..blank(Target::parse("S.m").unwrap())
        };
        vec![task; count]
    }

    fn sizes(tasks: Vec<TaskRequest>) -> Vec<usize> {
        chunks(tasks).iter().map(|chunk| chunk.tasks.len()).collect()
    }

    #[test]
    fn requests_are_cut_by_number_and_by_size() {
        assert_eq!(sizes(tasks(2_001, 0)), [1_000, 1_000, 1]);
        assert_eq!(sizes(tasks(5, 1_500_000)), [2, 2, 1]);
        assert_eq!(sizes(tasks(2, 9_000_000)), [1, 1], "too big for a nexus, which says so");
        assert!(sizes(Vec::new()).is_empty());
    }

    #[test]
    fn tasks_that_name_each_other_stay_together() {
        let mut named = tasks(1_500, 0);
        if let Some(task) = named.last_mut() {
            task.reference = Some("last".to_owned());
        }
        assert_eq!(sizes(named), [1_500]);
    }
}
