//! The door every request passes before it is routed: origin, limits, token, scope.
//!
//! Closed by default: a route that is not in the short list of open ones needs a token, and whatever does
//! not just read needs an operator's. A new route cannot be forgotten. Waits for nothing but the fleet's word on who fetches a bundle.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use venom_protocol::Event;

use super::credentials::{self, Credentials};
use super::keyring::SporeToken;
use super::limits::Visitor as Bucket;
use super::origin::{self, Foreign};
use crate::Scope;
use crate::api::problem::Problem;
use crate::state::Shared;
use crate::trace::TraceContext;

/// Routes without an operator's token: two for probes, and the spores' own, which asks for their token.
pub(crate) const OPEN: [&str; 3] = ["/healthz", "/readyz", "/ws/nodes"];
/// Where agents register: asks for a registration or enrolment token itself.
pub(crate) const REGISTER: &str = "/api/agents/register";
/// Routes of agents, with their method. The token is an agent's own, which takes a look into the fleet: they ask for it themselves
/// (`auth::agent::AgentVisitor`).
const AGENTS_OWN: [(Method, &str); 6] = [
    (Method::POST, "/api/agents/heartbeat"),
    (Method::POST, "/api/agents/rotate-token"),
    (Method::POST, "/api/agents/deregister"),
    (Method::GET, "/api/agents/commands"),
    (Method::POST, "/api/ingest/discovery"),
    (Method::POST, "/api/ingest/shield"),
];
/// Below it agents say what became of their commands.
const AGENTS_COMMANDS: &str = "/api/agents/commands/";
/// Routes that change what everybody's spores do.
const ADMIN: [&str; 1] = ["/api/v1/cluster/broadcast"];
/// Below these only reading is for others than admins: they decide what code runs where, and who gets in.
const ADMIN_TO_CHANGE: [&str; 6] = [
    "/api/v1/agents",
    "/api/v1/enrolments",
    "/api/v1/trust",
    "/api/v1/bundles",
    "/api/v1/releases",
    "/api/v1/rollouts",
];
/// Where the files of bundles are: spores fetch them with their own token.
const BUNDLES: &str = "/api/v1/bundles/";

/// Who came in. In the extensions of every request that is routed.
#[derive(Clone)]
pub(crate) struct Visitor {
    /// Name of the token; `dev` or `anonymous` without one.
    pub(crate) name: Arc<str>,
    /// From where.
    pub(crate) peer: IpAddr,
    /// The request's trace.
    pub(crate) trace: TraceContext,
    /// The connection's place among all that may be open; a WebSocket keeps it.
    pub(crate) place: Arc<OwnedSemaphorePermit>,
}

/// One connection, as the door needs to know it.
#[derive(Clone)]
pub(crate) struct Connection {
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// Its place among all that may be open.
    pub(crate) place: Arc<OwnedSemaphorePermit>,
}

impl Shared {
    /// Lets a request in or says why not. `is_linked_agent`: what [`Shared::is_linked_agent`] said of it.
    pub(crate) fn admit<B>(
        &self,
        from: &Connection,
        trace: TraceContext,
        request: &Request<B>,
        is_linked_agent: bool,
    ) -> Result<Visitor, Problem> {
        self.metrics.requests.inc();
        let peer = from.peer.ip();
        self.check_surroundings(peer, request)?;
        let (name, bucket) = match needed(request.method(), request.uri().path()) {
            None => (Arc::clone(&self.names.anonymous), Bucket::from_address(peer)),
            Some(_) if self.settings.dev => (Arc::clone(&self.names.dev), Bucket::from_address(peer)),
            Some(_) if is_linked_agent => (Arc::clone(&self.names.spore), Bucket::from_address(peer)),
            Some(scope) => self.identify(peer, scope, request)?,
        };
        self.request_buckets.take(bucket, Instant::now()).map_err(|wait| {
            self.metrics.rate_limited.inc();
            Problem::too_many_requests(wait, "too many requests")
        })?;
        Ok(Visitor {
            name,
            peer,
            trace,
            place: Arc::clone(&from.place),
        })
    }

    fn check_surroundings<B>(&self, peer: IpAddr, request: &Request<B>) -> Result<(), Problem> {
        let checked = if self.settings.dev && !peer.to_canonical().is_loopback() {
            Err(Problem::forbidden(format!(
                "development mode answers to loopback only, not to {peer}"
            )))
        } else {
            let host = match self.settings.dev {
                true => origin::check_loopback_host(request.uri(), request.headers()),
                false => Ok(()),
            };
            host.and_then(|()| origin::check_origin(request.uri(), request.headers()))
                .map_err(refusal)
        };
        checked.inspect_err(|problem| {
            self.audit.record(
                "request_refused",
                json!({ "peer": peer, "path": request.uri().path(), "why": problem.detail() }),
            );
        })
    }

    fn identify<B>(&self, peer: IpAddr, scope: Scope, request: &Request<B>) -> Result<(Arc<str>, Bucket), Problem> {
        let path = request.uri().path();
        let presented = match credentials::from_headers(request.headers()) {
            Credentials::None if takes_query_token(path) => credentials::from_query(request.uri().query()),
            other => other,
        };
        let detail = match &presented {
            Credentials::Token(token) => match self.keyring.holder(token) {
                Some(holder) if holder.scope >= scope => {
                    let name = self.names.holder(holder.index);
                    return Ok((name, Bucket::Holder(holder.index)));
                }
                Some(holder) => {
                    self.audit.record(
                        "scope_too_low",
                        json!({ "peer": peer, "token": holder.name, "path": path }),
                    );
                    return Err(Problem::scope_too_low(holder.name, holder.scope, scope));
                }
                None if self.is_spore_at_a_bundle(request.method(), path, token) => {
                    return Ok((Arc::clone(&self.names.spore), Bucket::from_address(peer)));
                }
                None => "the token is not known here; check the one you send, or make one with `venom-host init`",
            },
            Credentials::None => "a token is needed: send the header `Authorization: Bearer TOKEN`",
            Credentials::Unreadable => "the Authorization header holds no token: send `Authorization: Bearer TOKEN`",
        };
        if presented == Credentials::None {
            return Err(Problem::unauthorized(detail));
        }
        Err(self.wrong_token(peer, "operator", path).map_or_else(
            |wait| Problem::too_many_requests(wait, "too many wrong tokens from this address"),
            |()| Problem::unauthorized(detail),
        ))
    }

    /// The token of the spores, for exactly the files they need.
    fn is_spore_at_a_bundle(&self, method: &Method, path: &str, token: &str) -> bool {
        is_file_of_bundle(method, path) && self.keyring.judge_spore(token) == SporeToken::Right
    }

    /// The token of a request for a file of a bundle that may be an agent's own: nobody else's it is.
    pub(crate) fn token_at_a_bundle<B>(&self, request: &Request<B>) -> Option<String> {
        if self.fleet.is_none() || !is_file_of_bundle(request.method(), request.uri().path()) {
            return None;
        }
        let Credentials::Token(token) = credentials::from_headers(request.headers()) else {
            return None;
        };
        let is_known = self.keyring.holder(&token).is_some() || self.keyring.judge_spore(&token) == SporeToken::Right;
        (!is_known).then_some(token)
    }

    /// Whether the token is of an agent that is linked as a spore now, whichever of its tokens it linked with.
    pub(crate) async fn is_linked_agent(&self, token: &str) -> Result<bool, Problem> {
        let Some(room) = &self.fleet else { return Ok(false) };
        let pass = room.admit(token).await.map_err(Problem::of_fleet)?;
        Ok(pass.is_some_and(|pass| pass.approved && room.links.has(&pass.agent_id)))
    }

    /// Counts, records and tells of a wrong token. `Err`: there were too many from there.
    pub(crate) fn wrong_token(&self, peer: IpAddr, kind: &'static str, path: &str) -> Result<(), Duration> {
        self.metrics.auth_failures.inc();
        if let Err(wait) = self.failure_buckets.take(Bucket::from_address(peer), Instant::now()) {
            // not recorded one by one: a flood would fill the disk
            self.metrics.rate_limited.inc();
            return Err(wait);
        }
        let facts = json!({ "peer": peer, "kind": kind, "path": path });
        self.audit.record("auth_failed", facts.clone());
        self.events.publish(&Event::new(
            "AUTH_FAILED",
            format!("wrong {kind} token from {peer}"),
            facts,
        ));
        Ok(())
    }
}

/// What a request needs; `None`: nothing.
fn needed(method: &Method, path: &str) -> Option<Scope> {
    if OPEN.contains(&path) || asks_itself(method, path) {
        None
    } else if ADMIN.contains(&path) {
        Some(Scope::Admin)
    } else if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        Some(Scope::Viewer)
    } else if ADMIN_TO_CHANGE.iter().any(|root| is_below(root, path)) {
        Some(Scope::Admin)
    } else {
        Some(Scope::Operator)
    }
}

/// Whether the route itself asks for a token that is no operator's.
pub(crate) fn asks_itself(method: &Method, path: &str) -> bool {
    let is_command = *method == Method::PATCH && path.starts_with(AGENTS_COMMANDS);
    path == REGISTER || is_command || AGENTS_OWN.iter().any(|(own, at)| own == method && *at == path)
}

fn is_below(root: &str, path: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reading one file by its digest, and nothing else.
fn is_file_of_bundle(method: &Method, path: &str) -> bool {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    is_read
        && path
            .strip_prefix(BUNDLES)
            .is_some_and(|name| name.parse::<venom_bundle::Digest>().is_ok())
}

/// Streams, which pages open without being able to set a header.
fn takes_query_token(path: &str) -> bool {
    let is_task_stream = path.starts_with("/api/v1/tasks/") && path.ends_with("/events");
    is_task_stream || path.starts_with("/ws/tasks/") || ["/ws/events", "/api/v1/events"].contains(&path)
}

fn refusal(foreign: Foreign) -> Problem {
    Problem::forbidden(match foreign {
        Foreign::Origin(origin) => format!("a page of {origin} may not use this nexus"),
        Foreign::Host(host) => format!("development mode answers to loopback names only, not to {host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_listed_needs_a_token_and_more_than_reading_needs_an_operator() {
        assert_eq!(needed(&Method::GET, "/healthz"), None);
        assert_eq!(needed(&Method::GET, "/healthz/x"), Some(Scope::Viewer));
        assert_eq!(needed(&Method::GET, "/api/v1/nodes"), Some(Scope::Viewer));
        assert_eq!(needed(&Method::POST, "/api/v1/execute"), Some(Scope::Operator));
        assert_eq!(needed(&Method::POST, "/api/v1/cluster/broadcast"), Some(Scope::Admin));
        for path in [
            "/api/v1/releases",
            "/api/v1/bundles",
            "/api/v1/trust/roots",
            "/api/v1/rollouts/stable/pause",
        ] {
            assert_eq!(needed(&Method::POST, path), Some(Scope::Admin), "{path}");
            assert_eq!(needed(&Method::GET, path), Some(Scope::Viewer), "{path}");
        }
        assert_eq!(needed(&Method::POST, "/api/v1/releasesx"), Some(Scope::Operator));
        assert_eq!(
            needed(&Method::from_bytes(b"BREW").unwrap(), "/new"),
            Some(Scope::Operator)
        );
    }

    #[test]
    fn agents_routes_ask_for_their_tokens_themselves_and_those_beside_them_do_not() {
        for (method, path) in &AGENTS_OWN {
            assert_eq!(needed(method, path), None, "{path}");
        }
        assert_eq!(needed(&Method::PATCH, "/api/agents/commands/x"), None);
        for (method, path, scope) in [
            (Method::GET, "/api/agents", Scope::Viewer),
            (Method::GET, "/api/agents/heartbeat", Scope::Viewer),
            (Method::POST, "/api/agents/commands", Scope::Operator),
            (Method::POST, "/api/agents/x/commands", Scope::Operator),
            (Method::GET, "/api/agents/x/commands", Scope::Viewer),
            (Method::DELETE, "/api/agents/x", Scope::Operator),
            (Method::GET, "/api/data", Scope::Viewer),
            (Method::POST, "/api/v1/enrolments", Scope::Admin),
            (Method::POST, "/api/v1/agents/x/approve", Scope::Admin),
            (Method::PATCH, "/api/v1/findings/x", Scope::Operator),
        ] {
            assert_eq!(needed(&method, path), Some(scope), "{method} {path}");
        }
    }

    #[test]
    fn a_spore_may_read_files_by_their_digest_and_nothing_else() {
        let file = format!("{BUNDLES}{}", venom_bundle::Digest::of(b"x"));
        assert!(is_file_of_bundle(&Method::GET, &file) && is_file_of_bundle(&Method::HEAD, &file));
        assert!(!is_file_of_bundle(&Method::POST, &file) && !is_file_of_bundle(&Method::DELETE, &file));
        for path in [
            "/api/v1/bundles",
            BUNDLES,
            "/api/v1/bundles/x",
            "/api/v1/nodes",
            &format!("{file}/x"),
            &file.to_uppercase(),
        ] {
            assert!(!is_file_of_bundle(&Method::GET, path), "{path}");
        }
    }
}
