//! Bundles: upload, list, download.

use std::io::SeekFrom;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPECT, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use venom_protocol::{BundleList, BundleView};

use super::App;
use super::body::{DigestPath, LINGER_BYTES, json as answer, json_with};
use super::problem::{Problem, ProblemBody};
use super::releases::who;
use crate::auth::door::Visitor;
use crate::releases::{MAX_BUNDLE_BYTES, ReleaseError, Releases, Slot, Wanted, wanted};

/// Bytes read from disk at one time.
const PIECE: usize = 128 * 1024;
/// A whole upload: 64 MiB over a slow line.
const UPLOAD_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Takes a bundle in: the body is the `.venom` file. It is verified under the root. Needs scope admin.
#[utoipa::path(post, path = "/api/v1/bundles", tag = "releases", operation_id = "upload_bundle",
    request_body(content = String, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "it was here before", body = BundleView),
        (status = 201, description = "it is stored", body = BundleView),
        (status = 400, description = "no bundle", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "not signed by a publisher of the root", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "made for another host, or no skill", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no releases are kept here, or the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
        (status = 507, description = "the quota of bundles is used up", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn upload(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Result<Response, Problem> {
    let releases = shared.releases_for_work()?;
    let receiving = receive(releases, request, shared.settings.read_timeout);
    let arrived = match tokio::time::timeout(UPLOAD_LIMIT, receiving).await {
        Ok(arrived) => arrived?,
        Err(_) => return Err(Problem::body_too_slow(UPLOAD_LIMIT)),
    };
    let (view, is_new) = releases
        .take_in(arrived, &who(&visitor))
        .await
        .map_err(Problem::of_release)?;
    json_with(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &view)
}

/// The body into a file, piece by piece. What is too big is read and dropped for a while, so that a client that still
/// writes gets to see the answer.
async fn receive(
    releases: &Arc<Releases>,
    request: Request,
    patience: Duration,
) -> Result<crate::releases::Incoming, Problem> {
    let (head, mut body) = request.into_parts();
    let declared = head.headers.get(CONTENT_LENGTH);
    let declared: Option<u64> = declared.and_then(|value| value.to_str().ok()?.parse().ok());
    let mut refused = declared
        .filter(|size| *size > MAX_BUNDLE_BYTES)
        .map(|_| ReleaseError::TooBig(MAX_BUNDLE_BYTES));
    if let Some(error) = refused.take_if(|_| head.headers.contains_key(EXPECT)) {
        return Err(Problem::of_release(error));
    }
    let mut incoming = releases.incoming().await.map_err(Problem::of_release)?;
    let mut dropped: u64 = 0;
    loop {
        let frame = tokio::time::timeout(patience, body.frame()).await;
        let frame = frame.map_err(|_| Problem::body_too_slow(patience))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if refused.is_none() {
            refused = incoming.write(&data).await.err();
        }
        if refused.is_some() {
            dropped = dropped.saturating_add(data.len() as u64);
            if dropped > LINGER_BYTES {
                break;
            }
        }
    }
    refused.map_or(Ok(incoming), |error| Err(Problem::of_release(error)))
}

/// All bundles, the newest first.
#[utoipa::path(get, path = "/api/v1/bundles", tag = "releases", operation_id = "list_bundles",
    responses(
        (status = 200, description = "the bundles", body = BundleList),
        (status = 503, description = "no releases are kept here, or the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(State(shared): App) -> Result<Response, Problem> {
    let bundles = shared.releases()?.bundles().await;
    answer(&bundles.map_err(Problem::of_release)?)
}

/// A bundle's file, whole or from a byte on (`Range`, one range). Spores may show their own token here.
#[utoipa::path(get, path = "/api/v1/bundles/{file_sha256}", tag = "releases", operation_id = "download_bundle",
    params(("file_sha256" = String, Path, description = "SHA-256 of the file, 64 hex digits")),
    responses(
        (status = 200, description = "the file", body = String, content_type = "application/octet-stream"),
        (status = 206, description = "a part of it", body = String, content_type = "application/octet-stream"),
        (status = 304, description = "the client has it"),
        (status = 404, description = "no such bundle", body = ProblemBody, content_type = "application/problem+json"),
        (status = 416, description = "the file has no such bytes", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "too many downloads run, or no releases are kept here", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn download(
    State(shared): App,
    DigestPath(file): DigestPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let releases = shared.releases()?;
    let found = releases.find(&file).await.map_err(Problem::of_release)?;
    let (path, size) = found.ok_or_else(|| Problem::unknown_bundle(&file.to_string()))?;
    let tag = format!("\"{file}\"");
    if text(&headers, IF_NONE_MATCH).is_some_and(|given| given == "*" || given.contains(&tag)) {
        return Ok(described(StatusCode::NOT_MODIFIED, &tag, Body::empty()));
    }
    // a part of another file is of no use
    let range = text(&headers, RANGE).filter(|_| text(&headers, IF_RANGE).is_none_or(|given| given == tag));
    let (status, first, length) = match wanted(range, size) {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Nothing => return Err(Problem::no_such_range(size)),
    };
    let slot = releases.slot().map_err(Problem::of_release)?;
    let failed = |error: std::io::Error| Problem::of_release(ReleaseError::disk("read", &path, &error));
    let mut source = tokio::fs::File::open(&path).await.map_err(failed)?;
    source.seek(SeekFrom::Start(first)).await.map_err(failed)?;
    let mut response = described(status, &tag, pieces(Arc::clone(releases), source, length, slot));
    let head = response.headers_mut();
    head.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(range) = HeaderValue::try_from(format!("bytes {first}-{}/{size}", first + length - 1))
    {
        head.insert(CONTENT_RANGE, range);
    }
    Ok(response)
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn described(status: StatusCode, tag: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let head = response.headers_mut();
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // what has this digest never changes
    head.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=31536000, immutable"),
    );
    if let Ok(tag) = HeaderValue::from_str(tag) {
        head.insert(ETAG, tag);
    }
    response
}

/// One piece after the other, each read when the one before is written.
fn pieces(releases: Arc<Releases>, source: tokio::fs::File, length: u64, slot: Slot) -> Body {
    let start = (releases, source, length, slot);
    Body::from_stream(futures_util::stream::try_unfold(start, |state| async move {
        let (releases, mut source, left, slot) = state;
        if left == 0 {
            return Ok(None);
        }
        if !slot.moves(Instant::now()) {
            return Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "the download stood still for too long and its place was given to another",
            ));
        }
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; most];
        let read = source.read(&mut piece).await?;
        if read == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        piece.truncate(read);
        releases.metrics.blob_bytes.inc_by(read as u64);
        Ok(Some((Bytes::from(piece), (releases, source, left - read as u64, slot))))
    }))
}
