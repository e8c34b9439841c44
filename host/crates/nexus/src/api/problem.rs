//! Errors as RFC 9457 problem JSON, and the one place where call errors become HTTP statuses.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use venom_broker::BrokerError;
use venom_fleet::FleetError;
use venom_foreman::Rejection;
use venom_protocol::{ErrorCode, NodeId, RequestId, with_causes};

use crate::Scope;
use crate::releases::ReleaseError;

/// An error, as every route answers it (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// `urn:venom:problem:` and a word for programs.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What kind of error this is, for people.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What went wrong this time, and what to do where that is known.
    pub(crate) detail: String,
    /// The path asked for.
    pub(crate) instance: String,
    /// The same as `detail`, only about calls: where a script of the first protocol looks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// False, only about calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) success: Option<bool>,
    /// Why the call failed, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<ErrorCode>,
    /// The call, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<RequestId>,
    /// The node the call was meant for or sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node_id: Option<NodeId>,
}

/// An error on its way to becoming an answer. The path is filled in where all answers leave.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: String,
    retry_after: Option<Duration>,
    /// Bytes of the file of which there is no such range.
    size: Option<u64>,
    call: Option<Box<CallFacts>>,
}

#[derive(Debug, Clone)]
struct CallFacts {
    code: ErrorCode,
    request_id: Option<RequestId>,
    node_id: Option<NodeId>,
}

impl Problem {
    fn new(status: StatusCode, slug: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            slug,
            title,
            detail: detail.into(),
            retry_after: None,
            size: None,
            call: None,
        }
    }

    /// 400: the request cannot be understood or carried out as it is.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail)
    }

    /// 401, with the challenge.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authenticated", detail)
    }

    /// 403.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
    }

    /// 403: right token, too low a scope.
    pub(crate) fn scope_too_low(name: &str, has: Scope, needs: Scope) -> Self {
        let detail = format!("token `{name}` has scope {has}, this needs {needs}");
        Self::new(StatusCode::FORBIDDEN, "scope-too-low", "Scope too low", detail)
    }

    /// 404: no such route.
    pub(crate) fn no_route(path: &str) -> Self {
        let detail = format!("there is nothing at {path}; see /docs or /openapi.json for what there is");
        Self::new(StatusCode::NOT_FOUND, "no-route", "Not found", detail)
    }

    /// 404: no such node.
    pub(crate) fn unknown_node(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        let detail = format!("no node `{id}` is known; GET /api/v1/nodes lists those that are");
        Self::new(StatusCode::NOT_FOUND, "unknown-node", "Unknown node", detail)
    }

    /// 404: no such task.
    pub(crate) fn unknown_task(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        let detail = format!("no task `{id}` is known; tasks are kept for a while after they ended");
        Self::new(StatusCode::NOT_FOUND, "unknown-task", "Unknown task", detail)
    }

    /// 404: no such bundle.
    pub(crate) fn unknown_bundle(file: &str) -> Self {
        let file: String = file.chars().take(64).collect();
        let detail = format!(
            "no bundle `{file}` is here; bundles are named by the SHA-256 of their file, see GET /api/v1/bundles"
        );
        Self::new(StatusCode::NOT_FOUND, "unknown-bundle", "Unknown bundle", detail)
    }

    /// 416, with the size.
    pub(crate) fn no_such_range(size: u64) -> Self {
        let detail = format!("the file has {size} bytes, and none of those asked for");
        let mut problem = Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "no-such-range",
            "Range not satisfiable",
            detail,
        );
        problem.size = Some(size);
        problem
    }

    /// 503: this nexus keeps no releases.
    pub(crate) fn no_releases() -> Self {
        let detail = "this nexus keeps no releases: they need a directory for bundles (--data-dir) and a broker \
                      (ENABLE_HIVE=true); ask a nexus that has both";
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(unavailable, "no-releases", "Service unavailable", detail)
    }

    /// What was not done about a release. The one mapping of [`ReleaseError`] to HTTP.
    pub(crate) fn of_release(error: ReleaseError) -> Self {
        let detail = error.to_string();
        let (status, slug, title) = match error {
            ReleaseError::Broker(error) => return Self::of_broker(&error),
            ReleaseError::TooBig(limit) => return Self::body_too_big(limit),
            ReleaseError::Busy { after, .. } => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail).after(after);
            }
            ReleaseError::Malformed(_) => (StatusCode::BAD_REQUEST, "bad-document", "Bad document"),
            ReleaseError::NotTrusted(_) => (StatusCode::FORBIDDEN, "not-trusted", "Not trusted"),
            ReleaseError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown-release", "Not found"),
            ReleaseError::Conflict(_) => (StatusCode::CONFLICT, "out-of-order", "Out of order"),
            ReleaseError::Alarm(_) => (StatusCode::CONFLICT, "two-documents", "Two documents of one number"),
            ReleaseError::Unfit(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unfit", "Cannot be installed"),
            ReleaseError::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready"),
            ReleaseError::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "full", "No room"),
            ReleaseError::Disk(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        };
        Self::new(status, slug, title, detail)
    }

    /// 404: no such agent.
    pub(crate) fn unknown_agent(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        let detail = format!("no agent `{id}` is known; GET /api/agents lists those that are");
        Self::new(StatusCode::NOT_FOUND, "unknown-agent", "Unknown agent", detail)
    }

    /// 404: no such export.
    pub(crate) fn no_export(detail: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-export", "Not found", detail)
    }

    /// 413: what was asked for is too much for one answer.
    pub(crate) fn too_much(detail: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-much", "Too much", detail)
    }

    /// 503: this nexus keeps no fleet.
    pub(crate) fn no_fleet() -> Self {
        let detail = "this nexus keeps no agents: give it a database (--data-dir keeps one in a file, --database-url names a PostgreSQL)";
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(unavailable, "no-fleet", "Service unavailable", detail)
    }

    /// What the fleet did not do. The one mapping of [`FleetError`] to HTTP.
    pub(crate) fn of_fleet(error: FleetError) -> Self {
        let detail = with_causes(&error);
        let after = error.retry_after();
        let (status, slug, title) = match error {
            FleetError::Invalid(_) => (StatusCode::BAD_REQUEST, "bad-request", "Bad request"),
            FleetError::Unknown(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            FleetError::Denied(_) => return Self::unauthorized(detail),
            FleetError::Forbidden(_) => return Self::forbidden(detail),
            FleetError::Conflict(_) => return Self::conflict(detail),
            FleetError::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "full", "No room"),
            FleetError::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "fleet-unavailable",
                "Fleet unavailable",
            ),
            FleetError::Database(_) | FleetError::Migration(_) | FleetError::Corrupt(_) => {
                tracing::error!(error = detail, "the fleet failed");
                return Self::internal("the fleet's database failed; the log of the nexus says why");
            }
        };
        let problem = Self::new(status, slug, title, detail);
        match after {
            Some(after) => problem.after(after),
            None => problem,
        }
    }

    /// 404: no such cache entry.
    pub(crate) fn unknown_entry(namespace: &str, key: &str) -> Self {
        let key: String = key.chars().take(64).collect();
        let detail = format!("no entry `{key}` in `{namespace}`, or its time is up");
        Self::new(StatusCode::NOT_FOUND, "unknown-entry", "Unknown cache entry", detail)
    }

    /// 409.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
    }

    /// 503: this nexus has no broker.
    pub(crate) fn no_hive() -> Self {
        let detail = "this nexus keeps no tasks (ENABLE_HIVE=false); POST /api/v1/execute runs skills at once";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no-hive",
            "Service unavailable",
            detail,
        )
    }

    /// 503: the broker is in trouble.
    pub(crate) fn no_broker(trouble: String) -> Self {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(unavailable, "broker-unavailable", "Broker unavailable", trouble).after(Duration::from_secs(1))
    }

    /// What a broker did not do. The one mapping of [`BrokerError`] to HTTP.
    pub(crate) fn of_broker(error: &BrokerError) -> Self {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let (status, slug, title) = match error {
            BrokerError::Unavailable { .. } => (unavailable, "broker-unavailable", "Broker unavailable"),
            BrokerError::Refused { .. } => (unavailable, "broker-refused", "Broker refused"),
            BrokerError::OutOfSpace { .. } => (unavailable, "broker-full", "Broker full"),
            BrokerError::RecordTooBig { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "record-too-big", "Record too big"),
            BrokerError::CacheFull { .. } => (unavailable, "cache-full", "Cache full"),
            BrokerError::QueueFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "queue-full", "Queue full"),
            BrokerError::UnknownDependency { .. } => {
                (StatusCode::BAD_REQUEST, "unknown-dependency", "Unknown dependency")
            }
            BrokerError::KeyReused { .. } => (StatusCode::CONFLICT, "key-reused", "Idempotency key reused"),
            BrokerError::Corrupt { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt", "Internal error"),
        };
        let problem = Self::new(status, slug, title, error.to_string());
        if error.is_retryable() {
            problem.after(Duration::from_secs(1))
        } else {
            problem
        }
    }

    /// 405.
    pub(crate) fn wrong_method(method: &http::Method, path: &str) -> Self {
        let detail = format!("{path} does not take {method}; the Allow header says what it takes");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "wrong-method",
            "Method not allowed",
            detail,
        )
    }

    /// 408: the body did not come in time.
    pub(crate) fn body_too_slow(limit: Duration) -> Self {
        let detail = format!("the body was not complete within {} s", limit.as_secs_f64());
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "Request timeout", detail)
    }

    /// 413.
    pub(crate) fn body_too_big(limit: u64) -> Self {
        let detail = format!("the body is over the limit of {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-big", "Body too big", detail)
    }

    /// 415.
    pub(crate) fn not_json(content_type: Option<&str>) -> Self {
        let detail = match content_type {
            Some(other) => format!("the body is {other}; send JSON with `Content-Type: application/json`"),
            None => "the body has no Content-Type; send JSON with `Content-Type: application/json`".to_owned(),
        };
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "Unsupported media type",
            detail,
        )
    }

    /// 429.
    pub(crate) fn too_many_requests(wait: Duration, what: &str) -> Self {
        let detail = format!("{what}; try again in {:.1} s", wait.as_secs_f64());
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many requests",
            detail,
        )
        .after(wait)
    }

    /// 500: a fault of ours.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// 503: the nexus is going down.
    pub(crate) fn stopping() -> Self {
        let detail = "the nexus is shutting down; try again later";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "Service unavailable",
            detail,
        )
        .after(Duration::from_secs(1))
    }

    /// Any status some layer below answered without saying why.
    pub(crate) fn of_status(status: StatusCode, detail: Option<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self::new(status, "http", title, detail.unwrap_or_else(|| title.to_lowercase()))
    }

    /// A call the foreman would not place. The one mapping of [`Rejection`] to HTTP.
    pub(crate) fn of_rejection(rejection: &Rejection, request_id: RequestId, node_id: Option<NodeId>) -> Self {
        let (status, slug, title) = match rejection {
            Rejection::UnknownNode => (StatusCode::NOT_FOUND, "unknown-node", "Unknown node"),
            Rejection::Offline => (StatusCode::BAD_REQUEST, "node-offline", "Node offline"),
            Rejection::UnknownSkill { .. } => (StatusCode::BAD_REQUEST, "unknown-skill", "Unknown skill"),
            Rejection::Draining => (StatusCode::SERVICE_UNAVAILABLE, "node-draining", "Node draining"),
            Rejection::NoneFits { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no-node-fits", "No node fits"),
            Rejection::Full => (StatusCode::SERVICE_UNAVAILABLE, "busy", "All busy"),
        };
        let problem = Self::new(status, slug, title, rejection.to_string());
        problem.about_call(rejection.code(), Some(request_id), node_id)
    }

    /// A call that ended with `code`, when that is an error of the call itself; `None` when it is the
    /// skill's own failure, which is HTTP 200. The one mapping of [`ErrorCode`] to HTTP.
    pub(crate) fn of_code(
        code: ErrorCode,
        message: &str,
        request_id: RequestId,
        node_id: Option<NodeId>,
    ) -> Option<Self> {
        let (status, slug, title) = match code {
            ErrorCode::UnknownSkill => (StatusCode::BAD_REQUEST, "unknown-skill", "Unknown skill"),
            ErrorCode::UnknownMethod => (StatusCode::BAD_REQUEST, "unknown-method", "Unknown method"),
            ErrorCode::InvalidParams => (StatusCode::BAD_REQUEST, "invalid-params", "Invalid parameters"),
            ErrorCode::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed-out", "Timed out"),
            ErrorCode::NodeLost => (StatusCode::BAD_GATEWAY, "node-lost", "Node lost"),
            ErrorCode::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy"),
            ErrorCode::Draining => (StatusCode::SERVICE_UNAVAILABLE, "node-draining", "Node draining"),
            ErrorCode::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "cancelled", "Cancelled"),
            ErrorCode::Denied
            | ErrorCode::NotFound
            | ErrorCode::LimitExceeded
            | ErrorCode::Trapped
            | ErrorCode::Unavailable
            | ErrorCode::SkillFailed => return None,
        };
        Some(Self::new(status, slug, title, message).about_call(code, Some(request_id), node_id))
    }

    fn about_call(mut self, code: ErrorCode, request_id: Option<RequestId>, node_id: Option<NodeId>) -> Self {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            self.retry_after = Some(Duration::from_secs(1));
        }
        self.call = Some(Box::new(CallFacts {
            code,
            request_id,
            node_id,
        }));
        self
    }

    fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What went wrong.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The body, for the path it happened at.
    pub(crate) fn body(self, instance: &str) -> ProblemBody {
        let is_call = self.call.is_some();
        let call = self.call.map_or(
            CallFacts {
                code: ErrorCode::SkillFailed,
                request_id: None,
                node_id: None,
            },
            |call| *call,
        );
        ProblemBody {
            kind: format!("urn:venom:problem:{}", self.slug),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            error: is_call.then(|| self.detail.clone()),
            detail: self.detail,
            instance: instance.to_owned(),
            success: is_call.then_some(false),
            error_code: is_call.then_some(call.code),
            request_id: call.request_id,
            node_id: call.node_id,
        }
    }

    /// The whole answer, for the path it happened at.
    pub(crate) fn answer(self, instance: &str) -> Response {
        let (status, retry_after, size) = (self.status, self.retry_after, self.size);
        let body = serde_json::to_vec(&self.body(instance)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = retry_after {
            headers.insert(
                RETRY_AFTER,
                HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64),
            );
        }
        if let Some(range) = size.and_then(|size| HeaderValue::try_from(format!("bytes */{size}")).ok()) {
            headers.insert(CONTENT_RANGE, range);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"venom-nexus\""),
            );
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"venom-nexus\""),
            );
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Carries the problem to [`finished`], which knows the path.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives an error the body it needs: ours, and those of layers below that have none of ours.
pub(crate) fn finished(mut response: Response, instance: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let mut answer = problem.answer(instance);
        // of a wrong method
        if let Some(allow) = response.headers_mut().remove(ALLOW) {
            answer.headers_mut().insert(ALLOW, allow);
        }
        return answer;
    }
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let has_own_body = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind != "text/plain; charset=utf-8");
    if is_error && !has_own_body {
        Problem::of_status(status, None).answer(instance)
    } else {
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_skill_are_no_http_errors_and_the_rest_is() {
        let id = RequestId::random();
        let status = |code| Problem::of_code(code, "x", id, None).map(|p| p.status.as_u16());
        assert_eq!(status(ErrorCode::SkillFailed), None);
        assert_eq!(status(ErrorCode::Denied), None);
        assert_eq!(status(ErrorCode::LimitExceeded), None);
        assert_eq!(status(ErrorCode::TimedOut), Some(504));
        assert_eq!(status(ErrorCode::InvalidParams), Some(400));
        assert_eq!(status(ErrorCode::NodeLost), Some(502));
    }

    #[test]
    fn the_contracts_statuses_of_a_rejection() {
        let id = RequestId::random();
        let status = |rejection| Problem::of_rejection(&rejection, id, None).status.as_u16();
        assert_eq!(status(Rejection::UnknownNode), 404);
        assert_eq!(status(Rejection::Offline), 400);
        assert_eq!(status(Rejection::Full), 503);
    }

    #[test]
    fn a_problem_about_a_call_serves_old_scripts_too() {
        let id = RequestId::random();
        let problem = Problem::of_code(ErrorCode::UnknownMethod, "no method `x`", id, None).unwrap();
        let body = serde_json::to_value(problem.body("/p")).unwrap();
        assert_eq!(body["type"], "urn:venom:problem:unknown-method");
        assert_eq!(
            (&body["success"], &body["error"]),
            (&false.into(), &"no method `x`".into())
        );
        let plain = serde_json::to_value(Problem::bad_request("x").body("/p")).unwrap();
        let names: Vec<_> = plain.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["detail", "instance", "status", "title", "type"]);
    }
}
