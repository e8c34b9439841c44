//! Nodes: list, show, drain.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::json;
use utoipa::IntoParams;
use venom_protocol::{NodeAnswer, NodeId, NodeList, NodeView, SessionId};

use super::App;
use super::body::{NodePath, Unsaid, json};
use super::problem::{Problem, ProblemBody};
use crate::auth::door::Visitor;
use crate::state::Shared;

/// Which nodes to list.
#[derive(Debug, Default, PartialEq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those online; `false` when absent.
    #[param(required = false)]
    online_only: bool,
}

impl ListQuery {
    fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut parsed = Self::default();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
            if name != "online_only" {
                return Err(Problem::bad_request(format!(
                    "unknown query parameter `{name}`, known: online_only"
                )));
            }
            parsed.online_only = match value.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => true,
                "false" | "0" | "no" | "" => false,
                other => {
                    return Err(Problem::bad_request(format!(
                        "online_only is `{other}`, give true or false"
                    )));
                }
            };
        }
        Ok(parsed)
    }
}

/// All nodes that ever registered, or only those online.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", operation_id = "list_nodes", params(ListQuery),
    responses(
        (status = 200, description = "the nodes", body = NodeList),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ListQuery { online_only } = ListQuery::parse(query.as_deref())?;
    let nodes = all_nodes(&shared, |node| !online_only || node.is_online);
    json(&NodeList {
        status: "success".to_owned(),
        count: nodes.len(),
        online_count: nodes.iter().filter(|node| node.is_online).count(),
        nodes,
    })
}

/// Nodes of this nexus and of those it shares a broker with. A node is listed once: where it is online, else here.
pub(super) fn all_nodes(shared: &Shared, filter: impl Fn(&NodeView) -> bool) -> Vec<NodeView> {
    let mut nodes = match &shared.hive {
        Some(hive) => hive.nodes_everywhere(),
        None => shared.driver.nodes(|_| true),
    };
    nodes.retain(filter);
    nodes
}

/// A node, and the nexus that has its link when that is another one.
fn find(shared: &Shared, node_id: NodeId) -> Option<(NodeView, Option<SessionId>)> {
    let here = shared.driver.node(&node_id);
    let elsewhere = shared.hive.as_ref().and_then(|hive| hive.directory.node(&node_id));
    match (here, elsewhere) {
        (Some(here), Some((session, node))) if !here.is_online && node.is_online => Some((node, Some(session))),
        (Some(here), _) => Some((here, None)),
        (None, Some((session, node))) => Some((node, Some(session))),
        (None, None) => None,
    }
}

/// One node.
#[utoipa::path(get, path = "/api/v1/nodes/{node_id}", tag = "nodes", operation_id = "show_node",
    params(("node_id" = NodeId, Path, description = "the node")),
    responses(
        (status = 200, description = "the node", body = NodeAnswer),
        (status = 404, description = "no such node", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(State(shared): App, NodePath(node_id): NodePath) -> Result<Response, Problem> {
    answer(&shared, node_id)
}

/// Lets a node finish what it has and gives it nothing new. Holds over reconnects.
#[utoipa::path(post, path = "/api/v1/nodes/{node_id}/drain", tag = "nodes", operation_id = "drain_node",
    params(("node_id" = NodeId, Path, description = "the node")),
    responses(
        (status = 200, description = "it drains", body = NodeAnswer),
        (status = 404, description = "no such node", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the nexus that has its link cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn drain(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    NodePath(node_id): NodePath,
    _: Unsaid,
) -> Result<Response, Problem> {
    change(&shared, &visitor, node_id, Drain::Begin).await
}

/// Ends a drain: the node gets calls again.
#[utoipa::path(post, path = "/api/v1/nodes/{node_id}/undrain", tag = "nodes", operation_id = "undrain_node",
    params(("node_id" = NodeId, Path, description = "the node")),
    responses(
        (status = 200, description = "it takes calls again", body = NodeAnswer),
        (status = 404, description = "no such node", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "the nexus that has its link cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn undrain(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    NodePath(node_id): NodePath,
    _: Unsaid,
) -> Result<Response, Problem> {
    change(&shared, &visitor, node_id, Drain::End).await
}

/// What is wanted of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    Begin,
    End,
}

async fn change(shared: &Shared, visitor: &Visitor, node_id: NodeId, drain: Drain) -> Result<Response, Problem> {
    // before the change: an unknown node is no event
    let found = find(shared, node_id).ok_or_else(|| Problem::unknown_node(&node_id.to_string()))?;
    let begin = drain == Drain::Begin;
    let what = if begin {
        "node_drain_requested"
    } else {
        "node_undrain_requested"
    };
    let facts = json!({ "node_id": node_id, "by": &*visitor.name, "peer": visitor.peer });
    shared.audit.record(what, facts);
    match (found, &shared.hive) {
        ((mut node, Some(session)), Some(hive)) => {
            let heard = hive.drain_elsewhere(session, node_id, begin).await;
            if !heard.map_err(|error| Problem::of_broker(&error))? {
                return Err(Problem::unknown_node(&node_id.to_string()));
            }
            node.draining = begin;
            json_answer(node)
        }
        _ => {
            shared.driver.drain(node_id, begin);
            answer(shared, node_id)
        }
    }
}

fn answer(shared: &Shared, node_id: NodeId) -> Result<Response, Problem> {
    let (node, _) = find(shared, node_id).ok_or_else(|| Problem::unknown_node(&node_id.to_string()))?;
    json_answer(node)
}

fn json_answer(node: NodeView) -> Result<Response, Problem> {
    json(&NodeAnswer {
        status: "success".to_owned(),
        node,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_query_as_people_and_python_write_it() {
        let online_only = |query| ListQuery::parse(query).map(|parsed| parsed.online_only).ok();
        assert_eq!(online_only(None), Some(false));
        assert_eq!(online_only(Some("online_only=True")), Some(true));
        assert_eq!(online_only(Some("online_only=0")), Some(false));
        assert_eq!(online_only(Some("online_only=maybe")), None);
        assert_eq!(online_only(Some("onlineonly=true")), None);
    }
}
