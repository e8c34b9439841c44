//! Reading and checking a policy file. A policy with a mistake is refused whole, with the key at fault: half a policy
//! is a policy nobody wrote.

use std::path::{Path, PathBuf};

use super::{InvalidRequest, Policy};

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not readable.
    #[error("cannot read the policy {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, or not these fields.
    #[error("the policy is not understood: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A value that makes no sense.
    #[error("the policy is refused, {0}")]
    Invalid(#[from] InvalidRequest),
}

impl Policy {
    /// Reads and checks a policy file.
    pub fn load(_path: &Path) -> Result<Self, PolicyError> {
        todo!()
    }

    /// Reads and checks a policy's text.
    pub fn parse(_text: &str) -> Result<Self, PolicyError> {
        todo!()
    }
}
