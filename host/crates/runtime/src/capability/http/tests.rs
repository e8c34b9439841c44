//! Requests over real sockets to a server of this process.

mod addresses;
mod exchanges;
mod secrets;
mod server;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use venom_bundle::capability::{Grants, HttpGrant, SecretGrant};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use self::server::Server;
use super::*;
use crate::capability::{Connections, Refusal, Refusals};

/// Answers what it was told to, one answer a question, and then nothing.
#[derive(Debug, Default)]
struct FakeResolver(Mutex<VecDeque<Vec<IpAddr>>>);

#[async_trait::async_trait]
impl Resolve for FakeResolver {
    async fn resolve(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        let next = self.0.lock().unwrap().pop_front();
        next.ok_or_else(|| std::io::Error::other("no such name"))
    }
}

fn resolver(answers: &[&[&str]]) -> Arc<FakeResolver> {
    let answers = answers
        .iter()
        .map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect());
    Arc::new(FakeResolver(Mutex::new(answers.collect())))
}

/// A grant of a host over plain http, with any method.
fn grant(host: &str, addresses: &[&str]) -> HttpGrant {
    HttpGrant {
        host: host.to_owned(),
        methods: Vec::new(),
        plain: true,
        addresses: addresses.iter().map(ToString::to_string).collect(),
    }
}

/// One call and what it was granted.
struct Caller {
    call: HttpCall,
    refusals: Refusals,
}

/// How a caller is made.
struct Setup {
    http: Vec<HttpGrant>,
    secrets: BTreeMap<String, SecretGrant>,
    denied: Vec<SocketAddr>,
    client: HttpClient,
    connections: u32,
    deadline: Duration,
}

impl Setup {
    fn new(http: Vec<HttpGrant>) -> Self {
        Self {
            http,
            secrets: BTreeMap::new(),
            denied: Vec::new(),
            client: HttpClient::new(&[]).unwrap(),
            connections: 9,
            deadline: Duration::from_secs(60),
        }
    }

    fn resolver(mut self, answers: &[&[&str]]) -> Self {
        self.client = self.client.with_resolver(resolver(answers));
        self
    }

    fn call(self) -> Caller {
        let grants = Grants {
            http: self.http,
            secrets: self.secrets,
            ..Grants::default()
        };
        let environment = |key: &str| (key == "TOKEN").then(|| "geheim-4711".to_owned());
        let policy = HttpPolicy::new("Skill", &grants, &self.denied, self.client, &environment).unwrap();
        let refusals = Refusals::default();
        let deadline = Instant::now() + self.deadline;
        let call = HttpCall::new(
            Arc::new(policy),
            Connections::new(self.connections),
            refusals.clone(),
            deadline,
        );
        Caller { call, refusals }
    }
}

type Answer = (StatusCode, HeaderMap, Bytes);

impl Caller {
    async fn get(&mut self, uri: &str) -> Result<Answer, Error> {
        self.send(Request::get(uri), RequestOptions::default()).await
    }

    async fn send(&mut self, request: http::request::Builder, options: RequestOptions) -> Result<Answer, Error> {
        let body: WasiBody = Full::new(Bytes::from_static(b"body"))
            .map_err(Error::from)
            .boxed_unsync();
        let request = request.body(body).unwrap();
        let sending = self
            .call
            .send_request(request, Some(options), Box::new(async { Ok(()) }));
        let (response, rest) = Box::into_pin(sending).await?;
        let _driver = wasmtime_wasi::runtime::spawn(Box::into_pin(rest));
        let (head, body) = response.into_parts();
        Ok((head.status, head.headers, body.collect().await?.to_bytes()))
    }

    fn refusal(&self) -> Refusal {
        self.refusals.list().pop().expect("nothing was refused")
    }
}
