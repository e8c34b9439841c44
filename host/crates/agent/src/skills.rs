//! How an agent runs skills: through whoever has a sandbox.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

/// Runs one method of one skill. Dropping the future ends the call.
#[async_trait]
pub trait RunSkill: Send + Sync {
    /// Runs it and answers what it answered; the error is one line for people.
    ///
    /// # Errors
    /// When the skill is not there, may not, failed or took too long.
    async fn run(&self, skill: &str, method: &str, parameters: Value, timeout: Duration) -> Result<Value, String>;
}
