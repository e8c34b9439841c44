//! A loaded skill: linked code, ready rights, and what it says of itself. Immutable; a new version is a new one.

use std::sync::Arc;

use semver::Version;
use venom_bundle::Digest;
use venom_bundle::capability::Grants;

use crate::admission::Admission;
use crate::bindings::SkillPre;
use crate::record::Record;
use crate::rights::Rights;
use crate::runtime::Inner;
use crate::state::CallState;
use crate::{Call, Health, Outcome, invoke};

/// What a skill says of itself.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Description {
    /// As callers write it.
    pub name: String,
    /// For people.
    pub summary: String,
    /// What it can do.
    pub methods: Vec<MethodDescription>,
}

/// One method.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MethodDescription {
    /// As callers write it.
    pub name: String,
    /// For people and for agents that choose tools.
    pub summary: String,
    /// JSON Schema of the parameters object.
    pub params_schema: serde_json::Value,
    /// JSON Schema of the result; `true` (anything) when the skill gives none.
    pub result_schema: serde_json::Value,
}

/// A skill that is loaded and may be called. Clones share everything.
#[derive(Clone)]
pub struct Skill {
    loaded: Arc<Loaded>,
}

pub(crate) struct Loaded {
    /// Keeps the engine's ticker going for as long as anything can run.
    pub(crate) runtime: Arc<Inner>,
    pub(crate) pre: SkillPre<CallState>,
    pub(crate) rights: Arc<Rights>,
    pub(crate) admission: Admission,
    pub(crate) record: Record,
    pub(crate) description: Description,
    pub(crate) version: Version,
    pub(crate) digest: Digest,
}

impl Skill {
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self {
            loaded: Arc::new(loaded),
        }
    }

    /// As callers write it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.rights.skill
    }

    /// The bundle's version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.loaded.version
    }

    /// The bundle's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.loaded.digest
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.loaded.description
    }

    /// The rights in force.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.loaded.rights.grants
    }

    /// How its calls went since it was loaded.
    #[must_use]
    pub fn health(&self) -> Health {
        self.loaded.record.health()
    }

    /// Runs one call in a fresh store. Never panics because of what the guest does, and never outlives the call's
    /// deadline. Dropping the future stops the guest.
    pub async fn invoke(&self, call: Call) -> Outcome {
        invoke::invoke(&self.loaded, call).await
    }
}

impl std::fmt::Debug for Skill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Skill")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}
