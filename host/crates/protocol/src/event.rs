//! Events as `/ws/events` and `/api/v1/events` send them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{NodeId, Timestamp};

/// One state change, for dashboards and scripts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// `NODE_CONNECTED` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// One line for people.
    pub message: String,
    /// The facts, by kind.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: Value,
    /// When the nexus saw it.
    pub timestamp: Timestamp,
}

impl Event {
    /// A spore registered.
    #[must_use]
    pub fn node_connected(id: NodeId, name: &str, skills: &[String], tags: &[String]) -> Self {
        Self::new(
            "NODE_CONNECTED",
            format!("node {name} connected with {} skills", skills.len()),
            serde_json::json!({"node_id": id, "node_name": name, "skills": skills, "tags": tags}),
        )
    }

    /// A spore went away or fell silent.
    #[must_use]
    pub fn node_disconnected(id: NodeId, why: &str) -> Self {
        Self::new(
            "NODE_DISCONNECTED",
            format!("node {id} disconnected: {why}"),
            serde_json::json!({"node_id": id, "reason": why}),
        )
    }

    /// Any event, stamped now.
    pub fn new(kind: impl Into<String>, message: impl Into<String>, data: Value) -> Self {
        Self {
            kind: kind.into(),
            message: message.into(),
            data,
            timestamp: Timestamp::now(),
        }
    }
}
