//! What a task asks for, as it is stored. Written once, when the task is submitted; never changed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Requirements, TaskId};

/// What a task asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Skill to run.
    pub skill_name: String,
    /// Its method.
    pub method_name: String,
    /// JSON object. May refer to results of `depends_on` as `{"$result": "<task id>", "path": "/json/pointer"}`.
    pub parameters: Box<RawValue>,
    /// Seconds one run may take.
    pub timeout: f64,
    /// Runs after the first, when it fails.
    pub max_retries: u32,
    /// What the node must have.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requirements: Requirements,
    /// How to choose among the nodes that fit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub placement: Placement,
    /// How long to wait between runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff: Backoff,
    /// Group whose limits apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Tasks that must complete first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskId>,
    /// A word of the submitter's own, shown as `task_type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    /// Skill that submitted it from its sandbox; absent for people and scripts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How many skills stand between it and a person: 0 when a person submitted it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depth: u32,
    /// W3C `traceparent` of the submitter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// How a node is chosen among those that fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Placement {
    /// `least_loaded` unless said otherwise.
    #[serde(skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// Nodes with any of these tags come first, others only when none of those has room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefer_tags: Vec<String>,
    /// `true`: a node that runs a task of the same group comes first (warm caches); `false`: last. Absent: no
    /// matter. Needs a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_group: Option<bool>,
}

/// How to compare nodes that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Strategy {
    /// The lowest load score.
    #[default]
    LeastLoaded,
    /// The one not chosen for the longest time.
    RoundRobin,
    /// The one that runs the fewest calls, whatever its processor says.
    Spread,
}

/// Wait before the next run: `base * factor^(attempt-1)`, at most `max`, spread by up to a quarter either way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Backoff {
    /// Seconds before the second run.
    pub base: f64,
    /// What each further wait is multiplied by, 1 to 10.
    pub factor: f64,
    /// Most seconds.
    pub max: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: 1.0,
            factor: 2.0,
            max: 300.0,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
