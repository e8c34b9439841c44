//! Queues in numbers, limits of groups, dead letters.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use venom_broker::{Counts, State as TaskState};
use venom_protocol::{GroupLimits, GroupView, Priority, QueueStats};

use super::App;
use super::body::{Json, TextPath, Unsaid, json as answer};
use super::problem::{Problem, ProblemBody};
use crate::auth::door::Visitor;

/// Dead letters requeued at one time.
const REQUEUED_AT_ONCE: usize = 1_000;
/// Dead letters looked at for the oldest of them.
const LOOKED_AT: usize = 10_000;
/// Longest name of a group, in bytes.
const MAX_NAME: usize = 128;

/// How many dead letters went back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Requeued {
    /// Always `success`.
    status: String,
    /// Tasks that wait again.
    requeued: usize,
    /// Dead letters left; ask again for those.
    left: u64,
}

/// Queues in numbers.
#[utoipa::path(get, path = "/api/v1/queues", tag = "tasks", operation_id = "queues",
    responses(
        (status = 200, description = "the queues", body = QueueStats),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(State(shared): App) -> Result<Response, Problem> {
    let broker = &shared.hive()?.broker;
    let counts = broker.counts().await.map_err(|error| Problem::of_broker(&error))?;
    let groups = broker.groups().await.map_err(|error| Problem::of_broker(&error))?;
    let groups = groups.into_iter().map(|group| GroupView {
        name: group.name,
        limits: group.limits,
        running: group.running,
    });
    answer(&stats(&counts, broker.settings().max_waiting, groups.collect()))
}

fn stats(counts: &Counts, limit: u64, groups: Vec<GroupView>) -> QueueStats {
    let levels = || Priority::descending().zip(counts.pending.iter().rev());
    let high = levels()
        .filter(|(priority, _)| priority.is_high())
        .map(|(_, count)| count)
        .sum();
    let low = levels()
        .filter(|(priority, _)| !priority.is_high())
        .map(|(_, count)| count)
        .sum();
    QueueStats {
        high_priority_queue: high,
        background_queue: low,
        tasks_pending: counts.waiting(),
        tasks_delayed: counts.delayed,
        tasks_blocked: counts.blocked,
        tasks_running: counts.running,
        tasks_completed: counts.completed,
        tasks_failed: counts.failed,
        tasks_cancelled: counts.cancelled,
        dead_letters: counts.dead,
        limit,
        groups,
    }
}

/// Sets the limits of a group of tasks, over the whole hive. Takes effect with the next task that begins.
#[utoipa::path(put, path = "/api/v1/queues/groups/{name}", tag = "tasks", operation_id = "limit_group",
    params(("name" = String, Path, description = "the group")), request_body = GroupLimits,
    responses(
        (status = 200, description = "the limits", body = GroupLimits),
        (status = 400, description = "bad request", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn limit(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    TextPath(name): TextPath,
    Json(limits): Json<GroupLimits>,
) -> Result<Response, Problem> {
    check_name(&name)?;
    if limits.concurrency == Some(0) {
        return Err(Problem::bad_request("concurrency is 0, give at least 1"));
    }
    if limits.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        return Err(Problem::bad_request("rate is tasks a second, over 0"));
    }
    let hive = shared.hive()?;
    hive.limit_group(&name, Some(limits))
        .await
        .map_err(|error| Problem::of_broker(&error))?;
    let facts = json!({ "group": name, "limits": limits, "by": &*visitor.name, "peer": visitor.peer });
    shared.audit.record("group_limited", facts);
    answer(&limits)
}

/// Takes the limits of a group away.
#[utoipa::path(delete, path = "/api/v1/queues/groups/{name}", tag = "tasks", operation_id = "unlimit_group",
    params(("name" = String, Path, description = "the group")),
    responses(
        (status = 200, description = "no limits", body = GroupLimits),
        (status = 400, description = "no name of a group", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn unlimit(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    TextPath(name): TextPath,
    _: Unsaid,
) -> Result<Response, Problem> {
    check_name(&name)?;
    let hive = shared.hive()?;
    hive.limit_group(&name, None)
        .await
        .map_err(|error| Problem::of_broker(&error))?;
    let facts = json!({ "group": name, "by": &*visitor.name, "peer": visitor.peer });
    shared.audit.record("group_unlimited", facts);
    answer(&GroupLimits::default())
}

/// Puts dead letters back into the queue, at most 1,000 at a time: of the latest 10,000 the oldest first, so that those
/// which fail again at once do not hide the others.
#[utoipa::path(post, path = "/api/v1/queues/dead/requeue", tag = "tasks", operation_id = "requeue_dead_letters",
    responses(
        (status = 200, description = "how many", body = Requeued),
        (status = 503, description = "the broker cannot be reached, or the nexus is shutting down", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn requeue_dead(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    _: Unsaid,
) -> Result<Response, Problem> {
    let hive = shared.hive_for_work()?;
    let of_broker = |error| Problem::of_broker(&error);
    let dead = hive.list(TaskState::Failed, LOOKED_AT).await.map_err(of_broker)?;
    let mut requeued = 0;
    for task in dead.into_iter().rev().take(REQUEUED_AT_ONCE) {
        requeued += usize::from(hive.requeue(task.id).await.map_err(of_broker)?);
    }
    let left = hive.broker.counts().await.map_err(of_broker)?.dead;
    let facts = json!({ "requeued": requeued, "by": &*visitor.name, "peer": visitor.peer });
    shared.audit.record("dead_letters_requeued", facts);
    answer(&Requeued {
        status: "success".to_owned(),
        requeued,
        left,
    })
}

fn check_name(name: &str) -> Result<(), Problem> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "a group's name has 1 to {MAX_NAME} bytes and no control characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_queues_are_split_at_six() {
        let mut counts = Counts::default();
        for (level, count) in counts.pending.iter_mut().enumerate() {
            *count = 10_u64.pow(u32::try_from(level).unwrap());
        }
        let stats = stats(&counts, 7, Vec::new());
        assert_eq!(stats.background_queue, 111_111);
        assert_eq!(stats.high_priority_queue, 11_111_000_000);
        assert_eq!(stats.tasks_pending, 11_111_111_111);
    }
}
