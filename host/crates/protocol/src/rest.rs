//! Bodies of the nodes REST (CONTRACTS: nodes, execute).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{ErrorCode, NodeId, NodeView, RequestId, Requirements};

/// `POST /api/v1/nodes/{node_id}/execute` and `POST /api/v1/execute`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecuteRequest {
    /// For example `ShellSkill`.
    pub skill_name: String,
    /// For example `run`.
    pub method_name: String,
    /// Parameters by name; `{}` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub parameters: Option<Box<RawValue>>,
    /// Seconds, over 0; 30 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Only a node with this tag (`/api/v1/execute` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only a node that has all this (`/api/v1/execute` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<Requirements>,
}

/// The answer to a call that reached a skill: HTTP 200 whether the skill succeeded or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecuteAnswer {
    /// Always `success`: the call itself was carried out.
    pub status: String,
    /// Whether the skill succeeded.
    pub success: bool,
    /// What it answered; null when it failed.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub result: Option<Box<RawValue>>,
    /// Why it failed, for people.
    pub error: Option<String>,
    /// Why it failed, for programs; absent on success and from v1 nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<ErrorCode>,
    /// Seconds the skill took on its node.
    pub execution_time: f64,
    /// Who ran it; null when the nexus did.
    pub node_id: Option<NodeId>,
    /// This call.
    pub request_id: RequestId,
    /// `node` or `nexus` (local fallback); only from `/api/v1/execute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed_by: Option<String>,
}

/// `GET /api/v1/nodes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeList {
    /// Always `success`.
    pub status: String,
    /// Nodes in this answer.
    pub count: usize,
    /// Nodes online, in this answer or not.
    pub online_count: usize,
    /// The nodes.
    pub nodes: Vec<NodeView>,
}

/// `GET /api/v1/nodes/{node_id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeAnswer {
    /// Always `success`.
    pub status: String,
    /// The node.
    pub node: NodeView,
}
