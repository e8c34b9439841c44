//! Why the host stopped a guest: the cause that travels through a trap, so that callers read "budget memory"
//! and not "unreachable".

use std::time::Duration;

/// The host's own reason for a trap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// A budget ran out.
    #[error("budget `{budget}` ({limit}) is used up")]
    Budget {
        /// Its name in a policy.
        budget: &'static str,
        /// As people write it.
        limit: String,
    },
    /// The caller cancelled or went away.
    #[error("cancelled")]
    Cancelled,
    /// The deadline passed.
    #[error("timed out")]
    Deadline,
    /// Another version took over, and the time to finish is over.
    #[error("replaced by another version")]
    Replaced,
}

impl Stop {
    pub(crate) fn budget(budget: &'static str, limit: impl ToString) -> Self {
        Self::Budget {
            budget,
            limit: limit.to_string(),
        }
    }

    pub(crate) fn cpu(limit: Duration) -> Self {
        Self::budget("cpu", format_args!("{limit:?}"))
    }
}
