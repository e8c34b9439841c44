//! One call's HTTP as wasmtime-wasi-http sees it: requests are checked here and then become an
//! [`super::exchange::Exchange`].

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio::time::Instant;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use super::exchange::{Exchange, Patience, Route, Sent};
use super::host::Target;
use super::policy::HttpPolicy;
use super::secret::{PREFIX, Placeholders};
use crate::capability::refusal::policy_key;
use crate::capability::{Connections, Refusal, Refusals};

/// Longest wait for a connection when the guest names none.
const CONNECT: Duration = Duration::from_secs(30);

/// The HTTP of one call.
#[derive(Debug)]
pub struct HttpCall {
    policy: Arc<HttpPolicy>,
    connections: Connections,
    refusals: Refusals,
    deadline: Instant,
    placeholders: Placeholders,
}

impl HttpCall {
    /// The HTTP of a call that ends at `deadline`.
    #[must_use]
    pub fn new(policy: Arc<HttpPolicy>, connections: Connections, refusals: Refusals, deadline: Instant) -> Self {
        Self {
            policy,
            connections,
            refusals,
            deadline,
            placeholders: Placeholders::default(),
        }
    }

    /// A placeholder for a secret, worth nothing after this call.
    ///
    /// # Errors
    /// When the secret is not granted.
    pub fn secret(&mut self, name: &str) -> Result<String, Refusal> {
        if self.policy.secrets.has(name) {
            return Ok(self.placeholders.of(name));
        }
        let granted = self.policy.secrets.names();
        let granted = if granted.is_empty() {
            "none is".to_owned()
        } else {
            format!("granted: {}", granted.join(", "))
        };
        let skill = policy_key(&self.policy.skill);
        let key = serde_json::Value::from(name);
        Err(Refusal {
            capability: "secret",
            target: name.to_owned(),
            reason: format!("the secret is not granted ({granted})"),
            missing_grant: format!("[skills.{skill}.secrets.{key}]\nenv = \"...\"\naudience = [\"...\"]"),
        })
    }

    fn prepare(&self, request: Request<WasiBody>, options: RequestOptions) -> Result<Exchange, Error> {
        let target = Target::of(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        let prepared = self.check(&target, request);
        let (fitting, injected, request) = prepared.inspect_err(|refusal| self.record(refusal)).map_err(denied)?;
        Ok(Exchange {
            route: Route {
                policy: Arc::clone(&self.policy),
                connections: self.connections.clone(),
                refusals: self.refusals.clone(),
                patience: self.patience(options),
                target,
                fitting,
            },
            injected,
            request,
        })
    }

    /// All that can be checked before anybody is asked anything.
    #[expect(clippy::type_complexity, reason = "taken apart by its only caller")]
    fn check(
        &self,
        target: &Target,
        mut request: Request<WasiBody>,
    ) -> Result<(Vec<usize>, Vec<String>, Request<WasiBody>), Refusal> {
        let fitting = self.policy.admit(request.method(), target)?;
        let refuse = |reason| self.policy.refusal(target, reason, String::new());
        if request
            .uri()
            .path_and_query()
            .is_some_and(|path| path.as_str().contains(PREFIX))
        {
            return Err(refuse("a secret goes into a header, never into the address".to_owned()));
        }
        tidy(request.headers_mut(), target).map_err(refuse)?;
        let filled = self
            .placeholders
            .fill(&self.policy.secrets, target, request.headers_mut());
        let injected = filled.map_err(|reason| {
            let grant = "add the host to the secret's `audience`";
            self.policy
                .refusal(target, format!("{reason} ({grant})"), String::new())
        })?;
        Ok((fitting, injected, request))
    }

    fn patience(&self, options: RequestOptions) -> Patience {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Patience {
            connect: options.connect_timeout.unwrap_or(CONNECT).min(left),
            first_byte: options.first_byte_timeout.unwrap_or(left).min(left),
            between_bytes: options.between_bytes_timeout.unwrap_or(left).min(left),
        }
    }

    fn record(&self, refusal: &Refusal) {
        tracing::debug!(skill = self.policy.skill, %refusal, "refused");
        self.refusals.record(refusal.clone());
    }
}

fn denied(_: Refusal) -> Error {
    Error::HttpRequestDenied
}

/// Headers are the host's where they steer the connection: the guest cannot set them, and if it could, they
/// are replaced here.
fn tidy(headers: &mut HeaderMap, target: &Target) -> Result<(), String> {
    let forbidden: Vec<HeaderName> = headers.keys().filter(|name| is_forbidden(name)).cloned().collect();
    for name in forbidden {
        headers.remove(name);
    }
    let host = HeaderValue::from_str(&target.authority()).map_err(|_| "the host is no header value".to_owned())?;
    headers.insert(HOST, host);
    Ok(())
}

fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name)
        || name.as_str().starts_with("proxy-")
        || matches!(name.as_str(), "te" | "trailer")
}

impl WasiHttpHooks for HttpCall {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let prepared = self.prepare(request, options.unwrap_or_default());
        Box::new(async move { prepared?.run().await })
    }
}
