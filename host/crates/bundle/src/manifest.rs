//! The manifest: the signed statement of what a bundle is and what it asks for. Parsed only after the strict
//! check of its bytes; it never says where a bundle belongs (that is a release) or what it gets (a policy).

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use venom_protocol::Timestamp;

use crate::capability::{BudgetLimits, InvalidRequest, Request};
use crate::imports::unknown_group;
use crate::{Digest, InvalidSkillName, JsonError, MAX_COMPONENT_BYTES, check_skill_name, json};

/// The manifest format this crate writes and the only one it reads.
pub const MANIFEST_FORMAT: u32 = 1;
/// The WIT world of every skill.
pub const WORLD: &str = "venom:skill/skill@0.1.0";
/// Most characters of a summary: one line for lists.
const MAX_SUMMARY: usize = 280;

/// What a bundle is and what it asks for. Its JSON bytes are what a publisher signs; their SHA-256 is the
/// bundle's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// Name of the skill, as callers write it.
    pub name: String,
    /// Version of the skill.
    pub version: Version,
    /// One line for lists.
    pub summary: String,
    /// The code.
    pub component: ComponentRef,
    /// The WIT world it was built for: [`WORLD`].
    pub world: String,
    /// What it asks for.
    #[serde(default)]
    pub capabilities: Request,
    /// Groups of interfaces (`venom:skill/cache`, `wasi:sockets`) that its toolchain imports for nothing: what is imported
    /// must be asked for or be named here. Naming one gives no right to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused_imports: Vec<String>,
    /// Budgets it is content with; they only lower what the operator gives.
    #[serde(default)]
    pub budgets: BudgetLimits,
    /// Versions of the host it runs on.
    pub host: VersionReq,
    /// When it was packed, by the packer's clock; for people only.
    pub created: Timestamp,
    /// A call that must succeed before a new version takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// SHA-256 of its software bill of materials, kept elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom_sha256: Option<Digest>,
}

/// A call a skill answers when it is well: made in the sandbox, with the skill's rights, before it takes over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The method.
    pub method: String,
    /// Its parameters; absent: none.
    #[serde(default)]
    pub params: serde_json::Map<String, serde_json::Value>,
}

/// The component of a bundle, by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentRef {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Number of its bytes.
    pub size: u64,
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not strict JSON.
    #[error("the manifest is refused: {0}")]
    Json(#[from] JsonError),
    /// Written by a newer Venom, or by none.
    #[error(
        "the manifest has format {found}, this host reads format {MANIFEST_FORMAT}: pack the skill again, or update the host"
    )]
    Format {
        /// What it says.
        found: u64,
    },
    /// JSON, but no manifest.
    #[error("the manifest does not have the expected fields: {0}")]
    Fields(String),
    /// The name is none.
    #[error(transparent)]
    Name(#[from] InvalidSkillName),
    /// Made for another world.
    #[error(
        "the bundle is made for the world `{found}`, this host runs `{WORLD}`: build the skill against this host's wit"
    )]
    World {
        /// What it says.
        found: String,
    },
    /// The summary is too long or holds control characters.
    #[error("the summary must be one line of at most {MAX_SUMMARY} characters")]
    Summary,
    /// The component is too large.
    #[error(
        "the component has {size} bytes, at most {MAX_COMPONENT_BYTES} are taken: build it for release and strip it"
    )]
    ComponentSize {
        /// What it says.
        size: u64,
    },
    /// An import that is none, or that needs no declaration.
    #[error("`unused_imports` names `{found}`, which is none of {known}: take it out")]
    UnusedImports {
        /// What it says.
        found: String,
        /// What it may say.
        known: String,
    },
    /// A capability or budget that makes no sense.
    #[error("the manifest asks for something malformed: {0}")]
    Request(#[from] InvalidRequest),
}

impl Manifest {
    /// Reads a manifest from its exact bytes. Says nothing about who wrote them.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = json::check(bytes)?;
        check_format(text)?;
        let manifest: Self = serde_json::from_str(text).map_err(|error| ManifestError::Fields(error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The bytes that are signed: compact JSON. Not canonical and not meant to be: the bytes themselves travel.
    #[must_use]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The rules beyond the shape; `pack` and `parse` share them, so that nothing is packed that is not read.
    fn check(&self) -> Result<(), ManifestError> {
        check_skill_name(&self.name)?;
        if self.world != WORLD {
            return Err(ManifestError::World {
                found: self.world.chars().take(80).collect(),
            });
        }
        if self.component.size > MAX_COMPONENT_BYTES {
            return Err(ManifestError::ComponentSize {
                size: self.component.size,
            });
        }
        check_summary(&self.summary)?;
        check_unused_imports(&self.unused_imports)?;
        self.capabilities.check("capabilities")?;
        self.budgets.check("budgets")?;
        Ok(())
    }
}

pub(crate) fn check_summary(summary: &str) -> Result<(), ManifestError> {
    if summary.chars().count() > MAX_SUMMARY || summary.chars().any(char::is_control) {
        return Err(ManifestError::Summary);
    }
    Ok(())
}

pub(crate) fn check_unused_imports(names: &[String]) -> Result<(), ManifestError> {
    match unknown_group(names) {
        Some((found, known)) => Err(ManifestError::UnusedImports { found, known }),
        None => Ok(()),
    }
}

/// A newer format may have fields this one does not know: say so, rather than complain about the field.
fn check_format(text: &str) -> Result<(), ManifestError> {
    #[derive(Deserialize)]
    struct Probe {
        format: Option<u64>,
    }
    match serde_json::from_str(text) {
        Ok(Probe { format: Some(found) }) if found != u64::from(MANIFEST_FORMAT) => {
            Err(ManifestError::Format { found })
        }
        _ => Ok(()),
    }
}
