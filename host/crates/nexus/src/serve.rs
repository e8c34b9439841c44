//! Connections: accepted, counted, served, let go. Every task is tracked, and a slow peer holds up nobody.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::api::problem::finished;
use crate::auth::door::Connection;
use crate::state::Shared;
use crate::trace::TraceContext;

/// A TLS handshake must be over by then.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// After an accept that failed (often: out of file handles), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Headers of one request, all together.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Requests at one time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// What a connection needs to be served.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) router: Router,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Server {
    /// Accepts until the nexus stops.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(
            self.shared.settings.max_connections.min(Semaphore::MAX_PERMITS),
        ));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.shared.stopping.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => self.take_in(stream, peer, &places),
                Err(error) => {
                    tracing::warn!(%error, "connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take_in(&self, stream: TcpStream, peer: SocketAddr, places: &Arc<Semaphore>) {
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            self.shared.metrics.connections_refused.inc();
            return;
        };
        // answers are small and waited for
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "cannot turn off Nagle's algorithm");
        }
        let server = self.clone();
        self.shared.connections.spawn(server.serve(stream, peer, place));
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        self.shared.metrics.connections.inc();
        let metrics = Arc::clone(&self.shared.metrics);
        let outcome = match self.tls.clone() {
            None => self.serve_http(stream, peer, place).await,
            Some(tls) => match tokio::time::timeout(TLS_TIMEOUT, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.serve_http(stream, peer, place).await,
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            },
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, %peer, "connection ended badly");
        }
        metrics.connections.dec();
    }

    async fn serve_http<S>(
        self,
        stream: S,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = Connection {
            peer,
            place: Arc::new(place),
        };
        let builder = http_settings(&self.shared);
        let (stopping, ending) = (self.shared.stopping.clone(), self.shared.ending.clone());
        let service = service_fn(move |request| self.clone().answer(connection.clone(), request));
        let mut serving = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        tokio::select! {
            served = serving.as_mut() => return served,
            () = stopping.cancelled() => serving.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            served = serving => served,
            () = ending.cancelled() => Ok(()),
        }
    }

    /// The way of every request: door, router, and out through [`finished`].
    async fn answer(mut self, from: Connection, request: Request<Incoming>) -> Result<Response, Infallible> {
        let header = request
            .headers()
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        let trace = TraceContext::continued(header);
        let uri = request.uri().clone();
        let is_linked = match self.shared.token_at_a_bundle(&request) {
            Some(token) => self.shared.is_linked_agent(&token).await,
            None => Ok(false),
        };
        let admitted = is_linked.and_then(|is_linked| self.shared.admit(&from, trace, &request, is_linked));
        let mut response = match admitted {
            Err(problem) => problem.answer(uri.path()),
            Ok(visitor) => {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(visitor);
                // a router is always ready, and never fails
                let Ok(response) = self.router.call(request).await;
                finished(response, uri.path())
            }
        };
        if let Ok(value) = HeaderValue::try_from(trace.to_string()) {
            response.headers_mut().insert("traceparent", value);
        }
        Ok(response)
    }
}

fn http_settings(shared: &Shared) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.settings.read_timeout)
        .max_buf_size(MAX_HEADER_BYTES.max(64 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .keep_alive_interval(shared.settings.read_timeout);
    builder
}
