//! A REST client that asserts nothing: it brings home status and body.

use anyhow::{Context, Result};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use venom_protocol::NodeId;

/// Talks to one nexus as one user.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What came back from a route.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// Status.
    pub status: StatusCode,
    /// `content-type`.
    pub content_type: String,
    /// The body, as JSON where it is JSON.
    pub body: Value,
}

impl HttpAnswer {
    /// `detail` of a problem document.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.body.get("detail").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether this is an RFC 9457 problem with a text for people.
    #[must_use]
    pub fn is_problem(&self) -> bool {
        self.content_type.starts_with("application/problem+json") && !self.detail().is_empty()
    }
}

/// What came of a call that reached a skill.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Answer {
    /// Whether the skill succeeded.
    pub success: bool,
    /// What it answered.
    pub result: Value,
    /// Why it failed.
    pub error: Option<String>,
    /// The same, for programs.
    pub error_code: Option<String>,
    /// Seconds.
    pub execution_time: f64,
    /// Who ran it.
    pub node_id: Option<NodeId>,
}

impl Answer {
    /// The error, or nothing.
    #[must_use]
    pub fn why(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }

    /// The code of the error, or nothing.
    #[must_use]
    pub fn code(&self) -> &str {
        self.error_code.as_deref().unwrap_or_default()
    }
}

impl Client {
    /// For the nexus at `base`, with a bearer token or none.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(base: impl Into<String>, token: Option<&str>) -> Result<Self> {
        // fails when another test of this process was first, which is as good
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            http: reqwest::Client::builder().build()?,
            base: base.into(),
            token: token.map(str::to_owned),
        })
    }

    /// Where the nexus is.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request to a path, with the token, not sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends.
    ///
    /// # Errors
    /// When nothing comes back.
    pub async fn send(&self, request: RequestBuilder) -> Result<HttpAnswer> {
        let answer = request.send().await?;
        let status = answer.status();
        let content_type = answer
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(HttpAnswer {
            status,
            content_type,
            body,
        })
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&self, path: &str) -> Result<HttpAnswer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of a JSON value.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<HttpAnswer> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `SKILL.METHOD` on one node, whatever the status.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn execute(&self, node: NodeId, skill: &str, parameters: Value, timeout: f64) -> Result<HttpAnswer> {
        let (skill, method) = skill.split_once('.').context("write SKILL.METHOD")?;
        let body = json!({"skill_name": skill, "method_name": method, "parameters": parameters, "timeout": timeout});
        self.post(&format!("/api/v1/nodes/{node}/execute"), &body).await
    }

    /// As [`Self::execute`], for calls that must reach the skill.
    ///
    /// # Errors
    /// When the call itself is refused.
    pub async fn call(&self, node: NodeId, skill: &str, parameters: Value) -> Result<Answer> {
        let answer = self.execute(node, skill, parameters, 30.0).await?;
        anyhow::ensure!(
            answer.status == StatusCode::OK,
            "{skill}: {} {}",
            answer.status,
            answer.body
        );
        serde_json::from_value(answer.body.clone()).with_context(|| answer.body.to_string())
    }

    /// One node as the nexus shows it; `None`: not known.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn node(&self, node: NodeId) -> Result<Option<Value>> {
        let answer = self.get(&format!("/api/v1/nodes/{node}")).await?;
        Ok((answer.status == StatusCode::OK).then(|| answer.body.get("node").cloned().unwrap_or_default()))
    }

    /// Waits until a node is known and online, or known and not.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn until_online(&self, node: NodeId, online: bool) -> Result<Value> {
        crate::eventually(&format!("node {node} online={online}"), async || {
            let found = self.node(node).await.ok().flatten();
            Ok(found.filter(|node| node.get("is_online").and_then(Value::as_bool) == Some(online)))
        })
        .await
    }
}
