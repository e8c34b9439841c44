//! The root everything is trusted by.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use venom_protocol::{RootDocument, TrustView};

use super::App;
use super::body::{Json, json as answer, json_with};
use super::problem::{Problem, ProblemBody};
use super::releases::who;
use crate::auth::door::Visitor;

/// The newest root: which keys may sign what.
#[utoipa::path(get, path = "/api/v1/trust", tag = "releases", operation_id = "show_trust",
    responses(
        (status = 200, description = "what is trusted", body = TrustView),
        (status = 404, description = "no root is trusted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no releases are kept here", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(State(shared): App) -> Result<Response, Problem> {
    let trust = shared.releases()?.trust();
    answer(&trust.map_err(Problem::of_release)?)
}

/// Takes the next root, signed by enough keys of the root before it and of its own. Needs scope admin.
#[utoipa::path(post, path = "/api/v1/trust/roots", tag = "releases", operation_id = "publish_root", request_body = RootDocument,
    responses(
        (status = 200, description = "it was taken before", body = TrustView),
        (status = 201, description = "it counts now", body = TrustView),
        (status = 400, description = "no root", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "not signed by whom it must be", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "it does not follow the newest root", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no releases are kept here, or the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn publish(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    Json(document): Json<RootDocument>,
) -> Result<Response, Problem> {
    let releases = shared.releases_for_work()?;
    let is_new = releases.publish_root(&document.root, &who(&visitor)).await;
    let status = if is_new.map_err(Problem::of_release)? {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    json_with(status, &releases.trust().map_err(Problem::of_release)?)
}
