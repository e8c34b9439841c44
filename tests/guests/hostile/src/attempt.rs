//! What an attempt came to. Says what happened, judges nothing: whether it was meant to be possible, the test knows.

use std::fmt::{Debug, Display};

use serde::Serialize;

/// The outcome of one attempt.
#[derive(Serialize, schemars::JsonSchema)]
pub(crate) struct Attempt {
    /// Whether the way was open.
    pub(crate) escaped: bool,
    /// What it got, or the host's words.
    pub(crate) detail: String,
}

impl Attempt {
    /// The way was open.
    pub(crate) fn through(detail: impl Display) -> Self {
        Self {
            escaped: true,
            detail: detail.to_string(),
        }
    }

    /// The way was shut.
    pub(crate) fn shut(detail: impl Display) -> Self {
        Self {
            escaped: false,
            detail: detail.to_string(),
        }
    }

    /// Open when `Ok`.
    pub(crate) fn of<T: Debug, E: Display>(verb: &str, outcome: Result<T, E>) -> Self {
        match outcome {
            Ok(value) => Self::through(format!("{verb} {value:?}")),
            Err(error) => Self::shut(error),
        }
    }

    /// Open when all of `wanted` were had; `error` is what ended it before.
    pub(crate) fn counted<E: Display>(had: u32, wanted: u32, what: &str, error: Option<E>) -> Self {
        match error {
            Some(error) => Self::shut(format!("{had} of {wanted} {what}, then: {error}")),
            None => Self::through(format!("{had} of {wanted} {what}")),
        }
    }
}

/// The beginning of what was read.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let beginning: String = String::from_utf8_lossy(bytes).chars().take(80).collect();
    format!("{} bytes: {beginning}", bytes.len())
}
