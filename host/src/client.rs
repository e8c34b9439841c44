//! REST calls of the command line. Turns every way they can fail into something people can act on.

mod address;
mod transfer;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use address::{path_part, path_with};
use reqwest::{Certificate, Method, StatusCode};
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use venom_protocol::{NodeList, NodeView};

use crate::data_dir::{DataDir, read_token};
use crate::failure::{Explain as _, Failure};
use crate::sandbox::near;
use crate::settings::{ClientSettings, Secret};

/// Longest wait for an answer that needs no skill.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait for the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A nexus as the command line sees it.
pub(crate) struct NexusClient {
    base: String,
    token: Option<Secret>,
    token_source: String,
    http: reqwest::Client,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// For people.
    pub failure: Failure,
    /// What the nexus answered; absent when no answer came, and then what was asked may or may not have been done.
    pub status: Option<StatusCode>,
    /// When the nexus wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl Trouble {
    /// Whether asking again later can help: nobody answered, or it was too much at once.
    pub(crate) fn may_pass(&self) -> bool {
        self.status.is_none_or(|status| {
            matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            )
        })
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        trouble.failure
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            status: None,
            retry_after: None,
        }
    }
}

/// RFC 9457 problem JSON, as far as people care.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: Option<String>,
    title: Option<String>,
    detail: Option<String>,
}

impl Problem {
    /// Whether this is the problem with that word behind `urn:venom:problem:`.
    fn is(&self, word: &str) -> bool {
        let kind = self
            .kind
            .as_deref()
            .and_then(|kind| kind.strip_prefix("urn:venom:problem:"));
        kind == Some(word)
    }
}

/// What a nexus says of itself when asked.
pub(crate) struct Hello {
    /// Its version; absent when it tells only those with a token.
    pub version: Option<String>,
    /// Seconds its clock is ahead of this machine's.
    pub clock_ahead: Option<i64>,
}

/// The part of an OpenAPI document that names the version.
#[derive(Deserialize)]
struct OpenApi {
    info: OpenApiInfo,
}

#[derive(Deserialize)]
struct OpenApiInfo {
    version: String,
}

/// The answer of `/healthz`.
#[derive(Deserialize)]
struct Health {
    component: String,
}

impl NexusClient {
    /// Makes a client; nothing is sent yet.
    pub(crate) fn new(settings: &ClientSettings, data: &DataDir) -> Result<Self, Failure> {
        let local = data.operator_token();
        let (token, token_source) = match &settings.token {
            Some(token) => (Some(token.clone()), "--token, VENOM_TOKEN or venom.toml".to_owned()),
            None => (read_token(&local)?, local.display().to_string()),
        };
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("venom-host/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&settings.nexus) {
            // A proxy of the environment must not be asked for this machine's own ports.
            builder = builder.no_proxy();
        }
        if let Some(path) = &settings.ca_file {
            builder = builder.tls_certs_merge(read_certificates(path)?);
        }
        let http = builder.build().or_fail("cannot set up the HTTP client")?;
        Ok(Self {
            base: settings.nexus.clone(),
            token,
            token_source,
            http,
        })
    }

    /// Whether it has a token to show.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// `GET path`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        Ok(self.ask(Method::GET, path, None::<&()>, Duration::ZERO).await?)
    }

    /// `DELETE path`.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        Ok(self.ask(Method::DELETE, path, None::<&()>, Duration::ZERO).await?)
    }

    /// `PATCH path` with a JSON body.
    pub(crate) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        Ok(self.ask(Method::PATCH, path, Some(body), Duration::ZERO).await?)
    }

    /// `GET path`, the answer written out as it comes.
    pub(crate) async fn copy_to(&self, path: &str, out: &mut impl std::io::Write) -> Result<(), Failure> {
        let request = self.request(Method::GET, &format!("{}{path}", self.base));
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await;
        let sent = sent.map_err(|_| Failure::new(format!("the nexus at {} did not answer in time", self.base)))?;
        let mut response = self.accepted(sent.map_err(|error| self.unreachable(&error))?).await?;
        while let Some(part) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            match out.write_all(&part) {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.or_fail("cannot write to stdout")?,
            }
        }
        Ok(())
    }

    /// `PUT path` with a JSON body.
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        Ok(self.ask(Method::PUT, path, Some(body), Duration::ZERO).await?)
    }

    /// `POST path` with a JSON body; `wait` is how long the answer itself may take.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<T, Failure> {
        Ok(self.ask(Method::POST, path, Some(body), wait).await?)
    }

    /// Asks whether a nexus is there, its version and its time.
    pub(crate) async fn hello(&self) -> Result<Hello, Failure> {
        let url = format!("{}/healthz", self.base);
        let response = self
            .http
            .get(&url)
            .timeout(CONNECT_TIMEOUT)
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let date = response
            .headers()
            .get("date")
            .and_then(|date| date.to_str().ok())
            .map(str::to_owned);
        let theirs = date
            .and_then(|date| jiff::fmt::rfc2822::parse(&date).ok())
            .map(|date| date.timestamp());
        let health: Health = response
            .json()
            .await
            .or_fail(format!("{url} is something else than a nexus"))?;
        if health.component != "venom-nexus" {
            return Err(Failure::new(format!("{url} is a `{}`, not a nexus", health.component)));
        }
        let document: Option<OpenApi> = self.get("/openapi.json").await.ok();
        Ok(Hello {
            version: document.map(|document| document.info.version),
            clock_ahead: theirs.map(|theirs| theirs.as_second() - jiff::Timestamp::now().as_second()),
        })
    }

    /// A node by id or by name.
    pub(crate) async fn find_node(&self, id_or_name: &str) -> Result<NodeView, Failure> {
        let list: NodeList = self.get("/api/v1/nodes").await?;
        let fits = |node: &&NodeView| node.node_id.to_string() == id_or_name || node.node_name == id_or_name;
        let mut found: Vec<&NodeView> = list.nodes.iter().filter(fits).collect();
        found.sort_by_key(|node| !node.is_online);
        match found.as_slice() {
            [node] => Ok((*node).clone()),
            // Of several with one name, a single one that is online is meant.
            [first, second, ..] if first.is_online && !second.is_online => Ok((*first).clone()),
            [] => Err(unknown_node(id_or_name, &list)),
            _ => Err(Failure::new(format!("{} nodes are called `{id_or_name}`", found.len()))
                .help("name the node by its id; `venom-host nodes list` shows it")),
        }
    }

    /// Any request; `wait` is how long the answer itself may take.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        wait: Duration,
    ) -> Result<T, Trouble> {
        let url = format!("{}{path}", self.base);
        let mut request = self.request(method, &url).timeout(ANSWER_TIMEOUT + wait);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answered(&url, request).await
    }

    /// Sends a request and reads the JSON it is answered with.
    async fn answered<T: DeserializeOwned>(&self, url: &str, request: reqwest::RequestBuilder) -> Result<T, Trouble> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let response = self.accepted(response).await?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        // an answer without a body (204) says that it is done, and nothing more
        let body: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        let answer = serde_json::from_slice(body).or_advise(
            format!("{url} answered something this program does not understand"),
            "compare versions: `venom-host doctor` prints both",
        );
        answer.map_err(|failure| Trouble {
            status: Some(status),
            ..failure.into()
        })
    }

    /// Opens a stream of Server-Sent Events that goes on after the entry `last`.
    pub(crate) async fn events(&self, path: &str, last: Option<&str>) -> Result<reqwest::Response, Trouble> {
        let mut request = self.request(Method::GET, &format!("{}{path}", self.base));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await;
        let response =
            response.map_err(|_| Failure::new(format!("the nexus at {} did not answer in time", self.base)))?;
        self.accepted(response.map_err(|error| self.unreachable(&error))?).await
    }

    fn request(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        }
    }

    async fn accepted(&self, response: reqwest::Response) -> Result<reqwest::Response, Trouble> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|after| after.to_str().ok()?.parse().ok());
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Err(Trouble {
            failure: self.refused(status, &serde_json::from_slice(&bytes).unwrap_or_default()),
            status: Some(status),
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let why = innermost(error);
        if error.is_connect() {
            return Failure::new(format!("no nexus answers at {}", self.base))
                .because(why)
                .help("start one with `venom-host nexus`, or name yours with --nexus URL (or VENOM_NEXUS)");
        }
        if error.is_timeout() {
            return Failure::new(format!("the nexus at {} did not answer in time", self.base)).because(why);
        }
        Failure::new(format!("the nexus at {} broke off its answer", self.base))
            .because(why)
            .help("look at its log; if the address is not a nexus's, name yours with --nexus URL")
    }

    fn refused(&self, status: StatusCode, problem: &Problem) -> Failure {
        let text = problem.detail.clone().or_else(|| problem.title.clone());
        let text = text.unwrap_or_else(|| format!("the nexus answered {status}"));
        match status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => {
                Failure::new(format!("the nexus at {} asks for an operator token", self.base))
                    .because(format!("none was given and there is none at {}", self.token_source))
                    .help("pass --token T or set VENOM_TOKEN; `venom-host init` on the nexus's machine wrote it to operator.token in its data directory")
            }
            StatusCode::UNAUTHORIZED => Failure::new(format!("the nexus at {} does not know this operator token", self.base))
                .because(format!("the token came from {}", self.token_source))
                .help("use the operator.token of the nexus's data directory: pass --token T, set VENOM_TOKEN, or point --data-dir at it"),
            StatusCode::FORBIDDEN if problem.is("not-trusted") => Failure::new(text)
                .because("the nexus takes only what the keys of its root signed")
                .help("`venom-host root show` lists who may sign what"),
            StatusCode::FORBIDDEN => Failure::new(text)
                .because(format!("the token from {} has too small a scope", self.token_source))
                .help("use a token with a larger scope; tokens.toml of the nexus lists them"),
            StatusCode::TOO_MANY_REQUESTS => Failure::new(text).help("wait a moment and try again"),
            _ => Failure::new(text).because(format!("the nexus answered {status}")),
        }
    }
}

/// The last source: the others only say which library passed it on.
fn innermost(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn unknown_node(wanted: &str, list: &NodeList) -> Failure {
    let failure = Failure::new(format!("the nexus knows no node `{wanted}`"));
    let names: Vec<String> = list.nodes.iter().map(|node| node.node_name.clone()).collect();
    match near(wanted, &names).as_slice() {
        [] => failure.help("`venom-host nodes list` shows those it knows"),
        near => failure.help(format!("did you mean {}?", near.join(" or "))),
    }
}

fn read_certificates(path: &PathBuf) -> Result<Vec<Certificate>, Failure> {
    let what = || format!("the certificate file {} cannot be used", path.display());
    let pem = std::fs::read(path).or_fail(what())?;
    let certificates = Certificate::from_pem_bundle(&pem).or_fail(what())?;
    if certificates.is_empty() {
        return Err(Failure::new(what())
            .because("it holds no certificate")
            .help("give a PEM file"));
    }
    Ok(certificates)
}

fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}
