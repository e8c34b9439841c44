//! Whether what a document asks for is well formed, with the key at fault in the message. Says nothing about
//! whether it is granted.

use super::{BudgetLimits, Request};

/// A capability or budget that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {problem}")]
pub struct InvalidRequest {
    /// Path of the key, for example `capabilities.net[0].ports[1]`.
    pub key: String,
    /// What is wrong and what to write.
    pub problem: String,
}

impl Request {
    /// Checks every entry; `at` is the path of the request in its document.
    pub fn check(&self, _at: &str) -> Result<(), InvalidRequest> {
        todo!()
    }
}

impl BudgetLimits {
    /// Refuses budgets that no call could live with.
    pub fn check(&self, _at: &str) -> Result<(), InvalidRequest> {
        todo!()
    }
}
