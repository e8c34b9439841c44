//! `skill.toml`: what an author writes next to the source. Everything a manifest says that cannot be read off
//! the component itself.

use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::capability::{BudgetLimits, InvalidRequest, Request};
use crate::{InvalidSkillName, ManifestError, Probe, check_skill_name, manifest};

/// The author's description of a skill.
///
/// ```
/// # use venom_bundle::SkillToml;
/// let skill = SkillToml::parse(r#"
///     name = "FileSkill"
///     version = "1.2.0"
///     summary = "reads and writes files"
///     host = ">=0.1"
///
///     [capabilities]
///     fs = [{ guest = "/work", access = "rw" }]
///
///     [budgets]
///     memory = "32 MiB"
///     wall = "30s"
/// "#).unwrap();
/// assert_eq!(skill.name, "FileSkill");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkillToml {
    /// Name, as callers write it: `^[A-Z][A-Za-z0-9]{0,63}$`.
    pub name: String,
    /// Version.
    pub version: Version,
    /// One line for lists.
    pub summary: String,
    /// What it asks for.
    #[serde(default)]
    pub capabilities: Request,
    /// Groups of interfaces that the toolchain imports and the skill does not use: `venom:skill/command`,
    /// `venom:skill/cache`, `venom:skill/hive`, `venom:skill/settings`, `wasi:http`, `wasi:sockets`.
    #[serde(default)]
    pub unused_imports: Vec<String>,
    /// Budgets it is content with.
    #[serde(default)]
    pub budgets: BudgetLimits,
    /// Versions of the host it runs on; absent: any.
    #[serde(default)]
    pub host: VersionReq,
    /// A call that must succeed before a new version takes over; absent: it need only describe itself.
    #[serde(default)]
    pub probe: Option<Probe>,
}

/// Why a `skill.toml` is refused.
#[derive(Debug, thiserror::Error)]
pub enum SkillTomlError {
    /// Not readable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, or not these fields.
    #[error("skill.toml is not understood: {0}")]
    Syntax(#[from] toml::de::Error),
    /// The name is none.
    #[error("skill.toml, `name`: {0}")]
    Name(#[from] InvalidSkillName),
    /// The summary is no single line.
    #[error("skill.toml, `summary`: {0}")]
    Summary(ManifestError),
    /// An import that is none.
    #[error("skill.toml: {0}")]
    UnusedImports(ManifestError),
    /// A capability or budget that makes no sense.
    #[error("skill.toml, {0}")]
    Request(#[from] InvalidRequest),
}

impl SkillToml {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, SkillTomlError> {
        let text = std::fs::read_to_string(path);
        Self::parse(&text.map_err(|source| SkillTomlError::Read {
            path: path.to_owned(),
            source,
        })?)
    }

    /// Reads and checks a text.
    pub fn parse(text: &str) -> Result<Self, SkillTomlError> {
        let skill: Self = toml::from_str(text)?;
        check_skill_name(&skill.name)?;
        manifest::check_summary(&skill.summary).map_err(SkillTomlError::Summary)?;
        manifest::check_unused_imports(&skill.unused_imports).map_err(SkillTomlError::UnusedImports)?;
        skill.capabilities.check("capabilities")?;
        skill.budgets.check("budgets")?;
        Ok(skill)
    }
}
