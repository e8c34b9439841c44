//! What agents saw comes in here. Stamped with the agent and site of the token, never of the body.

use axum::response::Response;
use http::HeaderMap;
use venom_protocol::{Discovery, DiscoveryIngested, ShieldIngested, ShieldReport, Timestamp};

use super::body::{Json, json as answer};
use super::problem::{Problem, ProblemBody};
use crate::auth::agent::AgentVisitor;

/// Names a batch: the same key again counts once.
const KEY: &str = "idempotency-key";
/// Longest key, in bytes.
const MOST_KEY: usize = 128;

/// Takes in one sweep over one target. With the header `Idempotency-Key` it counts once however often it is sent.
#[utoipa::path(post, path = "/api/ingest/discovery", tag = "fleet", operation_id = "ingest_discovery", request_body = Discovery,
    params(("Idempotency-Key" = Option<String>, Header, description = "names the batch, up to 128 printable characters")),
    responses(
        (status = 200, description = "it is taken in, and survives a power cut", body = DiscoveryIngested),
        (status = 400, description = "bad body or key", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "the agent waits for approval", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "the key came before with another body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
        (status = 507, description = "the site holds as many things as may be", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn discovery(
    agent: AgentVisitor,
    headers: HeaderMap,
    Json(batch): Json<Discovery>,
) -> Result<Response, Problem> {
    agent.approved()?;
    let key = key(&headers)?.map(ToOwned::to_owned);
    let taken = agent.done(|room, pass| async move {
        let (fleet, metrics) = (&room.fleet, &room.metrics);
        let taken = fleet
            .ingest_discovery(&pass, key.as_deref(), batch, Timestamp::now())
            .await?;
        metrics.taken(taken.answer.duplicate, &metrics.assets, taken.answer.assets_ingested);
        Ok(taken)
    });
    answer(&taken.await?)
}

/// Takes in one look at the security of a target. With the header `Idempotency-Key` it counts once however often it is sent.
#[utoipa::path(post, path = "/api/ingest/shield", tag = "fleet", operation_id = "ingest_shield", request_body = ShieldReport,
    params(("Idempotency-Key" = Option<String>, Header, description = "names the batch, up to 128 printable characters")),
    responses(
        (status = 200, description = "it is taken in, and survives a power cut", body = ShieldIngested),
        (status = 400, description = "bad body or key", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "the agent waits for approval", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "the key came before with another body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
        (status = 507, description = "the site holds as many findings as may be", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn shield(
    agent: AgentVisitor,
    headers: HeaderMap,
    Json(batch): Json<ShieldReport>,
) -> Result<Response, Problem> {
    agent.approved()?;
    let key = key(&headers)?.map(ToOwned::to_owned);
    let taken = agent.done(|room, pass| async move {
        let (fleet, metrics) = (&room.fleet, &room.metrics);
        let taken = fleet
            .ingest_shield(&pass, key.as_deref(), batch, Timestamp::now())
            .await?;
        metrics.taken(taken.answer.duplicate, &metrics.findings, taken.answer.findings_count);
        Ok(taken)
    });
    answer(&taken.await?)
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=MOST_KEY).contains(&text.len()));
    text.map(Some)
        .ok_or_else(|| Problem::bad_request("the Idempotency-Key has 1 to 128 printable ASCII characters"))
}
