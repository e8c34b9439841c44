//! The skills of a process by name. Replacing one is one pointer; calls in flight keep the old.

use std::path::{Path, PathBuf};

use venom_bundle::Trust;
use venom_bundle::capability::Policy;

use crate::{Backends, Call, Outcome, Runtime, Skill};

/// Name to skill. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct SkillSet {}

/// What came of loading a directory.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// Names of the skills now in the set.
    pub loaded: Vec<String>,
    /// Bundles that were not loaded.
    pub refused: Vec<RefusedBundle>,
}

/// A bundle that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedBundle {
    /// The file.
    pub path: PathBuf,
    /// Why, for people.
    pub reason: String,
}

impl SkillSet {
    /// No skills.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds or replaces a skill; answers the one it replaced.
    pub fn insert(&self, skill: Skill) -> Option<Skill> {
        let _ = skill;
        todo!()
    }

    /// All names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        todo!()
    }

    /// One skill.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Skill> {
        let _ = name;
        todo!()
    }

    /// Verifies and loads every `*.venom` of a directory. Blocks for as long as compiling takes.
    #[must_use]
    pub fn load_directory(
        &self,
        runtime: &Runtime,
        directory: &Path,
        trust: &Trust,
        policy: &Policy,
        backends: &Backends,
    ) -> LoadReport {
        let _ = (runtime, directory, trust, policy, backends);
        todo!()
    }

    /// Calls a skill by name.
    pub async fn call(&self, skill: &str, call: Call) -> Outcome {
        let _ = (skill, call);
        todo!()
    }
}
