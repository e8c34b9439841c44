//! One request and its response: resolve once, approve, dial what was approved, send. No redirect is followed.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::rt::{Read, Write};
use tokio::time::timeout;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, WasiBody};

use super::body::TimedBody;
use super::client::Stream;
use super::host::Target;
use super::policy::HttpPolicy;
use crate::capability::{Connections, Refusals};

/// Most bytes of a response's head.
const HEAD: usize = 256 * 1024;

/// A response and what still has to run while its body is read.
pub(super) type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) first_byte: Duration,
    pub(super) between_bytes: Duration,
}

/// A request that was admitted.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) route: Route,
    /// Names of the secrets in its headers.
    pub(super) injected: Vec<String>,
    pub(super) request: Request<WasiBody>,
}

/// Where it goes and by whose leave. (Apart from the request, whose body cannot be shared between threads.)
#[derive(Debug)]
pub(super) struct Route {
    pub(super) policy: Arc<HttpPolicy>,
    pub(super) connections: Connections,
    pub(super) refusals: Refusals,
    pub(super) patience: Patience,
    pub(super) target: Target,
    /// The grants that admitted it; their `addresses` count, others' do not.
    pub(super) fitting: Vec<usize>,
}

impl Exchange {
    pub(super) async fn run(self) -> Result<Sent, Error> {
        let connecting = timeout(self.route.patience.connect, self.route.connect());
        let stream = connecting.await.map_err(|_| Error::ConnectionTimeout)??;
        let handshake = Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await?;
        self.send(sender, connection).await
    }

    async fn send<T>(
        mut self,
        mut sender: SendRequest<WasiBody>,
        mut connection: Connection<T, WasiBody>,
    ) -> Result<Sent, Error>
    where
        T: Read + Write + Send + Unpin + 'static,
    {
        *self.request.uri_mut() = origin_form(self.request.uri())?;
        let patience = self.route.patience;
        let mut open = true;
        let answer = timeout(patience.first_byte, sender.send_request(self.request));
        let mut answer = pin!(answer);
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer,
                // the connection moves only while it is polled
                ended = &mut connection, if open => {
                    open = false;
                    ended?;
                }
            }
        };
        let mut response = answer.map_err(|_| Error::ConnectionReadTimeout)??;
        self.route.policy.secrets.blank(&self.injected, response.headers_mut());
        let response = response.map(|body| TimedBody::new(body, patience.between_bytes).boxed_unsync());
        let rest = async move {
            if open {
                connection.await.map_err(Error::from)
            } else {
                Ok(())
            }
        };
        Ok((response, Box::new(rest)))
    }
}

impl Route {
    async fn connect(&self) -> Result<Box<dyn Stream>, Error> {
        let peers = self.peers().await?;
        let taken = self
            .connections
            .take("http", &self.target.authority(), &self.policy.skill);
        taken.map_err(|refusal| {
            self.refusals.record(refusal);
            Error::ConnectionLimitReached
        })?;
        let stream = self.policy.client.dial(&peers).await.map_err(Error::Connect)?;
        if self.target.tls {
            let secured = self.policy.client.secure(stream, &self.target.host).await;
            return Ok(Box::new(secured.map_err(Error::Tls)?));
        }
        Ok(Box::new(stream))
    }

    /// The addresses to dial: resolved here, once, and each approved.
    async fn peers(&self) -> Result<Vec<SocketAddr>, Error> {
        let found = match self.target.ip() {
            Some(ip) => vec![ip],
            None => self
                .policy
                .client
                .resolve(&self.target.host)
                .await
                .map_err(|error| Error::DnsError {
                    rcode: Some(error.to_string()),
                    info_code: None,
                })?,
        };
        let approved = self.policy.approve(&self.fitting, &self.target, &found);
        approved.map_err(|refusal| {
            tracing::debug!(skill = self.policy.skill, %refusal, "refused");
            self.refusals.record(refusal);
            Error::DestinationIpProhibited
        })
    }
}

/// Only a proxy is sent scheme and host.
fn origin_form(uri: &Uri) -> Result<Uri, Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Uri::builder()
        .path_and_query(path)
        .build()
        .map_err(|_| Error::HttpRequestUriInvalid)
}
