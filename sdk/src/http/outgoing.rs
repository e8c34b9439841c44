//! One request and its answer through `wasi:http`. Compiled into skills only. Decides nothing about where a
//! request may go: the host does.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

use super::{Request, Response, Target};
use crate::{Error, Refusal, Result};

/// Bytes of one read; also what an output stream takes at once.
const CHUNK: usize = 4096;

pub(crate) fn send(request: Request) -> Result<Response> {
    let target = Target::parse(&request.url)?;
    let outgoing = outgoing_request(&request, &target)?;
    let options = RequestOptions::new();
    let nanoseconds = u64::try_from(request.timeout.as_nanos()).unwrap_or(u64::MAX);
    // A host may ignore these; the task's own deadline holds all the same.
    let _ = options.set_connect_timeout(Some(nanoseconds));
    let _ = options.set_first_byte_timeout(Some(nanoseconds));
    let _ = options.set_between_bytes_timeout(Some(nanoseconds));
    let body = outgoing.body().map_err(|()| broken("the request has no body"))?;
    let pending = outgoing_handler::handle(outgoing, Some(options)).map_err(|code| refused(&target, code))?;
    write_body(body, &request.body).or_else(|error| match pending.get() {
        // The host answered before it read the body, or refused the request: that says more than a broken pipe.
        Some(_) => Ok(()),
        None => Err(error),
    })?;
    pending.subscribe().block();
    let incoming = pending
        .get()
        .and_then(std::result::Result::ok)
        .ok_or_else(|| broken("the response was not ready"))?
        .map_err(|code| refused(&target, code))?;
    read_response(&incoming, request.largest_body)
}

fn outgoing_request(request: &Request, target: &Target<'_>) -> Result<OutgoingRequest> {
    let fields = Fields::new();
    for (name, value) in &request.headers {
        fields
            .append(name, value.as_bytes())
            .map_err(|cause| Error::InvalidParams(format!("header `{name}` cannot be sent: {cause:?}")))?;
    }
    if !request.body.is_empty() && !fields.has("content-length") {
        let length = request.body.len().to_string();
        fields
            .append("content-length", length.as_bytes())
            .map_err(|cause| Error::InvalidParams(format!("header `content-length` cannot be sent: {cause:?}")))?;
    }
    let outgoing = OutgoingRequest::new(fields);
    let scheme = if target.https { Scheme::Https } else { Scheme::Http };
    let bad = |what: &str| Error::InvalidParams(format!("`{}` has no valid {what}", request.url));
    outgoing
        .set_method(&method(&request.method))
        .map_err(|()| Error::InvalidParams(format!("`{}` is no HTTP method", request.method)))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| bad("scheme"))?;
    outgoing
        .set_authority(Some(target.authority))
        .map_err(|()| bad("host"))?;
    outgoing
        .set_path_with_query(Some(&target.path_and_query))
        .map_err(|()| bad("path"))?;
    Ok(outgoing)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn write_body(body: OutgoingBody, bytes: &[u8]) -> Result<()> {
    let stream = body
        .write()
        .map_err(|()| broken("the request body cannot be written"))?;
    for chunk in bytes.chunks(CHUNK) {
        stream
            .blocking_write_and_flush(chunk)
            .map_err(|_| Error::Unavailable("the connection closed while the request was sent".to_owned()))?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|code| broken(&format!("the request could not be ended: {code:?}")))
}

fn read_response(incoming: &IncomingResponse, largest: usize) -> Result<Response> {
    let headers = incoming.headers().entries();
    let body = incoming.consume().map_err(|()| broken("the response has no body"))?;
    let stream = body.stream().map_err(|()| broken("the response body cannot be read"))?;
    let bytes = read_body(&stream, largest)?;
    drop(stream);
    drop(IncomingBody::finish(body));
    Ok(Response {
        status: incoming.status(),
        headers,
        body: bytes,
    })
}

fn read_body(stream: &InputStream, largest: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK as u64 * 4) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(cause)) => {
                return Err(Error::Unavailable(format!(
                    "the response broke off: {}",
                    cause.to_debug_string()
                )));
            }
        }
        if bytes.len() > largest {
            return Err(Error::Limit(format!(
                "the response body is larger than {largest} bytes"
            )));
        }
    }
}

/// The host's word on a request that did not go out, or got no answer.
fn refused(target: &Target<'_>, code: ErrorCode) -> Error {
    let host = target.authority;
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Refusal {
            capability: "http".to_owned(),
            target: host.to_owned(),
            reason: if matches!(code, ErrorCode::HttpRequestDenied) {
                "the request is not granted".to_owned()
            } else {
                "its address is not granted".to_owned()
            },
            missing_grant: String::new(),
        }
        .into(),
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Error::TimedOut(format!("`{host}` did not answer in time")),
        ErrorCode::ConnectionLimitReached => Error::Limit("connections".to_owned()),
        ErrorCode::InternalError(Some(text)) => Error::Failed(text),
        other => Error::Unavailable(format!("`{host}` could not be reached: {other:?}")),
    }
}

fn broken(what: &str) -> Error {
    Error::Failed(format!("http: {what}"))
}
