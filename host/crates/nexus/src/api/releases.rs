//! Releases: publish, list, show.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use venom_bundle::Channel;
use venom_protocol::{DryRun, PublishRelease, ReleaseDocument, ReleaseList, RolloutView};

use super::App;
use super::body::{Json, json as answer, json_with};
use super::problem::{Problem, ProblemBody};
use super::query::Query;
use crate::auth::door::Visitor;
use crate::releases::{Published, Shown, Who};

/// Who asks, for the audit.
pub(super) fn who(visitor: &Visitor) -> Who {
    Who {
        name: std::sync::Arc::clone(&visitor.name),
        peer: Some(visitor.peer),
    }
}

/// A channel's name; `stable` when absent.
pub(super) fn channel(text: Option<&str>) -> Result<Channel, Problem> {
    let Some(text) = text else {
        return Ok(Channel::default());
    };
    text.parse()
        .map_err(|error: venom_bundle::InvalidDocumentName| Problem::bad_request(error.to_string()))
}

/// Publishes a signed release and begins its rollout; with `dry_run` only says what that would do, also for an unsigned
/// one. Publishing the same again changes nothing. Needs scope admin.
#[utoipa::path(post, path = "/api/v1/releases", tag = "releases", operation_id = "publish_release", request_body = PublishRelease,
    params(("dry_run" = Option<bool>, Query, description = "only say what it would do")),
    responses(
        (status = 200, description = "it was published before (a `RolloutView`), or a dry run", body = DryRun),
        (status = 201, description = "it is published", body = RolloutView),
        (status = 400, description = "no release, or a plan that makes no sense", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "not signed by whom it must be", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "older than the current release, another of its number, or not made from it", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "a bundle is missing or is not what the release says, or it has expired", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no releases or no online key are kept here, or the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn publish(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
    Json(request): Json<PublishRelease>,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["dry_run"])?;
    let releases = shared.releases_for_work()?;
    if query.flag("dry_run")?.unwrap_or(false) {
        return answer(&releases.dry_run(&request).await.map_err(Problem::of_release)?);
    }
    let published = releases.publish(request, &who(&visitor)).await;
    let Published { line, is_new } = published.map_err(Problem::of_release)?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    json_with(status, &releases.shown(&line, Shown::Numbers))
}

/// Releases of a channel, or of all, the newest first; the last 100 of each.
#[utoipa::path(get, path = "/api/v1/releases", tag = "releases", operation_id = "list_releases",
    params(("channel" = Option<String>, Query, description = "only this channel")),
    responses(
        (status = 200, description = "the releases", body = ReleaseList),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no releases are kept here, or the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["channel"])?;
    let wanted = query.text("channel").map(|text| channel(Some(text))).transpose()?;
    let listed = shared.releases()?.listed(wanted.as_ref()).await;
    answer(&listed.map_err(Problem::of_release)?)
}

/// The release the spores of a channel are given, as it was signed.
#[utoipa::path(get, path = "/api/v1/releases/current", tag = "releases", operation_id = "current_release",
    params(("channel" = Option<String>, Query, description = "`stable` when absent")),
    responses(
        (status = 200, description = "the release", body = ReleaseDocument),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "the channel has none", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no releases are kept here, or the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn current(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["channel"])?;
    let current = shared.releases()?.current(&channel(query.text("channel"))?);
    answer(&current.map_err(Problem::of_release)?)
}
