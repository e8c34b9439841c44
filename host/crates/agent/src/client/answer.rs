//! Reading what a nexus answered: never more than is asked for, and leniently, as older servers leave things out.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use venom_protocol::{AgentId, Timestamp};

use super::ClientError;

/// Longest answer that is read.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Longest explanation that is passed on, in characters.
const LONGEST_DETAIL: usize = 500;

/// Longest wait a nexus can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// The answer to a registration; an older server says little.
#[derive(Debug, Deserialize)]
pub(super) struct RegisteredAnswer {
    pub(super) agent_id: Option<AgentId>,
    pub(super) token: Option<String>,
    #[serde(default)]
    pub(super) message: String,
    pub(super) approved: Option<bool>,
    pub(super) site_name: Option<String>,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BeatAnswer {
    /// `ok`.
    pub status: String,
    /// By the nexus's clock; absent from older servers.
    #[serde(default)]
    pub last_seen: Option<Timestamp>,
    /// Commands that wait; absent from older servers.
    #[serde(default)]
    pub pending_commands: Option<u64>,
    /// False while an operator has not approved this agent.
    #[serde(default = "yes")]
    pub approved: bool,
}

fn yes() -> bool {
    true
}

/// The answer to an ingest, as far as an agent cares.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ingested {
    /// `ok`.
    pub status: String,
    /// What it is called there.
    #[serde(default)]
    pub scan_id: Option<String>,
    /// Whether it had come before.
    #[serde(default)]
    pub duplicate: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct RotatedAnswer {
    pub(super) token: String,
}

/// Problem JSON (RFC 9457), and what older servers write instead.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    title: Option<serde_json::Value>,
    #[serde(default)]
    detail: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<serde_json::Value>,
}

/// The body of a good answer, or why it is none.
pub(super) async fn read<T: DeserializeOwned>(nexus: &str, response: Response) -> Result<T, ClientError> {
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = match body(nexus, response).await {
        Ok(body) => body,
        // that it said no is enough
        Err(_) if !status.is_success() => Vec::new(),
        Err(error) => return Err(error),
    };
    if !status.is_success() {
        return Err(ClientError::Refused {
            nexus: nexus.to_owned(),
            status,
            detail: detail(status, &body),
            retry_after,
        });
    }
    serde_json::from_slice(&body).map_err(|error| ClientError::Odd {
        nexus: nexus.to_owned(),
        why: format!("its answer {status} cannot be understood: {error}"),
    })
}

async fn body(nexus: &str, mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|error| super::unreachable(nexus, &error))?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len().saturating_add(chunk.len()) > LONGEST_ANSWER {
            return Err(ClientError::Odd {
                nexus: nexus.to_owned(),
                why: format!("its answer is longer than {LONGEST_ANSWER} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
}

/// Seconds or a date; both occur in the wild.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            let left = date.duration_since(jiff::Timestamp::now());
            Duration::try_from(left).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

fn detail(status: StatusCode, body: &[u8]) -> String {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let said = [problem.detail, problem.message, problem.title]
        .into_iter()
        .flatten()
        .map(|value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        })
        .find(|text| !text.is_empty() && text != "null");
    let text = said.unwrap_or_else(|| match status {
        StatusCode::UNAUTHORIZED => "it does not know this token".to_owned(),
        StatusCode::FORBIDDEN => "it does not let this agent in".to_owned(),
        _ if status.is_redirection() => "it sends elsewhere; write the address it stands at".to_owned(),
        _ => status.canonical_reason().unwrap_or("it says no more").to_owned(),
    });
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(LONGEST_DETAIL).collect()
}
