//! Commands for agents: sent by operators, fetched and ended by the agent.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use venom_protocol::{
    AgentId, CommandDone, CommandList, CommandSent, CommandStatus, CommandUpdate, PendingCommands, SendCommand,
    Timestamp,
};

use super::App;
use super::body::{AgentPath, Json, TextPath, json as answer};
use super::problem::{Problem, ProblemBody};
use super::query::Query;
use crate::auth::agent::AgentVisitor;
use crate::auth::door::Visitor;

/// Commands listed at most.
const MOST_COMMANDS: usize = 1_000;
/// Commands listed when nobody says.
const SOME_COMMANDS: u32 = 50;

/// Sends a command to an agent; it gets it at once where it is linked as a spore here, else with its next heartbeat.
#[utoipa::path(post, path = "/api/agents/{agent_id}/commands", tag = "agents", operation_id = "send_command", request_body = SendCommand,
    params(("agent_id" = AgentId, Path, description = "the agent")),
    responses(
        (status = 200, description = "it waits for the agent", body = CommandSent),
        (status = 400, description = "bad body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no such agent", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "the agent was deregistered", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
        (status = 507, description = "as many commands wait for the agent as may", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn send(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    AgentPath(id): AgentPath,
    Json(ask): Json<SendCommand>,
) -> Result<Response, Problem> {
    let room = shared.fleet()?;
    let sent = room.done(visitor.name, visitor.peer, |room, by| async move {
        let now = Timestamp::now();
        let sent = room.fleet.send_command(&id, ask, &by, now).await?;
        room.links.say_a_command_waits(&id, now);
        Ok(sent)
    });
    answer(&sent.await?)
}

/// An agent's commands, the newest first.
#[utoipa::path(get, path = "/api/agents/{agent_id}/commands", tag = "agents", operation_id = "list_commands",
    params(
        ("agent_id" = AgentId, Path, description = "the agent"),
        ("status" = Option<CommandStatus>, Query, description = "only those"),
        ("limit" = Option<u32>, Query, description = "1 to 1,000; 50 when absent"),
    ),
    responses(
        (status = 200, description = "the commands", body = CommandList),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no such agent", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(shared): App,
    AgentPath(id): AgentPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["status", "limit"])?;
    let status = query.word("status", "pending, ack, running, completed or failed")?;
    let limit = query.count("limit", MOST_COMMANDS)?.unwrap_or(SOME_COMMANDS);
    let listed = shared.fleet()?.fleet.commands(&id, status, limit).await;
    answer(&listed.map_err(Problem::of_fleet)?)
}

/// Commands that wait for the agent that asks, the oldest first.
#[utoipa::path(get, path = "/api/agents/commands", tag = "agents", operation_id = "pending_commands",
    responses(
        (status = 200, description = "the commands", body = PendingCommands),
        (status = 403, description = "the agent waits for approval", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn pending(agent: AgentVisitor) -> Result<Response, Problem> {
    agent.approved()?;
    let pending = agent.room.fleet.pending_commands(&agent.pass, Timestamp::now()).await;
    answer(&pending.map_err(Problem::of_fleet)?)
}

/// The agent says where one of its commands stands. It only goes forward; saying the same again changes nothing.
#[utoipa::path(patch, path = "/api/agents/commands/{name}", tag = "agents", operation_id = "update_command", request_body = CommandUpdate,
    params(("name" = String, Path, description = "the command's id")),
    responses(
        (status = 200, description = "noted", body = CommandDone),
        (status = 400, description = "bad body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "the agent waits for approval, or the command is another agent's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no such command", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "it has ended, or would go back", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn update(
    agent: AgentVisitor,
    TextPath(id): TextPath,
    Json(ask): Json<CommandUpdate>,
) -> Result<Response, Problem> {
    agent.approved()?;
    let updated = agent.done(|room, pass| async move {
        let now = Timestamp::now();
        room.fleet.update_command(&pass, &id, ask, now).await
    });
    answer(&updated.await?)
}
