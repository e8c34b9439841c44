//! Running a skill: on one node, or on the best, or here when none fits.

use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use venom_foreman::{Rejection, Target};
use venom_protocol::{ExecuteAnswer, ExecuteRequest, ExecuteSkill, NodeId, RequestId, Requirements};
use venom_runtime::{Call, Outcome};

use super::App;
use super::body::{Json, NodePath, json};
use super::problem::{Problem, ProblemBody};
use crate::auth::door::Visitor;
use crate::driver::{Ending, NewCall};
use crate::given;
use crate::hive::Routed;
use crate::local::LocalSkills;
use crate::state::Shared;

/// When a request names no timeout (CONTRACTS, nodes).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// A call is no way to run something for longer than a day.
const MAX_TIMEOUT_SECONDS: f64 = 86_400.0;

/// Runs a skill on one node and waits for its answer.
#[utoipa::path(post, path = "/api/v1/nodes/{node_id}/execute", tag = "nodes", operation_id = "execute_on_node",
    params(("node_id" = NodeId, Path, description = "the node")),
    request_body = ExecuteRequest,
    responses(
        (status = 200, description = "the skill ran; `success` says how it went", body = ExecuteAnswer),
        (status = 400, description = "bad request, node offline, or no such skill or method", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no such node", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "the node was lost while the skill ran", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "draining, busy, or shutting down", body = ProblemBody, content_type = "application/problem+json"),
        (status = 504, description = "timed out", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn on_node(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    NodePath(node_id): NodePath,
    Json(request): Json<ExecuteRequest>,
) -> Result<Response, Problem> {
    if request.tag.is_some() || request.require.is_some() {
        let text = "tag and require choose a node, but the path names one; POST /api/v1/execute takes them";
        return Err(Problem::bad_request(text));
    }
    let order = Order::new(&shared, request)?;
    let (request_id, timeout) = (order.request_id, order.timeout);
    let elsewhere = node_elsewhere(&shared, node_id);
    let ending = match (elsewhere, &shared.hive) {
        (Some(to), Some(hive)) => hive.call_elsewhere(to, order.message(&visitor), timeout).await,
        _ => order.send(&shared, &visitor, Target::Node(node_id), timeout).await,
    };
    match ending {
        Ending::Rejected(Rejection::UnknownNode) => Err(Problem::unknown_node(&node_id.to_string())),
        Ending::Rejected(rejection) => Err(Problem::of_rejection(&rejection, request_id, Some(node_id))),
        other => answer(other, request_id, None),
    }
}

/// Runs a skill on the best node: the least loaded that has the skill, the tag and what is required. When
/// none fits, the nexus runs it itself if it can; `executed_by` says who did. What `require` asks of a node
/// (GPU, tags, id) is never bent: such a call does not fall back.
#[utoipa::path(post, path = "/api/v1/execute", tag = "nodes", operation_id = "execute",
    request_body = ExecuteRequest,
    responses(
        (status = 200, description = "the skill ran; `success` says how it went", body = ExecuteAnswer),
        (status = 400, description = "bad request, or no such skill or method", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "the node was lost while the skill ran", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no node fits, all busy, or shutting down", body = ProblemBody, content_type = "application/problem+json"),
        (status = 504, description = "timed out", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn on_best(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    Json(mut request): Json<ExecuteRequest>,
) -> Result<Response, Problem> {
    let mut needs = request.require.take().unwrap_or_default();
    let may_fall_back = !needs.gpu && needs.tags.is_empty() && needs.node_id.is_none();
    if let Some(tag) = request.tag.take().filter(|tag| !needs.tags.contains(tag)) {
        needs.tags.push(tag);
    }
    let order = Order::new(&shared, request)?;
    let request_id = order.request_id;
    let local = shared
        .local
        .as_deref()
        .filter(|local| may_fall_back && local.has(&order.skill));
    let here = local.map(|local| (local, order.to_run_here(&visitor)));
    let (skill, timeout, started) = (order.skill.clone(), order.timeout, Instant::now());
    let elsewhere = shared.hive.as_ref().filter(|hive| hive.directory.has_peers());
    let spare = elsewhere.map(|hive| (hive, needs.clone(), order.clone().message(&visitor)));
    let mut ending = order.send(&shared, &visitor, Target::Best(needs), timeout).await;
    if let (Ending::Rejected(_), Some((hive, needs, message))) = (&ending, spare)
        && let Some(to) = hive.elsewhere(&needs, &skill)
    {
        ending = hive.call_elsewhere(to, message, timeout).await;
    }
    match ending {
        Ending::Rejected(rejection) => match here {
            Some((local, call)) => {
                shared.metrics.local_calls.inc();
                tracing::debug!(%request_id, skill, %rejection, waited = ?started.elapsed(), "no node fits, running it here");
                run_here(local, &skill, call, request_id).await
            }
            None => Err(Problem::of_rejection(&rejection, request_id, None)),
        },
        other => answer(other, request_id, Some("node")),
    }
}

/// Where a node is whose link is on another nexus and not here.
fn node_elsewhere(shared: &Shared, node_id: NodeId) -> Option<Routed> {
    let (session, _) = shared
        .hive
        .as_ref()?
        .directory
        .node(&node_id)
        .filter(|(_, node)| node.is_online)?;
    if shared.driver.node(&node_id).is_some_and(|node| node.is_online) {
        return None;
    }
    Some(Routed {
        session,
        node_id: Some(node_id),
        needs: Requirements::default(),
    })
}

/// A checked request.
#[derive(Clone)]
struct Order {
    request_id: RequestId,
    skill: String,
    method: String,
    parameters: Box<RawValue>,
    timeout: Duration,
}

impl Order {
    fn new(shared: &Shared, request: ExecuteRequest) -> Result<Self, Problem> {
        if shared.stopping.is_cancelled() {
            return Err(Problem::stopping());
        }
        given::name("skill_name", &request.skill_name).map_err(Problem::bad_request)?;
        given::name("method_name", &request.method_name).map_err(Problem::bad_request)?;
        Ok(Self {
            request_id: RequestId::random(),
            skill: request.skill_name,
            method: request.method_name,
            parameters: given::object(request.parameters).map_err(Problem::bad_request)?,
            timeout: timeout(request.timeout)?,
        })
    }

    async fn send(self, shared: &Shared, visitor: &Visitor, target: Target, timeout: Duration) -> Ending {
        let message = self.message(visitor);
        shared.driver.call(NewCall { target, message }, timeout).await
    }

    fn message(self, visitor: &Visitor) -> Box<ExecuteSkill> {
        Box::new(ExecuteSkill {
            request_id: self.request_id,
            // the foreman names the node
            node_id: NodeId(uuid::Uuid::nil()),
            skill_name: self.skill,
            method_name: self.method,
            parameters: self.parameters,
            timeout: self.timeout.as_secs_f64(),
            traceparent: Some(visitor.trace.to_string()),
            task: None,
        })
    }

    fn to_run_here(&self, visitor: &Visitor) -> Call {
        Call {
            request_id: self.request_id,
            task_id: self.request_id.to_string(),
            traceparent: Some(visitor.trace.to_string()),
            attempt: 1,
            method: self.method.clone(),
            params: self.parameters.clone(),
            timeout: self.timeout,
            cancel: CancellationToken::new(),
            progress: None,
            depth: 0,
        }
    }
}

async fn run_here(
    local: &dyn LocalSkills,
    skill: &str,
    call: Call,
    request_id: RequestId,
) -> Result<Response, Problem> {
    // a caller that goes away drops this future, and with it the guard
    let _cancel = call.cancel.clone().drop_guard();
    let Outcome { result, elapsed, .. } = local.call(skill, call).await;
    let (result, error) = match result {
        Ok(result) => (Some(result), None),
        Err(error) => match Problem::of_code(error.code, &error.message, request_id, None) {
            Some(problem) => return Err(problem),
            None => (None, Some(error)),
        },
    };
    json(&ExecuteAnswer {
        status: "success".to_owned(),
        success: error.is_none(),
        result,
        error_code: error.as_ref().map(|error| error.code),
        error: error.map(|error| error.message),
        execution_time: elapsed.as_secs_f64(),
        node_id: None,
        request_id,
        executed_by: Some("nexus".to_owned()),
    })
}

fn answer(ending: Ending, request_id: RequestId, executed_by: Option<&str>) -> Result<Response, Problem> {
    let (node_id, response) = match ending {
        Ending::Answered(node_id, response) => (node_id, response),
        Ending::Rejected(rejection) => return Err(Problem::of_rejection(&rejection, request_id, None)),
        Ending::Failed(node_id, code, message) => {
            let problem = Problem::of_code(code, &message, request_id, node_id);
            return Err(problem.unwrap_or_else(|| Problem::internal(message)));
        }
    };
    let error_code = if response.success { None } else { response.error_code };
    if let Some(code) = error_code {
        let message = response.error.as_deref().unwrap_or(code.as_str());
        if let Some(problem) = Problem::of_code(code, message, request_id, Some(node_id)) {
            return Err(problem);
        }
    }
    json(&ExecuteAnswer {
        status: "success".to_owned(),
        success: response.success,
        result: response.result,
        error: response.error,
        error_code,
        execution_time: response.execution_time,
        node_id: Some(node_id),
        request_id,
        executed_by: executed_by.map(str::to_owned),
    })
}

fn timeout(seconds: Option<f64>) -> Result<Duration, Problem> {
    let Some(seconds) = seconds else {
        return Ok(DEFAULT_TIMEOUT);
    };
    let fits = seconds.is_finite() && seconds > 0.0 && seconds <= MAX_TIMEOUT_SECONDS;
    let duration = if fits {
        Duration::try_from_secs_f64(seconds).ok()
    } else {
        None
    };
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| {
        Problem::bad_request(format!(
            "timeout is {seconds}, give seconds over 0 and at most {MAX_TIMEOUT_SECONDS}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_positive_and_bounded() {
        assert_eq!(timeout(None).ok(), Some(DEFAULT_TIMEOUT));
        assert_eq!(timeout(Some(0.5)).ok(), Some(Duration::from_millis(500)));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 86_400.5, 1e300, 1e-300] {
            assert!(timeout(Some(bad)).is_err(), "{bad}");
        }
    }
}
