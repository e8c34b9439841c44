//! A loaded skill.

use venom_bundle::Digest;
use venom_bundle::capability::Grants;

use crate::{Call, Outcome};

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
#[derive(Debug, Clone)]
pub struct Skill {}

impl Skill {
    /// As callers write it.
    #[must_use]
    pub fn name(&self) -> &str {
        todo!()
    }

    /// The bundle's version.
    #[must_use]
    pub fn version(&self) -> &semver::Version {
        todo!()
    }

    /// The bundle's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        todo!()
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        todo!()
    }

    /// The rights in force.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        todo!()
    }

    /// Runs one call in a fresh store. Never panics and never outlives the call's deadline.
    pub async fn invoke(&self, call: Call) -> Outcome {
        let _ = call;
        todo!()
    }
}
