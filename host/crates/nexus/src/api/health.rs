//! Probes and metrics.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::body::json;
use super::problem::{Problem, ProblemBody};

/// The process answers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: String,
    /// Always `venom-nexus`.
    component: String,
}

fn health() -> Health {
    Health {
        status: "ok".to_owned(),
        component: "venom-nexus".to_owned(),
    }
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "alive", body = Health)))]
pub(super) async fn healthz() -> Result<Response, Problem> {
    json(&health())
}

/// Whether the nexus takes new calls.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "ready", body = Health),
        (status = 503, description = "starting or shutting down, or its broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn readyz(State(shared): App) -> Result<Response, Problem> {
    if !shared.is_ready() {
        return Err(Problem::stopping());
    }
    match shared.hive.as_ref().and_then(|hive| hive.trouble()) {
        Some(trouble) => Err(Problem::no_broker(trouble)),
        None => json(&health()),
    }
}

/// Metrics in the OpenMetrics text format, as Prometheus reads it.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "metrics", body = String, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(shared): App) -> Result<Response, Problem> {
    let hive = shared.hive.as_ref();
    let tasks = hive.map(|hive| hive.counts()).unwrap_or_default();
    let broker_up = hive.is_some_and(|hive| hive.trouble().is_none());
    shared.metrics.tasks.mirror(&tasks, broker_up);
    if let Ok(room) = shared.fleet() {
        room.set_gauges().await;
    }
    let text = shared.metrics.text(shared.driver.counts(), shared.events.listeners());
    let text = text.map_err(|_| Problem::internal("metrics cannot be written"))?;
    let mut response = Response::new(Body::from(text));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;
    use crate::state::Shared;
    use crate::{NexusSettings, Parts};

    async fn status(shared: &Arc<Shared>, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        crate::api::router(Arc::clone(shared))
            .oneshot(request)
            .await
            .unwrap()
            .status()
    }

    #[tokio::test]
    async fn ready_only_between_start_and_stop_and_alive_all_the_time() {
        let shared = Arc::new(Shared::new(NexusSettings::default(), Parts::default()).unwrap());
        assert_eq!(status(&shared, "/readyz").await, 503);
        shared.set_ready();
        assert_eq!(status(&shared, "/readyz").await, 200);
        shared.stopping.cancel();
        assert_eq!(status(&shared, "/readyz").await, 503);
        assert_eq!(status(&shared, "/healthz").await, 200);
    }
}
