//! What stands behind a link and runs its calls: the skills of a spore, or a closure in a simulated one.

use std::future::Future;

use venom_runtime::{Call, Outcome, SkillSet};

/// Runs calls. It answers every call, observes the call's timeout and its cancellation, and never panics;
/// a panic is answered for it as a failed call.
pub trait Executor: Send + Sync + 'static {
    /// Names of the skills it has now.
    fn skills(&self) -> Vec<String>;

    /// Runs one call to its end.
    fn execute(&self, skill: String, call: Call) -> impl Future<Output = Outcome> + Send;
}

impl Executor for SkillSet {
    fn skills(&self) -> Vec<String> {
        self.names()
    }

    async fn execute(&self, skill: String, call: Call) -> Outcome {
        self.call(&skill, call).await
    }
}
