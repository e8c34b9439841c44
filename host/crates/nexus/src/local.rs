//! Skills the nexus runs itself when no node fits.

use futures_util::future::BoxFuture;
use venom_runtime::{Call, Outcome, SkillSet};

/// Something that runs skills in this process: the sandbox, or a fake in tests.
pub trait LocalSkills: Send + Sync + 'static {
    /// Whether it has a skill of that name.
    fn has(&self, skill: &str) -> bool;

    /// Runs one call. Dropping the future must stop the call.
    fn call<'a>(&'a self, skill: &'a str, call: Call) -> BoxFuture<'a, Outcome>;
}

impl LocalSkills for SkillSet {
    fn has(&self, skill: &str) -> bool {
        self.names().iter().any(|name| name == skill)
    }

    fn call<'a>(&'a self, skill: &'a str, call: Call) -> BoxFuture<'a, Outcome> {
        Box::pin(self.call(skill, call))
    }
}
