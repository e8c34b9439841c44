//! The budget of connections of one call, shared by sockets and HTTP. It counts; it opens none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Refusal;
use super::refusal::policy_key;

/// Connections one call may still open. Closing one does not give it back: the budget is a total.
#[derive(Debug, Clone)]
pub struct Connections {
    left: Arc<AtomicU32>,
    limit: u32,
}

impl Connections {
    /// A call's budget: `Budgets::connections`.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            left: Arc::new(AtomicU32::new(limit)),
            limit,
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// When the budget is used up; `capability` and `target` say for what.
    pub fn take(&self, capability: &'static str, target: &str, skill: &str) -> Result<(), Refusal> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .map(drop)
            .map_err(|_| Refusal {
                capability,
                target: target.to_owned(),
                reason: format!("budget `connections` ({} a call) is used up", self.limit),
                missing_grant: format!(
                    "[skills.{}.budgets]\nconnections = {}",
                    policy_key(skill),
                    self.limit.saturating_mul(2).max(1)
                ),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_total_over_all_clones() {
        let connections = Connections::new(2);
        let other = connections.clone();
        assert!(connections.take("net", "a", "S").is_ok());
        assert!(other.take("http", "b", "S").is_ok());
        let refused = connections.take("net", "c", "S").unwrap_err();
        assert!(refused.reason.contains("`connections` (2 a call)"), "{refused}");
        assert_eq!(refused.missing_grant, "[skills.S.budgets]\nconnections = 4");
    }
}
