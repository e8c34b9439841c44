//! The root: which keys may sign what, which publishers there are, and in which epoch releases count. Each root names
//! the keys that sign the next; a root is believed only when the one before and it itself agree.

use serde::{Deserialize, Serialize};
use venom_protocol::Timestamp;

use super::{Channel, DocumentError, DocumentKind, SignedDocument, SwarmId, TrustedRelease, TrustedRollout};
use crate::capability::{BudgetLimits, Request};
use crate::{Digest, PublicKey, Publisher, Trust};

/// The format this crate writes and the only one it reads.
const FORMAT: u32 = 1;

/// Keys of a role and how many different ones must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The keys, none twice.
    pub keys: Vec<PublicKey>,
    /// 1 to the number of keys.
    pub threshold: usize,
}

/// Who signs what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// The next root; may be kept offline.
    pub root: Role,
    /// Releases; may be kept offline.
    pub release: Role,
    /// Rollouts: the nexus's online key.
    pub rollout: Role,
}

/// A publisher, as in the trust file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootPublisher {
    /// For people.
    pub name: String,
    /// Prefix of the skills it may publish; `*`: any.
    pub prefix: String,
    /// Its keys; no other publisher has any of them.
    pub keys: Vec<PublicKey>,
    /// How many different ones must sign.
    pub threshold: usize,
    /// The most its skills may ask for; absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Request>,
    /// The most budget its skills get.
    #[serde(default)]
    pub budgets: BudgetLimits,
}

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// 1.
    pub format: u32,
    /// Of all documents under it.
    pub swarm_id: SwarmId,
    /// 1, and one more each time.
    pub version: u64,
    /// Releases of a lower epoch no longer count. Never falls.
    pub epoch: u64,
    /// By its maker's clock.
    pub created: Timestamp,
    /// From then on nothing is installed under it.
    pub expires: Timestamp,
    /// Who signs what.
    pub roles: Roles,
    /// Who publishes skills.
    pub publishers: Vec<RootPublisher>,
    /// Digests of bundles and ids of keys that are good for nothing any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Digest>,
}

impl Root {
    /// The format to write.
    pub const FORMAT: u32 = FORMAT;

    /// An envelope without signatures.
    #[must_use]
    pub fn unsigned(&self) -> SignedDocument {
        SignedDocument::of(DocumentKind::Root, self)
    }

    /// What does not depend on the root before.
    fn check(&self) -> Result<(), DocumentError> {
        let bad = |key: &str, problem: &str| {
            Err(DocumentError::Value {
                kind: DocumentKind::Root,
                key: key.to_owned(),
                problem: problem.to_owned(),
            })
        };
        if self.format != FORMAT {
            return bad("format", "this host reads format 1: update the host");
        }
        if self.version == 0 || self.epoch == 0 {
            return bad("version", "versions and epochs begin with 1");
        }
        for (name, role) in [
            ("roles.root", &self.roles.root),
            ("roles.release", &self.roles.release),
            ("roles.rollout", &self.roles.rollout),
        ] {
            let ids: std::collections::BTreeSet<_> = role.keys.iter().map(PublicKey::id).collect();
            if ids.len() != role.keys.len() {
                return bad(name, "a key is listed twice");
            }
            if role.threshold == 0 || role.threshold > ids.len() {
                return bad(name, "the threshold is 1 to the number of keys");
            }
        }
        Trust::from_root(self, &[]).map_err(|error| DocumentError::Value {
            kind: DocumentKind::Root,
            key: "publishers".to_owned(),
            problem: error.to_string(),
        })?;
        Ok(())
    }

    /// The publishers, as [`crate::UnverifiedBundle::verify`] takes them; `revoked` in addition to the root's own.
    #[must_use]
    pub fn trust(&self, revoked: &[Digest]) -> Trust {
        Trust::from_root(self, revoked).unwrap_or_else(|_| Trust::nobody())
    }
}

/// A root that is believed.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustedRoot {
    root: Root,
    signed: SignedDocument,
}

impl TrustedRoot {
    /// Takes a root as the beginning of trust: the caller vouches for it (a file put there by the operator). It must be
    /// signed by its own root keys.
    ///
    /// # Errors
    /// [`DocumentError`] says why not.
    pub fn pin(bytes: &[u8]) -> Result<Self, DocumentError> {
        let signed = SignedDocument::parse(DocumentKind::Root, bytes)?;
        let root: Root = signed.read()?;
        root.check()?;
        signed.check_signed(&root.roles.root)?;
        Ok(Self { root, signed })
    }

    /// The next root: the very next version, of the same swarm, no lower epoch, signed by enough keys of this root and
    /// of its own.
    ///
    /// # Errors
    /// [`DocumentError`] says why not.
    pub fn rotate(&self, bytes: &[u8]) -> Result<Self, DocumentError> {
        let kind = DocumentKind::Root;
        let signed = SignedDocument::parse(kind, bytes)?;
        signed.check_signed(&self.root.roles.root)?;
        let root: Root = signed.read()?;
        root.check()?;
        signed.check_signed(&root.roles.root)?;
        same(kind, "swarm", &root.swarm_id, &self.root.swarm_id)?;
        if root.version != self.root.version + 1 {
            let (found, current) = (root.version, self.root.version);
            return Err(DocumentError::NotNext { found, current });
        }
        if root.epoch < self.root.epoch {
            return Err(DocumentError::Value {
                kind,
                key: "epoch".to_owned(),
                problem: format!("{} is lower than {}; epochs never fall", root.epoch, self.root.epoch),
            });
        }
        Ok(Self { root, signed })
    }

    /// What it says.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The exact text of its envelope.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.signed.to_text()
    }

    /// Digest of its payload.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.signed.digest()
    }

    /// Believes a release of this swarm, channel and epoch that enough release keys signed. Says nothing about whether it
    /// is newer than another; see [`super::TrustState`].
    ///
    /// # Errors
    /// [`DocumentError`] says why not.
    pub fn release(&self, bytes: &[u8], channel: &Channel) -> Result<TrustedRelease, DocumentError> {
        TrustedRelease::read(&self.root, bytes, channel)
    }

    /// Believes a rollout of this release that enough rollout keys signed. Says nothing about whether it is newer.
    ///
    /// # Errors
    /// [`DocumentError`] says why not.
    pub fn rollout(&self, bytes: &[u8], release: &TrustedRelease) -> Result<TrustedRollout, DocumentError> {
        TrustedRollout::read(&self.root, bytes, release)
    }
}

pub(super) fn same<T: PartialEq + ToString>(
    kind: DocumentKind,
    what: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), DocumentError> {
    if found == expected {
        return Ok(());
    }
    Err(DocumentError::Elsewhere {
        kind,
        what,
        found: found.to_string(),
        expected: expected.to_string(),
    })
}

impl Trust {
    /// The publishers of a root, under the same rules as those of a trust file.
    pub(super) fn from_root(root: &Root, revoked: &[Digest]) -> Result<Self, crate::TrustError> {
        let publishers = root.publishers.iter().map(|publisher| Publisher {
            name: publisher.name.clone(),
            prefix: publisher.prefix.clone(),
            keys: publisher.keys.clone(),
            threshold: publisher.threshold,
            ceiling: publisher.ceiling.clone().unwrap_or_else(Request::anything),
            budgets: publisher.budgets.clone(),
        });
        Self::of(publishers.collect(), root.revoked.iter().chain(revoked).copied())
    }
}
