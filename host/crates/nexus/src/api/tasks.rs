//! Tasks: submit, look, wait, list, cancel, requeue, map.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use venom_broker::{Cancelled, State as TaskState};
use venom_protocol::{
    MapRequest, MapResult, TaskAccepted, TaskId, TaskList, TaskRequest, TaskStatus, TaskView, TasksAccepted,
    TasksRequest,
};

use super::App;
use super::body::{Json, TaskPath, Unsaid, json as answer, json_with};
use super::problem::{Problem, ProblemBody};
use super::query::Query;
use crate::auth::door::Visitor;
use crate::hive::{Hive, NotTaken, Submitter, view};
use crate::state::Shared;

/// Longest a request may wait for a task to end.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// Tasks listed when the request does not say.
const LISTED: usize = 50;
/// Most tasks listed in one answer.
const MOST_LISTED: usize = 1_000;

/// One task or several: `{skill_name, ...}` or `{tasks: [...]}`.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "only its schema is used: an untagged enum cannot say what does not fit"
)]
pub(super) enum Submission {
    Several(TasksRequest),
    One(Box<TaskRequest>),
}

/// Submits one task or several. All are stored before the answer, or none is.
#[utoipa::path(post, path = "/api/v1/tasks", tag = "tasks", operation_id = "submit_tasks", request_body = Submission,
    responses(
        (status = 202, description = "stored; `{task_id}` for one task, `{task_ids}` for several", body = TasksAccepted),
        (status = 400, description = "bad request: a field out of bounds, a circle or an unknown name in `depends_on`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "the idempotency key was used for another task", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "the queue is full, or too many requests", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached or is full, or the nexus is shutting down", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn submit(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    body: Json<TaskOrTasks>,
) -> Result<Response, Problem> {
    let hive = shared.hive_for_work()?;
    let from = submitter(&visitor);
    match body.0 {
        TaskOrTasks::One(task) => {
            let submitted = hive.submit(vec![*task], &from).await.map_err(not_taken)?;
            let first = submitted
                .first()
                .ok_or_else(|| Problem::internal("the task was not stored"))?;
            let accepted = TaskAccepted {
                task_id: first.id,
                existing: first.existing,
            };
            json_with(StatusCode::ACCEPTED, &accepted)
        }
        TaskOrTasks::Several(tasks) => {
            let submitted = hive.submit(tasks, &from).await.map_err(not_taken)?;
            let accepted = TasksAccepted {
                existing: submitted.iter().filter(|task| task.existing).count(),
                task_ids: submitted.into_iter().map(|task| task.id).collect(),
            };
            json_with(StatusCode::ACCEPTED, &accepted)
        }
    }
}

/// What the body of a submission may be. Told apart by the field `tasks`, so that an error names the field at fault.
pub(super) enum TaskOrTasks {
    One(Box<TaskRequest>),
    Several(Vec<TaskRequest>),
}

impl<'de> Deserialize<'de> for TaskOrTasks {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        #[derive(Deserialize)]
        struct Probe<'a> {
            #[serde(borrow)]
            tasks: Option<&'a serde_json::value::RawValue>,
        }
        let wrong = serde::de::Error::custom::<serde_json::Error>;
        let is_list = serde_json::from_str::<Probe<'_>>(raw.get()).is_ok_and(|probe| probe.tasks.is_some());
        if is_list {
            let several: Result<TasksRequest, _> = serde_json::from_str(raw.get());
            let several = several.map_err(|error| serde::de::Error::custom(format!("tasks: {error}")))?;
            Ok(Self::Several(several.tasks))
        } else {
            serde_json::from_str(raw.get()).map(Self::One).map_err(wrong)
        }
    }
}

/// One task; with `wait`, as soon as it has ended or that many seconds have passed.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}", tag = "tasks", operation_id = "show_task",
    params(
        ("task_id" = TaskId, Path, description = "the task"),
        ("wait" = Option<f64>, Query, description = "seconds to wait for its end, at most 600"),
    ),
    responses(
        (status = 200, description = "the task, ended or not: look at `status`", body = TaskView),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no such task, or no longer kept", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(
    State(shared): App,
    TaskPath(task): TaskPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["wait"])?;
    let wait = query.seconds("wait", MAX_WAIT)?.unwrap_or(Duration::ZERO);
    let hive = shared.hive()?;
    answer(&find(hive, task, wait).await?)
}

/// Tasks in one state: those that ended, the latest first; others, the oldest first as far as that is known.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", operation_id = "list_tasks",
    params(
        ("status" = Option<TaskStatus>, Query, description = "which; `running` when absent. `failed` are the dead letters"),
        ("limit" = Option<u32>, Query, description = "most to list, 50 when absent, at most 1,000"),
    ),
    responses(
        (status = 200, description = "the tasks", body = TaskList),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["status", "limit"])?;
    let states = states(query.text("status").unwrap_or("running"))?;
    let limit = query.number("limit", MOST_LISTED)?.unwrap_or(LISTED);
    let hive = shared.hive()?;
    let mut found = Vec::new();
    for state in states {
        let room = limit.saturating_sub(found.len());
        if room > 0 {
            found.extend(
                hive.list(*state, room)
                    .await
                    .map_err(|error| Problem::of_broker(&error))?,
            );
        }
    }
    let tasks: Vec<TaskView> = found.into_iter().filter_map(|task| view(task).ok()).collect();
    answer(&TaskList {
        count: tasks.len(),
        tasks,
    })
}

/// Takes a task back. One that runs is stopped on its node; what depends on it fails.
#[utoipa::path(delete, path = "/api/v1/tasks/{task_id}", tag = "tasks", operation_id = "cancel_task",
    params(("task_id" = TaskId, Path, description = "the task")),
    responses(
        (status = 200, description = "the task: `cancelled`, or as it had ended before", body = TaskView),
        (status = 202, description = "the task runs and is being stopped", body = TaskView),
        (status = 404, description = "no such task, or no longer kept", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn cancel(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    TaskPath(task): TaskPath,
    _: Unsaid,
) -> Result<Response, Problem> {
    let hive = shared.hive()?;
    let cancelled = hive.cancel(task).await.map_err(|error| Problem::of_broker(&error))?;
    if cancelled == Cancelled::Unknown {
        return Err(Problem::unknown_task(&task.to_string()));
    }
    record(&shared, &visitor, "task_cancel_requested", task);
    let status = if cancelled == Cancelled::Asked {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    json_with(status, &find(hive, task, Duration::ZERO).await?)
}

/// Puts a failed or cancelled task back into the queue, as new.
#[utoipa::path(post, path = "/api/v1/tasks/{task_id}/requeue", tag = "tasks", operation_id = "requeue_task",
    params(("task_id" = TaskId, Path, description = "the task")),
    responses(
        (status = 202, description = "the task, waiting again", body = TaskView),
        (status = 404, description = "no such task, or no longer kept", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "the task did not fail and was not cancelled", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn requeue(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    TaskPath(task): TaskPath,
    _: Unsaid,
) -> Result<Response, Problem> {
    let hive = shared.hive_for_work()?;
    let requeued = hive.requeue(task).await.map_err(|error| Problem::of_broker(&error))?;
    let now = find(hive, task, Duration::ZERO).await?;
    if !requeued {
        let text = format!(
            "task {task} is {}; only failed and cancelled ones can be requeued",
            now.status
        );
        return Err(Problem::conflict(text));
    }
    record(&shared, &visitor, "task_requeued", task);
    json_with(StatusCode::ACCEPTED, &now)
}

/// Runs one method over many items and waits for the results.
#[utoipa::path(post, path = "/api/v1/map", tag = "tasks", operation_id = "map", request_body = MapRequest,
    responses(
        (status = 200, description = "what came of it; items that had not ended in time are `pending` and go on", body = MapResult),
        (status = 400, description = "bad request", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "the queue is full, or too many requests", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached or is full, or the nexus is shutting down", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn map(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    Json(request): Json<MapRequest>,
) -> Result<Response, Problem> {
    let hive = shared.hive_for_work()?;
    let result: MapResult = hive.map(request, &submitter(&visitor)).await.map_err(not_taken)?;
    answer(&result)
}

async fn find(hive: &Arc<Hive>, task: TaskId, wait: Duration) -> Result<TaskView, Problem> {
    let found = hive
        .task(task, wait)
        .await
        .map_err(|error| Problem::of_broker(&error))?;
    let found = found.ok_or_else(|| Problem::unknown_task(&task.to_string()))?;
    view(found).map_err(Problem::internal)
}

fn submitter(visitor: &Visitor) -> Submitter {
    Submitter {
        traceparent: Some(visitor.trace.to_string()),
        ..Submitter::default()
    }
}

fn states(status: &str) -> Result<&'static [TaskState], Problem> {
    Ok(match status {
        "pending" => &[TaskState::Pending, TaskState::Delayed],
        "blocked" => &[TaskState::Blocked],
        "running" => &[TaskState::Running],
        "completed" => &[TaskState::Completed],
        "failed" => &[TaskState::Failed],
        "cancelled" => &[TaskState::Cancelled],
        other => {
            let text = format!("status is `{other}`, give pending, blocked, running, completed, failed or cancelled");
            return Err(Problem::bad_request(text));
        }
    })
}

fn record(shared: &Shared, visitor: &Visitor, what: &'static str, task: TaskId) {
    let facts = json!({ "task_id": task, "by": &*visitor.name, "peer": visitor.peer });
    shared.audit.record(what, facts);
}

fn not_taken(error: NotTaken) -> Problem {
    match error {
        NotTaken::Wrong(why) => Problem::bad_request(why),
        NotTaken::Broker(error) => Problem::of_broker(&error),
    }
}
