//! A small HTTP client over `wasi:http/outgoing-handler`. Hosts, methods and addresses are the operator's to
//! grant; redirects are answers like any other and never followed.
//!
//! ```
//! use venom_sdk::http;
//! # let _host = venom_sdk::fake::Host::new().http("api.example.com", |_| Ok(http::Response::new(200, "{\"n\": 3}"))).install();
//! # #[derive(serde::Deserialize)] struct Count { n: u32 }
//! let count: Count = http::get("https://api.example.com/count").header("accept", "application/json").send()?.ok()?.json()?;
//! assert_eq!(count.n, 3);
//! # Ok::<(), venom_sdk::Error>(())
//! ```

#[cfg(target_family = "wasm")]
pub(crate) mod outgoing;

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, answer, host};

/// Most bytes of a response body that are kept, unless a request says otherwise.
pub const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// Longest wait for each step (connecting, first byte, next byte), unless a request says otherwise.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing is sent until `send` is called"]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// `https://host[:port]/path?query`.
    pub url: String,
    /// In order; names as given.
    pub headers: Vec<(String, String)>,
    /// Empty: none.
    pub body: Vec<u8>,
    /// Longest wait for each step: connecting, first byte, next byte.
    pub timeout: Duration,
    /// Most bytes of the response body.
    pub largest_body: usize,
    /// A body that could not be made, kept until `send` can answer it.
    broken: Option<Error>,
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// In order; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// A `GET` request.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// A `POST` request.
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

impl Request {
    /// Any request.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: LONGEST_WAIT,
            largest_body: LARGEST_BODY,
            broken: None,
        }
    }

    /// Adds a header. A secret's [`crate::settings::Placeholder`] may stand in the value.
    pub fn header(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends this as JSON, and says so.
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        match answer::answer(&body) {
            Ok(text) => self.body = text.into_bytes(),
            Err(error) => self.broken = Some(error),
        }
        self.header("content-type", "application/json")
    }

    /// Waits at most this long for each step.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Fails with [`Error::Limit`] when the response body is larger.
    pub fn largest_body(mut self, bytes: usize) -> Self {
        self.largest_body = bytes;
        self
    }

    /// Sends it and reads the whole answer. A status like 404 is no error here; see [`Response::ok`].
    pub fn send(mut self) -> Result<Response> {
        match self.broken.take() {
            Some(error) => Err(error),
            None => host::http(self),
        }
    }

    /// The host the request goes to, with its port when the URL has one.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn host(&self) -> Result<String> {
        Target::parse(&self.url).map(|target| target.authority.to_owned())
    }
}

impl Response {
    /// A response as a fake server gives it.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// The first header of this name, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Itself when the status is 2xx, else an error with the status and the beginning of the body.
    pub fn ok(self) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let beginning: String = self.text().chars().take(200).collect();
        Err(Error::Failed(format!("HTTP status {}: {beginning}", self.status)))
    }

    /// The body as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|cause| Error::Failed(format!("the response is not as expected: {cause}")))
    }
}

/// A URL taken apart as far as HTTP needs it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) https: bool,
    pub(crate) authority: &'a str,
    pub(crate) path_and_query: Cow<'a, str>,
}

impl<'a> Target<'a> {
    pub(crate) fn parse(url: &'a str) -> Result<Self> {
        let bad = |why: &str| Error::InvalidParams(format!("`{url}` is no URL to call: {why}"));
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| bad("it must begin with https:// or http://"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(bad("only https and http are known")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.is_empty() {
            return Err(bad("it names no host"));
        }
        if authority.contains('@') {
            return Err(bad("names and passwords belong into a header"));
        }
        if url.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err(bad("spaces must be written %20"));
        }
        let path_and_query = match path.as_bytes().first() {
            Some(b'/') => Cow::Borrowed(path),
            _ => Cow::Owned(format!("/{path}")),
        };
        Ok(Self {
            https,
            authority,
            path_and_query,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Host;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse("https://api.example.com:8443/a/b?c=d#e").unwrap();
        assert_eq!((target.https, target.authority), (true, "api.example.com:8443"));
        assert_eq!(target.path_and_query, "/a/b?c=d");
        assert_eq!(Target::parse("HTTP://host").unwrap().path_and_query, "/");
        assert_eq!(Target::parse("http://[::1]:80?q").unwrap().path_and_query, "/?q");
        for bad in [
            "example.com",
            "ftp://host/",
            "https:///x",
            "https://user:pw@host/",
            "https://host/a b",
        ] {
            assert!(matches!(Target::parse(bad), Err(Error::InvalidParams(_))), "{bad}");
        }
    }

    #[test]
    fn requests_reach_the_host_and_answers_come_back() {
        let host = Host::new()
            .secret("token")
            .http("api.example.com", |request| match request.url.ends_with("/missing") {
                true => Ok(Response::new(404, "nothing here")),
                false => Ok(Response::new(200, request.body.clone())),
            })
            .install();
        let token = crate::settings::secret("token").unwrap();
        let sent = post("https://api.example.com/echo")
            .header("authorization", format!("Bearer {token}"))
            .json(&[1, 2]);
        assert_eq!(sent.send().unwrap().json::<Vec<u8>>().unwrap(), [1, 2]);
        let seen = host.http();
        assert_eq!(seen[0].headers[0].1, "Bearer {secret:token}");
        assert_eq!(seen[0].headers[1].1, "application/json");

        let missing = get("https://api.example.com/missing").send().unwrap();
        assert_eq!(
            missing.ok(),
            Err(Error::Failed("HTTP status 404: nothing here".to_owned()))
        );
        assert!(
            matches!(get("https://elsewhere.example/").send(), Err(Error::Denied(refusal)) if refusal.target == "elsewhere.example")
        );
    }
}
