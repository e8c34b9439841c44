//! Agents at their own routes: the token in the header is an agent's, and what it opens is that agent's.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use venom_fleet::{AgentPass, FleetError, Outcome};

use super::credentials::{Credentials, from_headers};
use super::door::Visitor;
use crate::api::problem::Problem;
use crate::fleet::FleetRoom;
use crate::state::Shared;

/// An agent that showed its own token. Every handler of an agent's route takes one, and that is what guards the route.
pub(crate) struct AgentVisitor {
    /// Whose token it was.
    pub(crate) pass: AgentPass,
    /// From where.
    pub(crate) peer: IpAddr,
    /// The fleet that knows it.
    pub(crate) room: Arc<FleetRoom>,
}

impl AgentVisitor {
    /// Does something in the agent's name: [`FleetRoom::done`].
    pub(crate) async fn done<T, F>(self, deed: impl FnOnce(Arc<FleetRoom>, AgentPass) -> F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<Outcome<T>, FleetError>> + Send + 'static,
    {
        let Self { pass, peer, room } = self;
        let name = pass.agent_id.as_str().into();
        room.done(name, peer, |room, _| deed(room, pass)).await
    }

    /// Refuses an agent that waits for an operator.
    pub(crate) fn approved(&self) -> Result<(), Problem> {
        if self.pass.approved {
            return Ok(());
        }
        let id = &self.pass.agent_id;
        Err(Problem::forbidden(format!(
            "agent {id} waits for approval: an operator runs `venom-host agent approve {id}`"
        )))
    }
}

impl FromRequestParts<Arc<Shared>> for AgentVisitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let peer = peer_of(parts)?;
        let token = match from_headers(&parts.headers) {
            Credentials::Token(token) => token,
            Credentials::None => {
                return Err(Problem::unauthorized(
                    "an agent's token is needed: register first, then send the header `Authorization: Bearer TOKEN`",
                ));
            }
            Credentials::Unreadable => {
                return Err(Problem::unauthorized(
                    "the Authorization header holds no token: send `Authorization: Bearer TOKEN`",
                ));
            }
        };
        let room = Arc::clone(shared.fleet()?);
        // whoever has a good token gets in, however many wrong ones others behind the same address send
        let Some(pass) = room.admit(&token).await.map_err(Problem::of_fleet)? else {
            return Err(wrong(shared, peer, parts.uri.path()));
        };
        room.take_request(&pass.agent_id).map_err(|wait| {
            shared.metrics.rate_limited.inc();
            Problem::too_many_requests(wait, "too many requests of this agent")
        })?;
        Ok(Self { pass, peer, room })
    }
}

fn wrong(shared: &Shared, peer: IpAddr, path: &str) -> Problem {
    match shared.wrong_token(peer, "agent", path) {
        Ok(()) => Problem::unauthorized(
            "the token is no agent's, or no longer: it was revoked, rotated or replaced; register again with an enrolment token",
        ),
        Err(wait) => Problem::too_many_requests(wait, "too many wrong tokens from this address"),
    }
}

fn peer_of(parts: &Parts) -> Result<IpAddr, Problem> {
    let visitor = parts.extensions.get::<Visitor>();
    visitor
        .map(|visitor| visitor.peer)
        .ok_or_else(|| Problem::internal("the request did not come through the door"))
}
