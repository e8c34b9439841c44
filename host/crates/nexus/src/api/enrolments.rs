//! Enrolment tokens: made, listed and withdrawn by operators.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::header::HOST;
use http::{HeaderMap, StatusCode, Uri};
use venom_protocol::{CreateEnrolment, EnrolmentCreated, EnrolmentList, EnrolmentView, Timestamp};

use super::App;
use super::body::{Json, TextPath, Unsaid, json as answer, json_with};
use super::problem::{Problem, ProblemBody};
use crate::auth::door::Visitor;

/// Makes an enrolment token. The answer holds it, this once, and an enrol string for `venom-host agent register`. Needs scope admin.
#[utoipa::path(post, path = "/api/v1/enrolments", tag = "agents", operation_id = "create_enrolment", request_body = CreateEnrolment,
    responses(
        (status = 201, description = "the token", body = EnrolmentCreated),
        (status = 400, description = "bad body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn create(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    headers: HeaderMap,
    Json(ask): Json<CreateEnrolment>,
) -> Result<Response, Problem> {
    let room = shared.fleet()?;
    let created = room.done(visitor.name, visitor.peer, |room, by| async move {
        room.fleet.create_enrolment(ask, &by, Timestamp::now()).await
    });
    let (token, enrolment) = created.await?;
    // HTTP/2 has the host in the address, HTTP/1.1 in a header
    let in_header = headers.get(HOST).and_then(|value| value.to_str().ok());
    let host = uri.authority().map(http::uri::Authority::as_str).or(in_header);
    let enrol = room.address.string(&token, host.unwrap_or("localhost"));
    let created = EnrolmentCreated {
        token,
        enrol,
        enrolment,
    };
    json_with(StatusCode::CREATED, &created)
}

/// Enrolment tokens without the tokens, at most 1,000: those first that still open, of each the newest first.
#[utoipa::path(get, path = "/api/v1/enrolments", tag = "agents", operation_id = "list_enrolments",
    responses(
        (status = 200, description = "the enrolments", body = EnrolmentList),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(State(shared): App) -> Result<Response, Problem> {
    let enrolments = shared.fleet()?.fleet.enrolments(Timestamp::now()).await;
    let enrolments = enrolments.map_err(Problem::of_fleet)?;
    answer(&EnrolmentList { enrolments })
}

/// Withdraws an enrolment token: nobody enrols with it any more. Agents that did stay. Needs scope admin.
#[utoipa::path(delete, path = "/api/v1/enrolments/{name}", tag = "agents", operation_id = "revoke_enrolment",
    params(("name" = String, Path, description = "the enrolment's id")),
    responses(
        (status = 200, description = "it is withdrawn", body = EnrolmentView),
        (status = 404, description = "no such enrolment", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn revoke(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    TextPath(id): TextPath,
    _: Unsaid,
) -> Result<Response, Problem> {
    let room = shared.fleet()?;
    let revoked = room.done(visitor.name, visitor.peer, |room, by| async move {
        room.fleet.revoke_enrolment(&id, &by, Timestamp::now()).await
    });
    answer(&revoked.await?)
}
