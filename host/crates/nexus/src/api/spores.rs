//! The door of the spores: a WebSocket that becomes a link.

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::{IntoResponse, Response};
use venom_protocol::MAX_FRAME_BYTES;

use super::App;
use super::problem::{Problem, ProblemBody};
use crate::auth::door::Visitor;
use crate::link;

/// Read at one time, and held by every idle link.
const READ_BUFFER: usize = 4 * 1024;
/// Written at one time when frames pile up.
const WRITE_BUFFER: usize = 16 * 1024;

/// Link of one spore (swarm protocol: JSON text frames, the first is `HANDSHAKE` with the shared token).
#[utoipa::path(get, path = "/ws/nodes", tag = "spores", operation_id = "attach_spore", security(()),
    responses(
        (status = 101, description = "a WebSocket; a wrong token closes it with 1008"),
        (status = 400, description = "no WebSocket handshake", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn socket(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(not_a_websocket)?;
    if shared.stopping.is_cancelled() {
        return Err(Problem::stopping());
    }
    let task = shared.tasks.token();
    Ok(upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_message_size(MAX_FRAME_BYTES)
        .on_upgrade(move |socket| async move {
            let Visitor { peer, place, .. } = visitor;
            link::run(shared, socket, peer).await;
            drop((place, task));
        }))
}

/// What was wrong with an upgrade.
pub(super) fn not_a_websocket(rejection: WebSocketUpgradeRejection) -> Problem {
    let text = rejection.body_text();
    Problem::of_status(rejection.into_response().status(), Some(text))
}
