//! The OpenAPI document and the pages that show it.

use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::{Problem, ProblemBody};
use crate::auth::door;

/// Where the document is.
pub(crate) const PATH: &str = "/openapi.json";
/// Statuses any route behind the door may answer with.
const AT_THE_DOOR: [(&str, &str); 3] = [
    ("401", "no token, or one that is not known"),
    (
        "403",
        "the token's scope is too low, or the request comes from a foreign page",
    ),
    ("429", "too many requests"),
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Venom nexus",
        description = "Runs signed, sandboxed skills on the nodes of a hive.\n\nSend `Authorization: Bearer TOKEN`. Reads need scope viewer, the rest operator. Errors are RFC 9457 problem JSON.",
    ),
    components(schemas(ProblemBody, venom_protocol::Event)),
    tags(
        (name = "nodes", description = "Nodes and what runs on them"),
        (name = "tasks", description = "Durable tasks, queues, the hive as a whole"),
        (name = "releases", description = "What is installed where: bundles, releases, rollouts"),
        (name = "agents", description = "Agents: enrolment, heartbeats, commands"),
        (name = "fleet", description = "What agents saw: sites, networks, things, changes, findings"),
        (name = "cache", description = "The shared cache"),
        (name = "events", description = "State changes as they happen"),
        (name = "health", description = "Probes and metrics"),
        (name = "spores", description = "Where spores attach"),
    ),
    security(("token" = [])),
)]
struct Frame;

/// The document without its routes.
pub(crate) fn frame() -> utoipa::openapi::OpenApi {
    let mut document = Frame::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("an operator token; browsers may send it as the password of Basic"))
        .build();
    if let Some(components) = &mut document.components {
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
    document
}

/// The whole document as text, made once.
pub(crate) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut document = super::document();
        add_the_doors_answers(&mut document);
        document.to_pretty_json().unwrap_or_else(|error| {
            tracing::error!(%error, "the OpenAPI document cannot be written");
            String::new()
        })
    });
    &TEXT
}

/// The door answers for every route that is not open; said once here rather than beside each.
fn add_the_doors_answers(document: &mut utoipa::openapi::OpenApi) {
    use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
    for (path, item) in &mut document.paths.paths {
        if door::OPEN.contains(&path.as_str()) || path == door::REGISTER {
            continue;
        }
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            for (status, why) in AT_THE_DOOR {
                let content = ContentBuilder::new()
                    .schema(Some(Ref::from_schema_name("ProblemBody")))
                    .build();
                let answer = ResponseBuilder::new()
                    .description(why)
                    .content("application/problem+json", content);
                let answers = &mut operation.responses.responses;
                answers
                    .entry(status.to_owned())
                    .or_insert_with(|| answer.build().into());
            }
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health", operation_id = "openapi_document",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn document() -> Result<Response, Problem> {
    let mut response = Response::new(Body::from(Bytes::from_static(text().as_bytes())));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// `/docs`: the document for people, from files in this binary.
pub(super) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    SwaggerUi::new("/docs").config(Config::from(PATH)).into()
}
