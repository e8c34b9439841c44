//! Rollouts: how they go, and what operators do to them.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use venom_protocol::RolloutView;

use super::App;
use super::body::{ChannelPath, Limited, json as answer};
use super::problem::{Problem, ProblemBody};
use super::query::Query;
use super::releases::{channel, who};
use crate::auth::door::Visitor;
use crate::releases::{Action, Shown};

/// Longest reason that is kept.
const MOST_REASON: usize = 500;

/// Why something is done to a rollout. The body may be left out.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RolloutReason {
    /// For people: it is shown with the rollout and in the audit.
    reason: Option<String>,
}

/// How the rollout of a channel's current release goes, with every spore.
#[utoipa::path(get, path = "/api/v1/rollouts/{channel}", tag = "releases", operation_id = "show_rollout",
    params(
        ("channel" = String, Path, description = "the channel"),
        ("spores" = Option<bool>, Query, description = "spores one by one; `true` when absent"),
    ),
    responses(
        (status = 200, description = "the rollout", body = RolloutView),
        (status = 400, description = "bad channel or query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "the channel has no release", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no releases are kept here, or the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(
    State(shared): App,
    ChannelPath(name): ChannelPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["spores"])?;
    let shown = if query.flag("spores")?.unwrap_or(true) {
        Shown::Spores
    } else {
        Shown::Numbers
    };
    let view = shared.releases()?.rollout(&channel(Some(&name))?, shown);
    answer(&view.map_err(Problem::of_release)?)
}

macro_rules! order {
    ($(#[$doc:meta])* $name:ident, $path:literal, $id:literal, $action:expr, $done:literal) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "releases", operation_id = $id,
            params(("channel" = String, Path, description = "the channel")),
            request_body = RolloutReason,
            responses(
                (status = 200, description = $done, body = RolloutView),
                (status = 400, description = "bad channel or body", body = ProblemBody, content_type = "application/problem+json"),
                (status = 404, description = "the channel has no release", body = ProblemBody, content_type = "application/problem+json"),
                (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
                (status = 409, description = "the rollout has ended in another way", body = ProblemBody, content_type = "application/problem+json"),
                (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
                (status = 503, description = "no releases or no online key are kept here, or the broker cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
            ))]
        pub(super) async fn $name(
            shared: App,
            visitor: Extension<Visitor>,
            path: ChannelPath,
            body: Limited,
        ) -> Result<Response, Problem> {
            carry_out(shared, visitor, path, body, $action).await
        }
    };
}

order!(
    /// Nobody installs any more until it is resumed. Needs scope admin.
    pause, "/api/v1/rollouts/{channel}/pause", "pause_rollout", Action::Pause, "it is paused"
);
order!(
    /// A paused rollout goes on; failures seen until now no longer count against it. Needs scope admin.
    resume, "/api/v1/rollouts/{channel}/resume", "resume_rollout", Action::Resume, "it goes on"
);
order!(
    /// Nobody installs any more, for good: publish another release. Needs scope admin.
    abort, "/api/v1/rollouts/{channel}/abort", "abort_rollout", Action::Abort, "it is aborted"
);
order!(
    /// Spores that have the release go back to what ran before it. Needs scope admin.
    revert, "/api/v1/rollouts/{channel}/revert", "revert_rollout", Action::Revert, "it is taken back"
);

async fn carry_out(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    ChannelPath(name): ChannelPath,
    Limited(body): Limited,
    action: Action,
) -> Result<Response, Problem> {
    let given = match body.trim_ascii() {
        [] => RolloutReason::default(),
        text => serde_json::from_slice(text).map_err(|error| {
            Problem::bad_request(format!(
                "the body does not fit: {error}; give {{\"reason\": TEXT}} or nothing"
            ))
        })?,
    };
    let reason = given.reason.unwrap_or_default();
    if reason.chars().nth(MOST_REASON).is_some() || reason.chars().any(char::is_control) {
        let text = format!("reason must be one line of at most {MOST_REASON} characters");
        return Err(Problem::bad_request(text));
    }
    let releases = shared.releases_for_work()?;
    let ordered = releases
        .order(&channel(Some(&name))?, action, &reason, &who(&visitor))
        .await;
    let line = ordered.map_err(Problem::of_release)?;
    answer(&releases.shown(&line, Shown::Numbers))
}
