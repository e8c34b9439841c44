//! The closed list of ways a call can fail, and how it is carried to the caller.

use serde::{Deserialize, Serialize};

/// Why a call failed. Closed: every code is mapped to HTTP in one place (the nexus) and a peer that sends
/// another is read as [`ErrorCode::SkillFailed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ErrorCode {
    /// The spore has no such skill.
    UnknownSkill,
    /// The skill has no such method.
    UnknownMethod,
    /// The parameters do not fit.
    InvalidParams,
    /// The sandbox refused a capability; the text names the missing grant.
    Denied,
    /// A file, key or task the call named does not exist.
    NotFound,
    /// A budget ran out; the text names budget and limit.
    LimitExceeded,
    /// The deadline passed.
    TimedOut,
    /// The caller cancelled or went away.
    Cancelled,
    /// The guest trapped (a panic, an out-of-bounds access, a stack overflow).
    Trapped,
    /// The spore takes no more calls at the moment.
    Busy,
    /// The spore is draining.
    Draining,
    /// Something needed is not there now; trying again may work.
    Unavailable,
    /// The node went away while the call ran.
    NodeLost,
    /// The work itself failed.
    #[serde(other)]
    SkillFailed,
}

impl ErrorCode {
    /// The code as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownSkill => "unknown_skill",
            Self::UnknownMethod => "unknown_method",
            Self::InvalidParams => "invalid_params",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::LimitExceeded => "limit_exceeded",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Trapped => "trapped",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::NodeLost => "node_lost",
            Self::SkillFailed => "skill_failed",
        }
    }

    /// Whether the same call may succeed when it is tried again, here or elsewhere.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::Draining | Self::Unavailable | Self::NodeLost)
    }
}

/// A failed call: code for programs, text for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: names the skill, method and limit; says what to do where that is known.
    pub message: String,
}

impl CallError {
    /// A failed call.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// An error with all its causes, in one line.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
