//! One `GET /` over a TLS stream whose other end nobody vouches for. The question is ours to the last byte, and the answer is
//! bounded in headers, bytes and time.

use std::net::SocketAddr;
use std::pin::pin;

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::io::TokioIo;

use crate::bindings::venom::skill::lan::Page;

/// Most bytes of a head.
const HEAD: usize = 64 * 1024;
/// Most headers.
const HEADERS: usize = 128;
/// Most bytes of a body, whatever is asked for.
const BODY: usize = 64 * 1024;

/// What is asked, of whom, and until when.
pub(super) struct Question<'a> {
    pub(super) peer: SocketAddr,
    pub(super) name: &'a ServerName<'static>,
    pub(super) most_body: u32,
    pub(super) until: Instant,
}

pub(super) enum Trouble {
    Late(Elapsed),
    Broken(String),
}

impl From<Elapsed> for Trouble {
    fn from(elapsed: Elapsed) -> Self {
        Self::Late(elapsed)
    }
}

impl From<hyper::Error> for Trouble {
    fn from(error: hyper::Error) -> Self {
        // hyper's own words say what, and those of its cause why
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        Self::Broken(format!("{error}{cause}"))
    }
}

impl Question<'_> {
    /// Asks over a stream that was secured for it.
    pub(super) async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Page, Trouble> {
        let mut builder = Builder::new();
        builder
            .max_buf_size(HEAD)
            .max_headers(HEADERS)
            // devices are looked at as they are
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let mut told = pin!(self.over(sender));
        tokio::select! {
            biased;
            told = &mut told => told,
            // the connection moves only while it is polled; what it brought before it ended is still to be read
            _ = connection => told.await,
        }
    }

    async fn over(&self, mut sender: SendRequest<Empty<Bytes>>) -> Result<Page, Trouble> {
        let request = Request::get("/")
            .header(HOST, self.host())
            .header(USER_AGENT, "venom")
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(Empty::new())
            .map_err(|error| Trouble::Broken(error.to_string()))?;
        let response = timeout_at(self.until, sender.send_request(request)).await??;
        let (head, body) = response.into_parts();
        let headers = head.headers.iter();
        let size: usize = headers.map(|(name, value)| name.as_str().len() + value.len()).sum();
        // the reader's own bound is about when it reads on, and what comes at once may be more
        if size > HEAD {
            return Err(Trouble::Broken(format!("its head has {size} bytes, of at most {HEAD}")));
        }
        let told = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), value.as_bytes().to_vec())
        };
        Ok(Page {
            status: head.status.as_u16(),
            headers: head.headers.iter().map(told).collect(),
            body: self.beginning(body).await,
        })
    }

    fn host(&self) -> String {
        let host = match self.name {
            ServerName::DnsName(name) => name.as_ref().to_owned(),
            _ if self.peer.is_ipv6() => format!("[{}]", self.peer.ip()),
            _ => self.peer.ip().to_string(),
        };
        match self.peer.port() {
            443 => host,
            port => format!("{host}:{port}"),
        }
    }

    /// As much as came: the head is whole, so a body that breaks off or never ends is no trouble.
    async fn beginning(&self, mut body: Incoming) -> Vec<u8> {
        let most = BODY.min(usize::try_from(self.most_body).unwrap_or(BODY));
        let mut beginning = Vec::new();
        while beginning.len() < most
            && let Ok(Some(Ok(frame))) = timeout_at(self.until, body.frame()).await
        {
            let bytes = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
            let room = bytes.len().min(most - beginning.len());
            beginning.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
        beginning
    }
}

#[cfg(test)]
mod tests {
    use super::super::tls::server_name;
    use super::*;

    #[test]
    fn the_host_is_named_as_browsers_name_it() {
        for (peer, name, expected) in [
            ("10.0.0.1:443", "", "10.0.0.1"),
            ("10.0.0.1:8443", "nas.lan", "nas.lan:8443"),
            ("[fd00::1]:8443", "", "[fd00::1]:8443"),
            ("[fd00::1]:443", "nas.lan", "nas.lan"),
        ] {
            let peer: SocketAddr = peer.parse().unwrap();
            let question = Question {
                peer,
                name: &server_name(peer.ip(), name).unwrap(),
                most_body: 0,
                until: Instant::now(),
            };
            assert_eq!(question.host(), expected);
        }
    }
}
