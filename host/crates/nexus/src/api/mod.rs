//! The routes. Each file holds the handlers of one subject with their OpenAPI description beside them.

mod agents;
pub(crate) mod body;
mod bundles;
mod cache;
mod cluster;
mod commands;
mod enrolments;
mod event_stream;
mod events;
mod execute;
mod exports;
mod health;
mod ingest;
mod nodes;
pub(crate) mod openapi;
pub(crate) mod problem;
mod push;
mod query;
mod queues;
mod releases;
mod rollouts;
mod sites;
mod spores;
mod task_stream;
mod tasks;
mod trust;

use std::sync::Arc;

use axum::Router;
use http::{Method, Uri};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;
use problem::Problem;

/// State of every handler.
pub(crate) type App = axum::extract::State<Arc<Shared>>;

/// All routes with their description.
fn described() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::show))
        .routes(routes!(nodes::drain))
        .routes(routes!(nodes::undrain))
        .routes(routes!(execute::on_node))
        .routes(routes!(execute::on_best))
        .routes(routes!(tasks::submit, tasks::list))
        .routes(routes!(tasks::show, tasks::cancel))
        .routes(routes!(tasks::requeue))
        .routes(routes!(tasks::map))
        .routes(routes!(task_stream::stream))
        .routes(routes!(task_stream::socket))
        .routes(routes!(queues::show))
        .routes(routes!(queues::limit, queues::unlimit))
        .routes(routes!(queues::requeue_dead))
        .routes(routes!(cluster::show))
        .routes(routes!(cluster::broadcast))
        .routes(routes!(cache::list))
        .routes(routes!(cache::read, cache::write, cache::remove))
        .routes(routes!(trust::show))
        .routes(routes!(trust::publish))
        .routes(routes!(bundles::upload, bundles::list))
        .routes(routes!(bundles::download))
        .routes(routes!(releases::publish, releases::list))
        .routes(routes!(releases::current))
        .routes(routes!(rollouts::show))
        .routes(routes!(rollouts::pause))
        .routes(routes!(rollouts::resume))
        .routes(routes!(rollouts::abort))
        .routes(routes!(rollouts::revert))
        .routes(routes!(agents::register))
        .routes(routes!(agents::heartbeat))
        .routes(routes!(agents::rotate))
        .routes(routes!(agents::leave))
        .routes(routes!(agents::list))
        .routes(routes!(agents::versions))
        .routes(routes!(agents::show, agents::remove))
        .routes(routes!(agents::approve))
        .routes(routes!(commands::pending))
        .routes(routes!(commands::update))
        .routes(routes!(commands::send, commands::list))
        .routes(routes!(enrolments::create, enrolments::list))
        .routes(routes!(enrolments::revoke))
        .routes(routes!(ingest::discovery))
        .routes(routes!(ingest::shield))
        .routes(routes!(sites::assets))
        .routes(routes!(sites::asset))
        .routes(routes!(sites::changes))
        .routes(routes!(sites::scans))
        .routes(routes!(sites::subnets))
        .routes(routes!(sites::sites))
        .routes(routes!(sites::networks))
        .routes(routes!(sites::topology))
        .routes(routes!(sites::certificates))
        .routes(routes!(sites::findings))
        .routes(routes!(sites::update_finding))
        .routes(routes!(exports::export))
        .routes(routes!(events::stream))
        .routes(routes!(events::socket))
        .routes(routes!(spores::socket))
        .routes(routes!(openapi::document))
}

/// The OpenAPI document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

/// The router, without the door before it.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let (router, _) = described().split_for_parts();
    router
        .merge(openapi::pages())
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

async fn no_route(uri: Uri) -> Problem {
    Problem::no_route(uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::wrong_method(&method, uri.path())
}
