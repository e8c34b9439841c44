//! The hive as a whole: its nodes on all nexuses, and words to all of them.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use venom_protocol::{ClusterStatus, ControlBroadcast, NodeView};

use super::App;
use super::body::{Json, json as answer, json_with};
use super::nodes::all_nodes;
use super::problem::{Problem, ProblemBody};
use crate::auth::door::Visitor;

/// Commands a control broadcast may carry (CONTRACTS, hive).
const COMMANDS: [&str; 3] = ["UPDATE_SYSTEM", "SHUTDOWN", "STATUS"];

/// The hive in numbers, with all its nodes.
#[utoipa::path(get, path = "/api/v1/cluster", tag = "tasks", operation_id = "cluster",
    responses((status = 200, description = "the hive", body = ClusterStatus)))]
pub(super) async fn show(State(shared): App) -> Result<Response, Problem> {
    let nodes = all_nodes(&shared, |_| true);
    let online: Vec<&NodeView> = nodes.iter().filter(|node| node.is_online).collect();
    let hive = shared.hive().ok();
    answer(&ClusterStatus {
        online_nodes: online.len(),
        total_nodes: nodes.len(),
        avg_cpu_usage: average(online.iter().map(|node| node.cpu_usage)),
        avg_memory_usage: average(online.iter().map(|node| node.memory_usage)),
        total_active_tasks: online.iter().map(|node| u64::from(node.active_tasks)).sum(),
        nexuses: 1 + hive.map_or(0, |hive| hive.directory.peers()),
        broker: hive.map_or("none", |hive| hive.broker.kind()).to_owned(),
        nodes,
    })
}

/// Says something to every spore: those on links of this nexus, and by the broadcast channel everybody who listens
/// there. `SHUTDOWN` reaches the spores of this nexus only, as the channel is not trusted with it.
#[utoipa::path(post, path = "/api/v1/cluster/broadcast", tag = "tasks", operation_id = "broadcast", request_body = ControlBroadcast,
    responses(
        (status = 202, description = "said", body = ControlBroadcast),
        (status = 400, description = "bad request", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn broadcast(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    Json(control): Json<ControlBroadcast>,
) -> Result<Response, Problem> {
    if !COMMANDS.contains(&control.command.as_str()) {
        let text = format!("command is `{}`, give one of {}", control.command, COMMANDS.join(", "));
        return Err(Problem::bad_request(text));
    }
    let hive = shared.hive()?;
    let facts = json!({ "command": control.command, "by": &*visitor.name, "peer": visitor.peer });
    shared.audit.record("broadcast", facts);
    if control.command == "SHUTDOWN" {
        hive.pass_on(&control);
    } else {
        // comes back as a hint, here and on every other nexus, and is passed on from there
        let text = serde_json::to_string(&control).map_err(|error| Problem::internal(error.to_string()))?;
        hive.broker
            .broadcast(text)
            .await
            .map_err(|error| Problem::of_broker(&error))?;
    }
    json_with(StatusCode::ACCEPTED, &control)
}

#[expect(clippy::cast_precision_loss, reason = "a count of nodes")]
fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}
