//! The trust file: which publishers may name which skills, how many of their keys must sign, and how much they may
//! ever ask for. Written by the operator only; no bundle can change it.

use std::path::Path;

use crate::capability::{BudgetLimits, Request};
use crate::{Digest, KeyId, PublicKey};

/// Publishers and revocations.
#[derive(Debug, Clone, PartialEq)]
pub struct Trust {
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) revoked: Vec<Digest>,
}

/// One publisher.
#[derive(Debug, Clone, PartialEq)]
pub struct Publisher {
    /// For people.
    pub name: String,
    /// Prefix of the skills it may publish; `*`: any.
    pub prefix: String,
    /// Its keys.
    pub keys: Vec<PublicKey>,
    /// How many different keys must sign.
    pub threshold: usize,
    /// The most its skills may ask for.
    pub ceiling: Request,
    /// The most budget its skills get.
    pub budgets: BudgetLimits,
}

/// Why a trust file is refused.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not TOML, or not these fields.
    #[error("the trust file is not understood: {0}")]
    Syntax(#[from] toml::de::Error),
}

impl Trust {
    /// Reads and checks a trust file.
    pub fn load(_path: &Path) -> Result<Self, TrustError> {
        todo!()
    }

    /// Reads and checks a trust file's text.
    pub fn parse(_text: &str) -> Result<Self, TrustError> {
        todo!()
    }

    /// Trusts one key for skills of any name, without a ceiling: a newcomer's and a test's trust.
    #[must_use]
    pub fn single(name: &str, key: &PublicKey) -> Self {
        let publisher = Publisher {
            name: name.to_owned(),
            prefix: "*".to_owned(),
            keys: vec![*key],
            threshold: 1,
            ceiling: Request::anything(),
            budgets: BudgetLimits::default(),
        };
        Self {
            publishers: vec![publisher],
            revoked: Vec::new(),
        }
    }

    /// The publishers, as written.
    #[must_use]
    pub fn publishers(&self) -> &[Publisher] {
        &self.publishers
    }

    /// Whether a bundle digest is revoked.
    #[must_use]
    pub fn revokes_bundle(&self, digest: &Digest) -> bool {
        self.revoked.contains(digest)
    }

    /// Whether a key is revoked.
    #[must_use]
    pub fn revokes_key(&self, key: &KeyId) -> bool {
        self.revoked.contains(key.digest())
    }
}
