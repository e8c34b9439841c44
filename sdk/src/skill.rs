//! What `#[skill]` implements, and how anything calls it. Knows nothing of WIT.

use serde_json::Value;

use crate::{Error, Result};

/// A skill: what it can do, and doing it. Written by [`macro@crate::skill`].
pub trait Skill {
    /// Says what the skill can do. Never touches the host.
    fn describe() -> Description;

    /// Runs one method. `params` is the text of a JSON object, the answer a JSON text.
    fn invoke(method: &str, params: &str) -> Result<String>;
}

/// A skill as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// As callers write it, for example `EchoSkill`.
    pub name: String,
    /// One paragraph for people and for agents that choose tools.
    pub summary: String,
    /// In the order of the source.
    pub methods: Vec<Method>,
}

/// One method as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// As callers write it, for example `read_file`.
    pub name: String,
    /// What it does.
    pub summary: String,
    /// JSON Schema (2020-12) of the parameters object.
    pub params_schema: String,
    /// JSON Schema of the result; empty: anything.
    pub result_schema: String,
}

/// Calls a skill the way a host does, JSON in and JSON out. Meant for tests.
pub fn call<S: Skill>(method: &str, params: Value) -> Result<Value> {
    let answer = S::invoke(method, &params.to_string())?;
    serde_json::from_str(&answer).map_err(Error::from)
}
