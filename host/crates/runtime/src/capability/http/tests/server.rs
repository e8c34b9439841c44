//! A small HTTP server that remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_http::io::TokioIo;

/// What a request looked like when it came in.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Serves until it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _serving: AbortOnDropJoinHandle<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// With TLS when a server's configuration is given.
    pub(super) async fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        let serving = spawn(async move {
            let mut connections = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, tls) = (Arc::clone(&log), tls.clone());
                connections.push(spawn(async move {
                    match tls {
                        None => serve(stream, log).await,
                        Some(tls) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
                                serve(stream, log).await;
                            }
                        }
                    }
                }));
            }
        });
        Self {
            address,
            seen,
            _serving: serving,
        }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `host:port` for a grant.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, log: Arc<Mutex<Vec<Seen>>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let log = Arc::clone(&log);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let line = format!("{} {}", head.method, head.uri);
            let answer = answer(head.uri.path(), &head.headers).await;
            let headers = head.headers;
            log.lock().unwrap().push(Seen { line, headers, body });
            Ok::<_, Infallible>(answer)
        }
    });
    // a client that hangs up is no failure of the server
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(path: &str, headers: &HeaderMap) -> Response<BoxBody<Bytes, Infallible>> {
    let text = |text: &'static str| Full::new(Bytes::from_static(text.as_bytes())).boxed();
    match path {
        "/redirect" => Response::builder()
            .status(302)
            .header("location", "http://169.254.169.254/latest/meta-data/")
            .body(text("moved"))
            .unwrap(),
        "/mirror" => {
            let sent = headers.get("authorization").cloned().unwrap();
            Response::builder()
                .header("x-mirror", sent)
                .header("x-other", "plain")
                .body(text("mirrored"))
                .unwrap()
        }
        "/silent" => std::future::pending().await,
        "/stalling" => {
            let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"first")))]);
            let body = StreamBody::new(first.chain(futures_util::stream::pending()));
            Response::new(BoxBody::new(body))
        }
        "/large" => Response::new(Full::new(Bytes::from(vec![b'x'; 1_000_000])).boxed()),
        _ => Response::new(text("hello")),
    }
}
