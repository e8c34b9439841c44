//! What one task does, as it does it: Server-Sent Events and WebSocket. Progress and partial results have ids and come
//! from the task's log, so that a stream that broke goes on where it was; the state comes first and whenever it changes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::HeaderMap;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use venom_protocol::{TaskId, TaskStatus, TaskView};

use super::App;
use super::body::TaskPath;
use super::problem::{Problem, ProblemBody};
use super::push::{KEEP_ALIVE, MAX_FROM_LISTENER, push};
use super::query::Query;
use super::spores::not_a_websocket;
use crate::auth::door::Visitor;
use crate::hive::{Bell, Hive, view};

/// Log entries read at one time.
const CHUNK: usize = 200;

/// Progress, partial results and states of one task as Server-Sent Events: `event: status` carries the task,
/// `event: report` and `event: partial` what it says. The stream ends after the task's last state. `Last-Event-ID` goes
/// on after that entry.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}/events", tag = "tasks", operation_id = "stream_task",
    params(
        ("task_id" = TaskId, Path, description = "the task"),
        ("Last-Event-ID" = Option<String>, Header, description = "number of the last entry seen; those after it come"),
        ("access_token" = Option<String>, Query, description = "the token, for pages that cannot set a header"),
    ),
    responses(
        (status = 200, description = "a stream of events", body = TaskView, content_type = "text/event-stream"),
        (status = 404, description = "no such task, or no longer kept", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn stream(
    State(shared): App,
    TaskPath(task): TaskPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.trim().parse().ok());
    let watch = Watch::begin(
        Arc::clone(shared.hive()?),
        task,
        last.unwrap_or(0),
        shared.stopping.clone(),
    )
    .await?;
    let events = stream::unfold(watch, |mut watch| async move {
        let next = watch.next().await?;
        let mut event = SseEvent::default().event(next.kind).data(next.data);
        if let Some(seq) = next.seq {
            event = event.id(seq.to_string());
        }
        Some((Ok::<_, Infallible>(event), watch))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// The same by WebSocket: each text frame is `{"event", "id"?, "data"}`; `?after=N` goes on after that entry.
#[utoipa::path(get, path = "/ws/tasks/{task_id}", tag = "tasks", operation_id = "follow_task",
    params(
        ("task_id" = TaskId, Path, description = "the task"),
        ("after" = Option<u64>, Query, description = "number of the last entry seen"),
        ("access_token" = Option<String>, Query, description = "the token, for pages that cannot set a header"),
    ),
    responses(
        (status = 101, description = "a WebSocket of events"),
        (status = 400, description = "no WebSocket handshake", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no such task, or no longer kept", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn socket(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    TaskPath(task): TaskPath,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(not_a_websocket)?;
    let query = Query::parse(query.as_deref(), &["after"])?;
    let after = query.text("after").map(str::parse).transpose();
    let after = after.map_err(|_| Problem::bad_request("after is no number of an entry"))?;
    let watch = Watch::begin(
        Arc::clone(shared.hive()?),
        task,
        after.unwrap_or(0),
        shared.stopping.clone(),
    )
    .await?;
    let token = shared.tasks.token();
    Ok(upgrade
        .read_buffer_size(MAX_FROM_LISTENER)
        .max_message_size(MAX_FROM_LISTENER)
        .on_upgrade(move |socket| async move {
            let texts = stream::unfold(watch, |mut watch| async move {
                let next = watch.next().await?;
                Some((next.frame().into(), watch))
            });
            push(socket, texts, None).await;
            drop((visitor.place, token));
        }))
}

/// One thing to tell.
struct Told {
    kind: &'static str,
    seq: Option<u64>,
    data: String,
}

impl Told {
    fn frame(&self) -> String {
        let data = serde_json::from_str::<&RawValue>(&self.data).ok();
        match self.seq {
            Some(seq) => json!({ "event": self.kind, "id": seq, "data": data }).to_string(),
            None => json!({ "event": self.kind, "data": data }).to_string(),
        }
    }
}

/// One watcher's place in what a task says.
struct Watch {
    hive: Arc<Hive>,
    bell: Bell,
    task: TaskId,
    after: u64,
    state: Option<(TaskStatus, u32)>,
    waiting: VecDeque<Told>,
    over: bool,
    /// There may be more to read without a ring.
    look: bool,
    stopping: CancellationToken,
}

impl Watch {
    async fn begin(hive: Arc<Hive>, task: TaskId, after: u64, stopping: CancellationToken) -> Result<Self, Problem> {
        let mut watch = Self {
            bell: hive.bells.hang(vec![task]),
            hive,
            task,
            after,
            state: None,
            waiting: VecDeque::new(),
            over: false,
            look: false,
            stopping,
        };
        watch.gather().await?;
        Ok(watch)
    }

    /// The next thing to tell; `None` after the last. Loses nothing when it is dropped and asked again.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.waiting.pop_front() {
                return Some(told);
            }
            if self.over {
                return None;
            }
            if !self.look {
                tokio::select! {
                    _ = self.bell.rung() => self.look = true,
                    () = self.stopping.cancelled() => return None,
                }
            }
            // a broker that is away for a moment only delays
            if self.gather().await.is_err() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }

    /// Reads what is new. The state is read first and told last, so that nothing said before an end is missed.
    async fn gather(&mut self) -> Result<(), Problem> {
        let found = self.hive.task(self.task, Duration::ZERO).await;
        let found = found.map_err(|error| Problem::of_broker(&error))?;
        let found = found.ok_or_else(|| Problem::unknown_task(&self.task.to_string()))?;
        let said = self.hive.broker.progress(self.task, self.after, CHUNK).await;
        let said = said.map_err(|error| Problem::of_broker(&error))?;
        self.look = said.len() == CHUNK;
        let mut waiting = VecDeque::new();
        for entry in said {
            self.after = self.after.max(entry.seq);
            waiting.push_back(Told {
                kind: kind_of(&entry.text),
                seq: Some(entry.seq),
                data: entry.text,
            });
        }
        let view = view(found).map_err(Problem::internal)?;
        let state = (view.status, view.attempt);
        if !self.look && self.state != Some(state) {
            self.state = Some(state);
            self.over = view.status.has_ended();
            let data = serde_json::to_string(&view).map_err(|error| Problem::internal(error.to_string()))?;
            waiting.push_back(Told {
                kind: "status",
                seq: None,
                data,
            });
        }
        self.waiting.append(&mut waiting);
        Ok(())
    }
}

fn kind_of(text: &str) -> &'static str {
    let kind = serde_json::from_str::<Value>(text).ok();
    match kind.as_ref().and_then(|value| value.get("kind")?.as_str()) {
        Some("partial") => "partial",
        _ => "report",
    }
}
