//! The shared cache of the hive, for people and scripts.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use venom_protocol::CacheEntry;

use super::App;
use super::body::{CachePath, Limited, TextPath, Unsaid, json as answer};
use super::problem::{Problem, ProblemBody};
use super::query::Query;

/// What operators may put into one namespace together with its skills.
const OPERATOR_QUOTA: u64 = 64 * 1024 * 1024;
/// When the request names none.
const DEFAULT_TTL: Duration = Duration::from_secs(24 * 3_600);
/// Longest that may be asked for.
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Keys listed at most.
const LISTED: usize = 1_000;

/// Keys of a namespace.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CacheKeys {
    /// The namespace.
    namespace: String,
    /// Its keys, sorted, at most 1,000.
    keys: Vec<String>,
}

/// Whether there was something to remove.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CacheRemoved {
    /// True when there was.
    existed: bool,
}

/// Keys of a namespace: a skill's name, or a name shared by grant.
#[utoipa::path(get, path = "/api/v1/cache/{namespace}", tag = "cache", operation_id = "list_cache",
    params(("namespace" = String, Path, description = "the namespace")),
    responses(
        (status = 200, description = "its keys", body = CacheKeys),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(State(shared): App, TextPath(namespace): TextPath) -> Result<Response, Problem> {
    let keys = shared.hive()?.broker.cache_keys(&namespace, LISTED).await;
    answer(&CacheKeys {
        keys: keys.map_err(|error| Problem::of_broker(&error))?,
        namespace,
    })
}

/// One entry.
#[utoipa::path(get, path = "/api/v1/cache/{namespace}/{key}", tag = "cache", operation_id = "read_cache",
    params(
        ("namespace" = String, Path, description = "the namespace"),
        ("key" = String, Path, description = "the key"),
    ),
    responses(
        (status = 200, description = "the entry", body = CacheEntry),
        (status = 404, description = "no such entry", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn read(State(shared): App, CachePath { namespace, key }: CachePath) -> Result<Response, Problem> {
    let found = shared.hive()?.broker.cache_get(&namespace, &key).await;
    let found = found.map_err(|error| Problem::of_broker(&error))?;
    let (value, ttl) = found.ok_or_else(|| Problem::unknown_entry(&namespace, &key))?;
    answer(&CacheEntry {
        base64: STANDARD.encode(&value),
        text: String::from_utf8(value).ok(),
        // rounded up: an entry that is there has at least one second
        ttl: u64::try_from(ttl.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX),
        namespace,
        key,
    })
}

/// Writes an entry: the body, byte by byte. It lives for `ttl` seconds.
#[utoipa::path(put, path = "/api/v1/cache/{namespace}/{key}", tag = "cache", operation_id = "write_cache",
    params(
        ("namespace" = String, Path, description = "the namespace"),
        ("key" = String, Path, description = "the key"),
        ("ttl" = Option<f64>, Query, description = "seconds; a day when absent, at most 30 days"),
    ),
    request_body(content = String, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "written", body = CacheKeys),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the namespace or the broker is full, or the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn write(
    State(shared): App,
    CachePath { namespace, key }: CachePath,
    RawQuery(query): RawQuery,
    Limited(value): Limited,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["ttl"])?;
    let ttl = query.seconds("ttl", MAX_TTL)?.unwrap_or(DEFAULT_TTL);
    let value = Bytes::into(value);
    let written = shared
        .hive()?
        .broker
        .cache_set(&namespace, OPERATOR_QUOTA, &key, value, ttl)
        .await;
    written.map_err(|error| Problem::of_broker(&error))?;
    answer(&CacheKeys {
        namespace,
        keys: vec![key],
    })
}

/// Removes an entry.
#[utoipa::path(delete, path = "/api/v1/cache/{namespace}/{key}", tag = "cache", operation_id = "remove_cache",
    params(
        ("namespace" = String, Path, description = "the namespace"),
        ("key" = String, Path, description = "the key"),
    ),
    responses(
        (status = 200, description = "whether there was one", body = CacheRemoved),
        (status = 503, description = "the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn remove(
    State(shared): App,
    CachePath { namespace, key }: CachePath,
    _: Unsaid,
) -> Result<Response, Problem> {
    let removed = shared.hive()?.broker.cache_delete(&namespace, &key).await;
    let existed = removed.map_err(|error| Problem::of_broker(&error))?;
    answer(&CacheRemoved { existed })
}
