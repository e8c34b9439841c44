//! Reading what a request carries, with an error that says what does not fit.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams};
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use venom_protocol::{AgentId, NodeId, TaskId};

use super::problem::Problem;
use crate::state::Shared;

/// A JSON body: of a JSON content type, within the size and time limits, fitting `T`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let settings = &shared.settings;
        check_is_json(request.headers())?;
        let bytes = read(request, settings.max_body.0, settings.read_timeout).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| unfit(&error, &field_at_fault::<T>(&bytes)))
    }
}

fn check_is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or("unreadable"));
    let essence = given
        .and_then(|text| text.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json { Ok(()) } else { Err(Problem::not_json(given)) }
}

/// Bytes of an oversized body read and dropped, so that a client that is still writing gets to see the answer
/// instead of a broken pipe.
pub(super) const LINGER_BYTES: u64 = 64 << 20;

async fn read(request: Request<Body>, limit: u64, time: Duration) -> Result<Bytes, Problem> {
    let (head, body) = request.into_parts();
    let declared: Option<u64> = head
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let too_big = declared.is_some_and(|size| size > limit);
    // this client waits for a word before it writes; the answer is that word
    if too_big && head.headers.contains_key(EXPECT) {
        return Err(Problem::body_too_big(limit));
    }
    match tokio::time::timeout(time, collect(body, limit)).await {
        Ok(Ok(Some(bytes))) if !too_big => Ok(bytes),
        Ok(Ok(_)) => Err(Problem::body_too_big(limit)),
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body broke off: {error}"))),
        Err(_) => Err(Problem::body_too_slow(time)),
    }
}

/// The whole body; `None` when it is over `limit`, of which no more than that is kept at any time.
async fn collect(mut body: Body, limit: u64) -> Result<Option<Bytes>, axum::Error> {
    let mut parts: Vec<Bytes> = Vec::new();
    let mut size: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        size = size.saturating_add(data.len() as u64);
        if size <= limit {
            parts.push(data);
        } else {
            parts.clear();
            if size > limit.saturating_add(LINGER_BYTES) {
                break;
            }
        }
    }
    if size > limit {
        return Ok(None);
    }
    // nearly every body comes in one piece
    Ok(Some(match <[Bytes; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => parts.concat().into(),
    }))
}

/// Where in the body reading it as `T` fails, for example `require.tags`. Reads it again: only for errors.
fn field_at_fault<T: DeserializeOwned>(bytes: &[u8]) -> String {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Ok(_) => ".".to_owned(),
        Err(error) => error.path().to_string(),
    }
}

fn unfit(error: &serde_json::Error, field: &str) -> Problem {
    Problem::bad_request(match error.classify() {
        // a missing or unknown field is named by the error itself
        Category::Data if field == "." => format!("the body does not fit: {error}"),
        Category::Data => format!("the body does not fit, `{field}`: {error}"),
        Category::Eof => format!("the body is no JSON, it ends too early: {error}"),
        Category::Io | Category::Syntax => format!("the body is no JSON: {error}"),
    })
}

/// `{node_id}` of the path. What is no id names no node.
pub(crate) struct NodePath(pub(crate) NodeId);

impl<S: Send + Sync> FromRequestParts<S> for NodePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Problem::bad_request("the path is no UTF-8"))?;
        let text = params
            .iter()
            .find(|(name, _)| *name == "node_id")
            .map_or("", |(_, value)| value);
        NodeId::from_str(text)
            .map(Self)
            .map_err(|_| Problem::unknown_node(text))
    }
}

/// `{task_id}` of the path. What is no id names no task.
pub(crate) struct TaskPath(pub(crate) TaskId);

impl<S: Send + Sync> FromRequestParts<S> for TaskPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = path_value(parts, state, "task_id").await?;
        TaskId::from_str(&text)
            .map(Self)
            .map_err(|_| Problem::unknown_task(&text))
    }
}

/// `{agent_id}` of the path. What is no id names no agent.
pub(crate) struct AgentPath(pub(crate) AgentId);

impl<S: Send + Sync> FromRequestParts<S> for AgentPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = path_value(parts, state, "agent_id").await?;
        text.parse().map(Self).map_err(|_| Problem::unknown_agent(&text))
    }
}

/// `{name}` or `{namespace}` of the path.
pub(crate) struct TextPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for TextPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = path_value(parts, state, "name").await?;
        if !name.is_empty() {
            return Ok(Self(name));
        }
        path_value(parts, state, "namespace").await.map(Self)
    }
}

/// `{namespace}/{key}` of the path.
pub(crate) struct CachePath {
    pub(crate) namespace: String,
    pub(crate) key: String,
}

impl<S: Send + Sync> FromRequestParts<S> for CachePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self {
            namespace: path_value(parts, state, "namespace").await?,
            key: path_value(parts, state, "key").await?,
        })
    }
}

/// `{channel}` of the path.
pub(crate) struct ChannelPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for ChannelPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_value(parts, state, "channel").await.map(Self)
    }
}

/// `{file_sha256}` of the path. What is no digest names no bundle.
pub(crate) struct DigestPath(pub(crate) venom_bundle::Digest);

impl<S: Send + Sync> FromRequestParts<S> for DigestPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = path_value(parts, state, "file_sha256").await?;
        text.parse().map(Self).map_err(|_| Problem::unknown_bundle(&text))
    }
}

/// A value of the path, percent-decoded; empty when the path has none of that name.
async fn path_value<S: Send + Sync>(parts: &mut Parts, state: &S, wanted: &str) -> Result<String, Problem> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let params = params.map_err(|_| Problem::bad_request("the path is no UTF-8"))?;
    let found = params.iter().find(|(name, _)| *name == wanted);
    Ok(found.map_or_else(String::new, |(_, value)| value.to_owned()))
}

/// A body of bytes, within the size and time limits.
pub(crate) struct Limited(pub(crate) Bytes);

impl FromRequest<Arc<Shared>> for Limited {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let settings = &shared.settings;
        read(request, settings.max_body.0, settings.read_timeout)
            .await
            .map(Self)
    }
}

/// A body that says nothing here, read all the same: a connection with an unread body cannot be used again.
pub(crate) struct Unsaid;

impl FromRequest<Arc<Shared>> for Unsaid {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, shared: &Arc<Shared>) -> Result<Self, Problem> {
        Limited::from_request(request, shared).await.map(|_| Self)
    }
}

/// A 200 answer of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Response, Problem> {
    json_with(StatusCode::OK, value)
}

/// An answer of JSON.
pub(crate) fn json_with(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(value).map_err(|error| Problem::internal(error.to_string()))?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use venom_protocol::ExecuteRequest;

    #[test]
    fn json_comes_under_several_names() {
        let check = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            check_is_json(&headers).is_ok()
        };
        assert!(check("application/json") && check("Application/JSON; charset=utf-8") && check("application/x+json"));
        assert!(!check("text/json") && !check("application/x-www-form-urlencoded"));
        assert!(check_is_json(&HeaderMap::new()).is_err());
    }

    #[test]
    fn errors_tell_syntax_from_shape_and_name_the_field() {
        let detail = |text: &str| {
            let error = serde_json::from_str::<ExecuteRequest>(text).unwrap_err();
            unfit(&error, &field_at_fault::<ExecuteRequest>(text.as_bytes()))
                .detail()
                .to_owned()
        };
        assert!(detail("{").contains("ends too early"));
        assert!(detail("{]").contains("no JSON"));
        assert!(detail("{\"method_name\":\"x\"}").contains("missing field `skill_name`"));
        assert!(detail("{\"skill\":\"x\"}").contains("unknown field `skill`"));
        assert!(detail("{\"skill_name\":1}").contains("`skill_name`: invalid type: integer `1`, expected a string"));
        assert!(detail(r#"{"skill_name":"x","require":{"tags":[1]}}"#).contains("`require.tags[0]`"));
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_and_in_time() {
        let request = |body: Body| Request::builder().body(body).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(read(request(Body::from("12345")), 5, second).await.unwrap(), "12345");
        let over = read(request(Body::from("123456")), 5, second).await.unwrap_err();
        assert!(over.detail().contains("limit of 5 bytes"));
        let pieces = |text: &'static str| {
            let pieces = text
                .split_inclusive(' ')
                .map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
            Body::from_stream(futures_util::stream::iter(pieces.collect::<Vec<_>>()))
        };
        assert_eq!(read(request(pieces("1 2 3")), 5, second).await.unwrap(), "1 2 3");
        assert!(read(request(pieces("1 2 3 4")), 5, second).await.is_err());
        assert_eq!(read(request(Body::empty()), 5, second).await.unwrap(), "");
        let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let slow = read(request(endless), 5, Duration::from_millis(1)).await.unwrap_err();
        assert!(slow.detail().contains("not complete within"));
    }
}
