//! A nexus that misbehaves on purpose: it does what it is asked and loses the answer, says 500, hangs, or answers rubbish. It counts a
//! batch once by its key, as the real one does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use venom_agent::Token;
use venom_protocol::Timestamp;

/// What it does to one request.
#[derive(Debug, Clone)]
pub(crate) enum Misdeed {
    /// Does it, and breaks off in the answer.
    LoseAnswer,
    /// Does it, and answers never.
    HangAfter,
    /// Answers never, and does nothing.
    Hang,
    /// Answers this, and does nothing.
    Say(u16, &'static str),
    /// Answers this, with a header `Retry-After`, and does nothing.
    SayLater(u16, &'static str),
    /// Answers 200 and a page, as hotel networks do, and does nothing.
    Page,
    /// Answers more than anybody wants to read.
    Endless,
}

/// One request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Value,
    pub(crate) at: std::time::Instant,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    /// Tokens that are good.
    pub(crate) tokens: BTreeSet<String>,
    /// Registration tokens that are good.
    pub(crate) enrolments: BTreeSet<String>,
    /// A token that was given out and not used, and the one it will end.
    pub(crate) rotated: Option<(String, String)>,
    /// Whether answers are as bare as the oldest servers'.
    pub(crate) old: bool,
    pub(crate) unapproved: bool,
    /// What to do to the next requests whose path ends so.
    pub(crate) misdeeds: Vec<(&'static str, VecDeque<Misdeed>)>,
    /// What to do to every batch whose body has this in it.
    pub(crate) poison: Vec<(&'static str, Misdeed)>,
    pub(crate) seen: Vec<Seen>,
    /// Batches by key: body, and how often it came.
    pub(crate) batches: BTreeMap<String, (Value, u32)>,
    /// Keys in the order they came first.
    pub(crate) order: Vec<String>,
    /// Commands and what was said of them.
    pub(crate) commands: Vec<(Value, Vec<(String, Value)>)>,
    given: u32,
}

impl World {
    pub(crate) fn paths(&self, path: &str) -> Vec<&Seen> {
        self.seen.iter().filter(|seen| seen.path.ends_with(path)).collect()
    }

    pub(crate) fn command(&mut self, id: &str, kind: &str, params: Value) {
        let command = json!({"id": id, "command_type": kind, "params": params, "created_at": Timestamp::now()});
        self.commands.push((command, Vec::new()));
    }

    /// What was said of a command, in order.
    pub(crate) fn told(&self, id: &str) -> Vec<(String, Value)> {
        let command = self.commands.iter().find(|(command, _)| command["id"] == id);
        command.map(|(_, told)| told.clone()).unwrap_or_default()
    }

    pub(crate) fn misdo(&mut self, path: &'static str, misdeeds: impl IntoIterator<Item = Misdeed>) {
        self.misdeeds.push((path, misdeeds.into_iter().collect()));
    }

    fn misdeed(&mut self, path: &str, body: &str) -> Option<Misdeed> {
        if let Some((_, misdeed)) = self.poison.iter().find(|(word, _)| body.contains(word)) {
            return Some(misdeed.clone());
        }
        let (_, waiting) = self
            .misdeeds
            .iter_mut()
            .find(|(end, waiting)| path.ends_with(end) && !waiting.is_empty())?;
        waiting.pop_front()
    }

    fn give(&mut self) -> String {
        self.given += 1;
        format!("token-{}-{}", self.given, "x".repeat(30))
    }

    fn answer(&mut self, seen: &Seen, key: Option<String>) -> (u16, Value) {
        let token = seen.token.clone().unwrap_or_default();
        if seen.path.ends_with("/register") {
            if !self.enrolments.contains(&token) {
                return (403, json!({"status": "error", "message": "Invalid token"}));
            }
            let token = self.give();
            self.tokens.insert(token.clone());
            let id = &seen.body["agent_id"];
            return if self.old {
                (200, json!({"token": token}))
            } else {
                (
                    200,
                    json!({"status": "registered", "agent_id": id, "token": token, "message": "hello",
                    "assigned_tasks": [], "approved": !self.unapproved, "site_name": "Berlin"}),
                )
            };
        }
        if !self.tokens.contains(&token) {
            return (
                401,
                json!({"type": "about:blank", "title": "Unauthorized", "detail": "nobody's token", "status": 401}),
            );
        }
        if let Some((new, old)) = self.rotated.clone().filter(|(new, _)| *new == token) {
            self.tokens.remove(&old);
            self.tokens.insert(new);
            self.rotated = None;
        }
        let waiting = self.commands.iter().filter(|(_, told)| told.is_empty());
        match (seen.method.as_str(), seen.path.as_str()) {
            ("POST", "/api/agents/heartbeat") if self.old => (200, json!({"status": "ok"})),
            ("POST", "/api/agents/heartbeat") => (
                200,
                json!({"status": "ok", "agent_id": "agent-1", "last_seen": Timestamp::now(),
                "pending_commands": waiting.count(), "approved": !self.unapproved}),
            ),
            ("POST", "/api/agents/rotate-token") => {
                let new = self.give();
                self.tokens.insert(new.clone());
                self.rotated = Some((new.clone(), token));
                (
                    200,
                    json!({"status": "rotated", "agent_id": "agent-1", "token": new, "message": "new"}),
                )
            }
            ("GET", "/api/agents/commands") => {
                let waiting: Vec<Value> = waiting.map(|(command, _)| command.clone()).collect();
                (200, json!({"count": waiting.len(), "commands": waiting}))
            }
            ("PATCH", path) => {
                let id = path.rsplit('/').next().unwrap_or_default().to_owned();
                let Some((_, told)) = self.commands.iter_mut().find(|(command, _)| command["id"] == id) else {
                    return (404, json!({"detail": "no such command"}));
                };
                let status = seen.body["status"].as_str().unwrap_or_default().to_owned();
                told.push((status.clone(), seen.body["result"].clone()));
                (200, json!({"status": "ok", "command_id": id, "command_status": status}))
            }
            ("POST", "/api/ingest/discovery" | "/api/ingest/shield") => {
                let key = key.expect("a batch without a key");
                let new = !self.batches.contains_key(&key);
                if new {
                    self.order.push(key.clone());
                }
                let entry = self.batches.entry(key).or_insert_with(|| (seen.body.clone(), 0));
                assert_eq!(entry.0, seen.body, "one key, two bodies");
                entry.1 += 1;
                (200, json!({"status": "ok", "scan_id": "s", "duplicate": !new}))
            }
            _ => (404, json!({"detail": "no such route"})),
        }
    }
}

/// A running one.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    world: Arc<Mutex<World>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The token agents of tests begin with.
pub(crate) const TOKEN: &str = "the-first-token";

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut world = World::default();
        world.tokens.insert(TOKEN.to_owned());
        world.enrolments.insert("enrol-me".to_owned());
        let world = Arc::new(Mutex::new(world));
        let router = router(Arc::clone(&world));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, world, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.lock().unwrap())
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&World) -> bool) {
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while !self.with(|world| holds(world)) {
            assert!(std::time::Instant::now() < end, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn router(world: Arc<Mutex<World>>) -> Router {
    Router::new().fallback(handle).with_state(world)
}

pub(crate) fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

async fn handle(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let body = to_bytes(body, 64 << 20).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    let seen = Seen {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        token: header("authorization").map(|text| text.trim_start_matches("Bearer ").to_owned()),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: std::time::Instant::now(),
    };
    let key = header("idempotency-key");
    let (misdeed, answer) = {
        let mut world = world.lock().unwrap();
        world.seen.push(seen.clone());
        let misdeed = world.misdeed(&seen.path, &text);
        let does = matches!(misdeed, None | Some(Misdeed::LoseAnswer | Misdeed::HangAfter));
        (misdeed, does.then(|| world.answer(&seen, key)))
    };
    let problem = |status: u16, detail: &str| {
        let body = json!({"status": status, "title": "no", "detail": detail}).to_string();
        let status = StatusCode::from_u16(status).unwrap();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    };
    match misdeed {
        None => {
            let (status, body) = answer.unwrap();
            (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
        }
        Some(Misdeed::LoseAnswer) => {
            let half = stream::iter([Ok("{\"sta".to_owned()), Err(std::io::Error::other("broken off"))]);
            Body::from_stream(half).into_response()
        }
        Some(Misdeed::Hang | Misdeed::HangAfter) => std::future::pending().await,
        Some(Misdeed::Say(status, detail)) => problem(status, detail),
        Some(Misdeed::SayLater(status, seconds)) => {
            let mut answer = problem(status, "later");
            answer.headers_mut().insert("retry-after", seconds.parse().unwrap());
            answer
        }
        Some(Misdeed::Page) => "<html>please accept our terms</html>".into_response(),
        Some(Misdeed::Endless) => {
            let endless = stream::repeat("x".repeat(65_536)).map(Ok::<_, Infallible>);
            Body::from_stream(endless).into_response()
        }
    }
}
