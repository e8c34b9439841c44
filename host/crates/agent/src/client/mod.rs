//! The nexus's REST, as an agent uses it. Each call is one request: whoever calls decides whether to try again.

mod answer;
mod error;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Url, header};
use serde::de::DeserializeOwned;
use venom_protocol::{AgentHeartbeat, AgentId, CommandDone, CommandUpdate, PendingCommands, RegisterAgent, Registered};

use crate::outbox::BatchKey;
use crate::pin::{Pin, tls_config};
use crate::token::Token;

pub use answer::{BeatAnswer, Ingested};
pub use error::ClientError;

/// Longest wait for the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait for a batch to be taken in, which may be sent over a slow line.
const INGEST_TIMEOUT: Duration = Duration::from_secs(180);

/// A nexus. Clones share the token.
#[derive(Debug, Clone)]
pub struct Client {
    /// Without a slash at the end.
    base: String,
    http: reqwest::Client,
    token: Arc<RwLock<Option<Token>>>,
    patience: Patience,
}

/// How long answers are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Of most calls.
    pub answer: Duration,
    /// Of batches.
    pub ingest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: ANSWER_TIMEOUT,
            ingest: INGEST_TIMEOUT,
        }
    }
}

impl Client {
    /// A client of the nexus at `http://HOST:PORT` or `https://HOST:PORT`, with a path before the API's when there is one.
    ///
    /// # Errors
    /// When the address is none, or the trust in it cannot be set up.
    pub fn new(nexus: &str, pin: Option<Pin>, ca_file: Option<&Path>) -> Result<Self, ClientError> {
        let wrong = |why| ClientError::Address {
            nexus: nexus.to_owned(),
            why,
        };
        let url = Url::parse(nexus).map_err(|_| wrong("it cannot be read as a url"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("its scheme is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(wrong("it carries a user name or a query"));
        }
        if pin.is_some() && url.scheme() != "https" {
            return Err(wrong("a pin needs https"));
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            tracing::warn!(
                nexus,
                "the token and everything seen travel in plain text; use https://"
            );
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config(pin, ca_file)?)
            // whoever is asked answers itself: a token follows no redirect
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .user_agent(concat!("venom-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(ClientError::Http)?;
        Ok(Self {
            base: url.as_str().trim_end_matches('/').to_owned(),
            http,
            token: Arc::default(),
            patience: Patience::default(),
        })
    }

    /// The same with a token.
    #[must_use]
    pub fn with_token(self, token: Token) -> Self {
        self.set_token(token);
        self
    }

    /// The same with other patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The token of this client and its clones from now on.
    pub fn set_token(&self, token: Token) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// The token in use: what the link to the nexus shows, too.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the nexus is.
    #[must_use]
    pub fn nexus(&self) -> &str {
        &self.base
    }

    /// `POST /api/agents/register`, with an enrolment token or the shared one. What an older server leaves out is filled in; the token of
    /// a hive that gives none is empty: it knows its clients by the one they registered with.
    ///
    /// # Errors
    /// When it did not answer or said no; after [`ClientError::Unreachable`] the agent may be registered, and the same again is safe.
    pub async fn register(&self, ask: &RegisterAgent, bearer: &Token) -> Result<Registered, ClientError> {
        let request = self.http.request(Method::POST, self.url("/api/agents/register"));
        let request = request
            .json(ask)
            .bearer_auth(bearer.reveal())
            .timeout(self.patience.answer);
        let answer: answer::RegisteredAnswer = self.send(request).await?;
        let odd = |why: &str| ClientError::Odd {
            nexus: self.base.clone(),
            why: why.to_owned(),
        };
        Ok(Registered {
            status: "registered".to_owned(),
            agent_id: answer
                .agent_id
                .or_else(|| ask.agent_id.clone())
                .ok_or_else(|| odd("it registered this agent without an id"))?,
            token: answer.token.unwrap_or_default(),
            message: answer.message,
            assigned_tasks: Vec::new(),
            approved: answer.approved.unwrap_or(true),
            site_name: answer.site_name.or_else(|| ask.site_name.clone()).unwrap_or_default(),
        })
    }

    /// `POST /api/agents/heartbeat`.
    ///
    /// # Errors
    /// When it did not answer or said no.
    pub async fn heartbeat(&self, beat: &AgentHeartbeat) -> Result<BeatAnswer, ClientError> {
        self.send(self.request(Method::POST, "/api/agents/heartbeat")?.json(beat))
            .await
    }

    /// `POST /api/agents/rotate-token`. The client goes on with the token it has.
    ///
    /// # Errors
    /// When it did not answer or said no; after [`ClientError::Unreachable`] it must be asked again soon.
    pub async fn rotate(&self) -> Result<Token, ClientError> {
        let request = self.request(Method::POST, "/api/agents/rotate-token")?;
        let answer: answer::RotatedAnswer = self.send(request).await?;
        Token::new(&answer.token).map_err(|_| ClientError::Odd {
            nexus: self.base.clone(),
            why: "its new token is none".to_owned(),
        })
    }

    /// `GET /api/agents/commands`.
    ///
    /// # Errors
    /// When it did not answer or said no.
    pub async fn commands(&self) -> Result<PendingCommands, ClientError> {
        self.send(self.request(Method::GET, "/api/agents/commands")?).await
    }

    /// `PATCH /api/agents/commands/{id}`.
    ///
    /// # Errors
    /// When it did not answer or said no.
    pub async fn update_command(&self, id: &str, update: &CommandUpdate) -> Result<CommandDone, ClientError> {
        let mut url = Url::parse(&self.url("/api/agents/commands")).map_err(|_| ClientError::Address {
            nexus: self.base.clone(),
            why: "it cannot be read as a url",
        })?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(id);
        }
        self.send(self.with_pass(Method::PATCH, url.as_str())?.json(update))
            .await
    }

    /// `POST /api/ingest/discovery`.
    ///
    /// # Errors
    /// When it did not answer or said no.
    pub async fn ingest_discovery(&self, key: &BatchKey, body: Vec<u8>) -> Result<Ingested, ClientError> {
        self.ingest("/api/ingest/discovery", key, body).await
    }

    /// `POST /api/ingest/shield`.
    ///
    /// # Errors
    /// When it did not answer or said no.
    pub async fn ingest_shield(&self, key: &BatchKey, body: Vec<u8>) -> Result<Ingested, ClientError> {
        self.ingest("/api/ingest/shield", key, body).await
    }

    /// `DELETE /api/agents/{id}`, with an operator's token.
    ///
    /// # Errors
    /// When it did not answer or said no.
    pub async fn deregister(&self, id: &AgentId, operator: &Token) -> Result<(), ClientError> {
        let url = self.url(&format!("/api/agents/{id}"));
        let request = self.http.request(Method::DELETE, url).bearer_auth(operator.reveal());
        let _: serde::de::IgnoredAny = self.send(request.timeout(self.patience.answer)).await?;
        Ok(())
    }

    async fn ingest(&self, path: &str, key: &BatchKey, body: Vec<u8>) -> Result<Ingested, ClientError> {
        let request = self
            .request(Method::POST, path)?
            .timeout(self.patience.ingest)
            .header("idempotency-key", key.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let answer: Ingested = self.send(request).await?;
        if answer.status == "ok" {
            return Ok(answer);
        }
        Err(ClientError::Odd {
            nexus: self.base.clone(),
            why: "it answered a batch without `status: ok`".to_owned(),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        self.with_pass(method, &self.url(path))
    }

    fn with_pass(&self, method: Method, url: &str) -> Result<RequestBuilder, ClientError> {
        let token = self.token().ok_or(ClientError::NoToken)?;
        let request = self.http.request(method, url).bearer_auth(token.reveal());
        Ok(request.timeout(self.patience.answer))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = request.send().await.map_err(|error| unreachable(&self.base, &error))?;
        answer::read(&self.base, response).await
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

/// The innermost cause: the others only say which library passed it on.
fn unreachable(nexus: &str, error: &reqwest::Error) -> ClientError {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let why = if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else {
        inner.to_string()
    };
    ClientError::Unreachable {
        nexus: nexus.to_owned(),
        why,
        timed_out: error.is_timeout() && !error.is_connect(),
    }
}
