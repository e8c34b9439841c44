//! Agents: registration, heartbeats and tokens for them; lists, approval and removal for operators.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use venom_fleet::{Admission, AgentQuery, FleetError, Outcome};
use venom_protocol::{
    AgentHeartbeat, AgentId, AgentList, AgentStatus, AgentView, HeartbeatAnswer, RegisterAgent, Registered, Timestamp,
    TokenRotated,
};

use super::App;
use super::body::{AgentPath, Json, Unsaid, json as answer, json_with};
use super::problem::{Problem, ProblemBody};
use super::query::Query;
use crate::auth::agent::AgentVisitor;
use crate::auth::credentials::{Credentials, from_headers};
use crate::auth::door::Visitor;
use crate::fleet::{Doer, FleetRoom};
use crate::state::Shared;

/// Agents on one page at most.
const MOST_AGENTS: usize = 1_000;
/// Agents on one page when nobody says.
const SOME_AGENTS: u32 = 500;

/// A registration that was refused, in the words older clients look for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegistrationRefused {
    /// `error`.
    status: &'static str,
    /// `Invalid token`.
    message: &'static str,
    /// Why, and what to do.
    detail: String,
}

/// Registers an agent, or updates one that registers again. The token comes as a bearer token or as `secret`: the registration token of
/// hive clients, the secret of LAN scan agents, an enrolment token, or the agent's own. The answer holds the agent's own token, this once.
#[utoipa::path(post, path = "/api/agents/register", tag = "agents", operation_id = "register_agent", request_body = RegisterAgent,
    security(()),
    responses(
        (status = 200, description = "it is registered", body = Registered),
        (status = 400, description = "bad body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "the token opens nothing (as JSON: `{status: \"error\", message: \"Invalid token\", detail}`)", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "the id is taken by an agent that enrolled otherwise", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "too many registrations or wrong tokens from this address", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
        (status = 507, description = "there are as many agents as may be", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn register(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Json(mut ask): Json<RegisterAgent>,
) -> Result<Response, Problem> {
    let room = shared.fleet()?;
    room.take_registration(visitor.peer).map_err(|wait| {
        shared.metrics.rate_limited.inc();
        Problem::too_many_requests(wait, "too many registrations from this address")
    })?;
    let in_body = ask.secret.take();
    let token = match from_headers(&headers) {
        Credentials::Token(token) => Some(token),
        Credentials::None => in_body,
        Credentials::Unreadable => return refused(&shared, &visitor, "the Authorization header holds no token"),
    };
    let is_shared = match &token {
        None => shared.settings.dev,
        Some(token) => room.is_shared(token),
    };
    let how = match token {
        _ if is_shared => None,
        Some(token) => Some(token),
        None => {
            let why = "a token is needed: an enrolment token (`venom-host enrol create`), or the registration token or \
                       secret this nexus was given";
            // who shows none has guessed none
            return refusal(why);
        }
    };
    let (own, peer) = (Arc::clone(room), visitor.peer);
    let registered = room.whole(async move {
        let registered = match how {
            None => own.fleet.register(ask, Admission::Shared, Timestamp::now()).await,
            Some(token) => with_own_or_enrolment(&own, ask, &token).await,
        };
        match registered {
            Ok(outcome) => {
                let id = outcome.answer.agent_id.clone();
                let by = Doer {
                    name: id.as_str(),
                    peer: Some(peer),
                };
                Ok(Ok(own.told(outcome, by)))
            }
            Err(FleetError::Denied(why)) => Ok(Err(why)),
            Err(error) => Err(Problem::of_fleet(error)),
        }
    });
    match registered.await? {
        Ok(registered) => answer(&registered),
        Err(why) => refused(&shared, &visitor, &why),
    }
}

async fn with_own_or_enrolment(
    room: &FleetRoom,
    ask: RegisterAgent,
    token: &str,
) -> Result<venom_fleet::Outcome<Registered>, FleetError> {
    let now = Timestamp::now();
    match room.fleet.admit(token, now).await? {
        Some(pass) => room.fleet.register(ask, Admission::Agent(&pass), now).await,
        None => room.fleet.register(ask, Admission::Enrolment(token), now).await,
    }
}

fn refused(shared: &Shared, visitor: &Visitor, why: &str) -> Result<Response, Problem> {
    shared
        .wrong_token(visitor.peer, "registration", "/api/agents/register")
        .map_err(|wait| Problem::too_many_requests(wait, "too many wrong tokens from this address"))?;
    refusal(why)
}

fn refusal(why: &str) -> Result<Response, Problem> {
    let body = RegistrationRefused {
        status: "error",
        message: "Invalid token",
        detail: why.to_owned(),
    };
    json_with(StatusCode::FORBIDDEN, &body)
}

/// Tells that the agent lives, and learns how many commands wait for it. `status: "offline"` is a goodbye.
#[utoipa::path(post, path = "/api/agents/heartbeat", tag = "agents", operation_id = "agent_heartbeat", request_body = AgentHeartbeat,
    responses(
        (status = 200, description = "heard", body = HeartbeatAnswer),
        (status = 400, description = "bad body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn heartbeat(agent: AgentVisitor, Json(beat): Json<AgentHeartbeat>) -> Result<Response, Problem> {
    let heard = agent.done(|room, pass| async move {
        let heard = room.fleet.heartbeat(&pass, beat, Timestamp::now()).await;
        room.metrics.heartbeats.inc_by(heard.is_ok().into());
        heard
    });
    answer(&heard.await?)
}

/// Gives the agent a new token. The one before stays good until the new one is used, and not much longer.
#[utoipa::path(post, path = "/api/agents/rotate-token", tag = "agents", operation_id = "rotate_agent_token",
    responses(
        (status = 200, description = "the new token, shown this once", body = TokenRotated),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn rotate(agent: AgentVisitor, _: Unsaid) -> Result<Response, Problem> {
    let rotated = agent.done(|room, pass| async move { room.fleet.rotate_token(&pass, Timestamp::now()).await });
    answer(&rotated.await?)
}

/// Ends the agent's own registration: its tokens open nothing any more, what it saw stays.
#[utoipa::path(post, path = "/api/agents/deregister", tag = "agents", operation_id = "deregister_self",
    responses(
        (status = 204, description = "it is gone"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn leave(agent: AgentVisitor, _: Unsaid) -> Result<StatusCode, Problem> {
    let ended = agent.done(|room, pass| async move { end(&room, &pass.agent_id, pass.agent_id.as_str()).await });
    ended.await.map(|()| StatusCode::NO_CONTENT)
}

/// Agents, by name.
#[utoipa::path(get, path = "/api/agents", tag = "agents", operation_id = "list_agents",
    params(
        ("site" = Option<String>, Query, description = "only of this site"),
        ("status" = Option<AgentStatus>, Query, description = "only those"),
        ("limit" = Option<u32>, Query, description = "1 to 1,000; 500 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the agents", body = AgentList),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["site", "status", "limit", "cursor"])?;
    let ask = AgentQuery {
        site: query.owned("site"),
        status: query.word("status", "pending, online, stale or offline")?,
        limit: Some(query.count("limit", MOST_AGENTS)?.unwrap_or(SOME_AGENTS)),
        cursor: query.owned("cursor"),
    };
    let listed = shared.fleet()?.fleet.agents(ask).await;
    answer(&listed.map_err(Problem::of_fleet)?)
}

/// One agent.
#[utoipa::path(get, path = "/api/agents/{agent_id}", tag = "agents", operation_id = "show_agent",
    params(("agent_id" = AgentId, Path, description = "the agent")),
    responses(
        (status = 200, description = "the agent", body = AgentView),
        (status = 404, description = "no such agent", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(State(shared): App, AgentPath(id): AgentPath) -> Result<Response, Problem> {
    let shown = shared.fleet()?.fleet.agent(&id).await;
    answer(&shown.map_err(Problem::of_fleet)?)
}

/// Deregisters an agent: its tokens open nothing from now on, its link is cut, what it saw stays.
#[utoipa::path(delete, path = "/api/agents/{agent_id}", tag = "agents", operation_id = "deregister_agent",
    params(("agent_id" = AgentId, Path, description = "the agent")),
    responses(
        (status = 204, description = "it is gone"),
        (status = 404, description = "no such agent", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn remove(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    AgentPath(id): AgentPath,
    _: Unsaid,
) -> Result<StatusCode, Problem> {
    let room = shared.fleet()?;
    let ended = room.done(visitor.name, visitor.peer, |room, by| async move {
        end(&room, &id, &by).await
    });
    ended.await.map(|()| StatusCode::NO_CONTENT)
}

async fn end(room: &FleetRoom, id: &AgentId, by: &str) -> Result<Outcome<()>, FleetError> {
    let ended = room.fleet.deregister(id, by, Timestamp::now()).await?;
    room.links.cut(id);
    Ok(ended)
}

/// Lets an agent in that waits for it. Needs scope admin.
#[utoipa::path(post, path = "/api/v1/agents/{agent_id}/approve", tag = "agents", operation_id = "approve_agent",
    params(("agent_id" = AgentId, Path, description = "the agent")),
    responses(
        (status = 200, description = "it is in", body = AgentView),
        (status = 404, description = "no such agent", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "it was deregistered", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn approve(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    AgentPath(id): AgentPath,
    _: Unsaid,
) -> Result<Response, Problem> {
    let room = shared.fleet()?;
    let approved = room.done(visitor.name, visitor.peer, |room, by| async move {
        room.fleet.approve(&id, &by, Timestamp::now()).await
    });
    answer(&approved.await?)
}

/// How many agents run which version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentVersions {
    /// Version of this nexus.
    nexus: String,
    /// Active agents by version; those that told none are under `unknown`.
    versions: std::collections::BTreeMap<String, u64>,
}

/// Which versions the agents run.
#[utoipa::path(get, path = "/api/agents/version", tag = "agents", operation_id = "agent_versions",
    responses(
        (status = 200, description = "the versions", body = AgentVersions),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn versions(State(shared): App) -> Result<Response, Problem> {
    let versions = shared
        .fleet()?
        .fleet
        .agent_versions()
        .await
        .map_err(Problem::of_fleet)?;
    let nexus = shared.settings.version.clone();
    answer(&AgentVersions { nexus, versions })
}
