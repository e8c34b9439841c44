//! What a node says of itself, and how the nexus shows it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lenient::{count, null_as_default};
use crate::{NodeId, Timestamp, UpdateReport};

/// What a spore has. Absent fields are empty, zero or false: v1 peers leave some out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Capabilities {
    /// Names of the skills it runs.
    #[serde(deserialize_with = "null_as_default")]
    pub skills: Vec<String>,
    /// `gpu`, `location:server_room`, ...
    #[serde(deserialize_with = "null_as_default")]
    pub tags: Vec<String>,
    /// Logical cores.
    #[serde(deserialize_with = "count")]
    pub cpu_cores: u32,
    /// Memory, MiB.
    #[serde(deserialize_with = "count")]
    pub memory_mb: u64,
    /// A graphics processor that programs can use.
    #[serde(deserialize_with = "null_as_default")]
    pub has_gpu: bool,
    /// A Docker engine that answers.
    #[serde(deserialize_with = "null_as_default")]
    pub has_docker: bool,
    /// `linux-x86_64` and so on.
    #[serde(deserialize_with = "null_as_default")]
    pub platform: String,
}

/// A node as REST shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeView {
    /// The node.
    pub node_id: NodeId,
    /// Its name, for people.
    pub node_name: String,
    /// What it has.
    pub capabilities: Capabilities,
    /// Last frame the nexus had from it, by the nexus's clock.
    pub last_heartbeat: Timestamp,
    /// 0..1.
    pub cpu_usage: f64,
    /// 0..1.
    pub memory_usage: f64,
    /// Calls running on it.
    pub active_tasks: u32,
    /// False once it left or fell silent.
    pub is_online: bool,
    /// First seen by this nexus.
    pub registered_at: Timestamp,
    /// Swarm protocol it speaks (1 or 2).
    pub protocol: u32,
    /// It finishes what it has and takes nothing new.
    pub draining: bool,
    /// How it stands with updates, as it said last; absent: it has not said.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "shared")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<UpdateReport>))]
    pub update: Option<Arc<UpdateReport>>,
}

/// A report is shared by all views of its node: views are made often, reports come seldom and are long.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::UpdateReport;

    pub(super) fn serialize<S: Serializer>(
        report: &Option<Arc<UpdateReport>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        report.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<UpdateReport>>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map(Arc::new))
    }
}

/// What a call needs of the node that runs it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Requirements {
    /// Needs a GPU.
    pub gpu: bool,
    /// Skills it must have.
    pub capabilities: Vec<String>,
    /// Tags it must have, all of them.
    pub tags: Vec<String>,
    /// Tags it must not have, none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_tags: Vec<String>,
    /// This node and no other.
    pub node_id: Option<NodeId>,
}
