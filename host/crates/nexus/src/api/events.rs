//! Events by Server-Sent Events and by WebSocket: the same JSON on both.

use std::convert::Infallible;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, WebSocketUpgrade};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::HeaderMap;
use venom_protocol::{Event, close};

use super::App;
use super::event_stream::Follower;
use super::problem::{Problem, ProblemBody};
use super::push::{KEEP_ALIVE, MAX_FROM_LISTENER, push};
use super::spores::not_a_websocket;
use crate::auth::door::Visitor;

/// State changes as Server-Sent Events. `Last-Event-ID` catches up from the last 1,024 (a setting).
#[utoipa::path(get, path = "/api/v1/events", tag = "events", operation_id = "stream_events",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "id of the last event seen; those after it come first"),
        ("access_token" = Option<String>, Query, description = "the token, for pages that cannot set a header"),
    ),
    responses((status = 200, description = "a stream of events, each `data` one JSON event", body = Event, content_type = "text/event-stream")))]
pub(super) async fn stream(State(shared): App, headers: HeaderMap) -> Result<Response, Problem> {
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let follower = Follower::new(&shared, last_id);
    let events = stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await?;
        let mut event = SseEvent::default().data(next.json.as_str());
        if let Some(seq) = next.seq {
            event = event.id(follower.id_of(seq));
        }
        Some((Ok::<_, Infallible>(event), follower))
    });
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response())
}

/// State changes by WebSocket: each text frame is one JSON event.
#[utoipa::path(get, path = "/ws/events", tag = "events", operation_id = "follow_events",
    params(("access_token" = Option<String>, Query, description = "the token, for pages that cannot set a header")),
    responses(
        (status = 101, description = "a WebSocket of events"),
        (status = 400, description = "no WebSocket handshake", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn socket(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(not_a_websocket)?;
    let follower = Follower::new(&shared, None);
    let task = shared.tasks.token();
    Ok(upgrade
        .read_buffer_size(MAX_FROM_LISTENER)
        .max_message_size(MAX_FROM_LISTENER)
        .on_upgrade(move |socket| async move {
            let texts = stream::unfold(follower, |mut follower| async move {
                let next = follower.next().await?;
                Some((next.json.clone(), follower))
            });
            let goodbye = CloseFrame {
                code: close::GOING_AWAY,
                reason: "the nexus is shutting down".into(),
            };
            push(socket, texts, Some(goodbye)).await;
            drop((visitor.place, task));
        }))
}
