//! The root: which keys may sign what, which publishers there are, and in which epoch releases count. Each root names
//! the keys that sign the next; a root is believed only when the one before and it itself agree.

use serde::{Deserialize, Serialize};
use venom_protocol::Timestamp;

use super::signed::{FORMAT, check_format};
use super::span::{MAX_LIFETIME, Span};
use super::{
    Channel, DocumentError, DocumentKind, SignedDocument, SwarmId, TrustedHostArtefact, TrustedRelease, TrustedRollout,
};
use crate::capability::{BudgetLimits, Request};
use crate::{Digest, KeyId, MAX_SIGNATURES, PublicKey, Publisher, Trust};

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

impl Role {
    fn check(&self, revoked: &[Digest]) -> Result<(), String> {
        let ids: std::collections::BTreeSet<KeyId> = self.keys.iter().map(PublicKey::id).collect();
        if ids.len() != self.keys.len() {
            return Err("a key is listed twice".to_owned());
        }
        if ids.len() > MAX_SIGNATURES {
            return Err(format!(
                "lists more than {MAX_SIGNATURES} keys, and no document has more signatures"
            ));
        }
        if self.threshold == 0 || self.threshold > ids.len() {
            return Err("the threshold is 1 to the number of keys".to_owned());
        }
        match ids.iter().find(|id| revoked.contains(id.digest())) {
            Some(id) => Err(format!(
                "the key {} is revoked by this very root: take it out here",
                id.short()
            )),
            None => Ok(()),
        }
    }
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

    /// An envelope without signatures, of a document that its readers will take. It must be signed by enough root keys of
    /// its own and of the root before.
    ///
    /// # Errors
    /// [`DocumentError`] says what they would refuse.
    pub fn to_sign(&self) -> Result<SignedDocument, DocumentError> {
        self.check()?;
        self.unsigned().within_size()
    }

    /// The rules that do not depend on the root before.
    ///
    /// # Errors
    /// [`DocumentError::Value`].
    pub fn check(&self) -> Result<(), DocumentError> {
        let kind = DocumentKind::Root;
        check_format(kind, self.format)?;
        if self.version == 0 || self.epoch == 0 {
            return Err(DocumentError::value(
                kind,
                "version",
                "versions and epochs begin with 1",
            ));
        }
        Span {
            kind,
            begins: ("created", self.created),
            expires: Some(self.expires),
            longest: MAX_LIFETIME,
        }
        .check()?;
        for (key, role) in [
            ("roles.root", &self.roles.root),
            ("roles.release", &self.roles.release),
            ("roles.rollout", &self.roles.rollout),
        ] {
            let checked = role.check(&self.revoked);
            checked.map_err(|problem| DocumentError::value(kind, key, problem))?;
        }
        let publishers = Trust::from_root(self, &[]).map(drop);
        publishers.map_err(|error| DocumentError::value(kind, "publishers", error.to_string()))
    }

    /// The very next version, of the same swarm. The epoch stays or rises by one: with leaps it could be used up.
    fn check_follows(&self, before: &Self) -> Result<(), DocumentError> {
        let kind = DocumentKind::Root;
        same(kind, "swarm", &self.swarm_id, &before.swarm_id)?;
        let (found, current) = (self.version, before.version);
        if found != current.saturating_add(1) {
            return Err(DocumentError::NotNext { found, current });
        }
        if self.epoch != before.epoch && self.epoch != before.epoch.saturating_add(1) {
            let problem = format!("is {}, after {} comes the same or one more", self.epoch, before.epoch);
            return Err(DocumentError::value(kind, "epoch", problem));
        }
        Ok(())
    }

    /// The publishers, as [`crate::UnverifiedBundle::verify`] takes them; `revoked` (of a release) in addition to the
    /// root's own. What a release revokes counts for bundles and for keys of publishers, never for keys of roles: those
    /// are the root's to take away.
    #[must_use]
    pub fn trust(&self, revoked: &[Digest]) -> Trust {
        Trust::from_root(self, revoked).unwrap_or_else(|_| Trust::nobody())
    }
}

/// A root that is believed: what everything else is verified against.
///
/// ```
/// use venom_bundle::{RoleChange, Root, RootChange, SigningKey, SwarmId, TrustedRoot};
/// # use venom_protocol::Timestamp;
/// # let day = |text: &str| Timestamp::parse(&format!("{text}T00:00:00Z")).unwrap();
/// # let (today, in_ten_years) = (day("2026-03-01"), day("2036-03-01"));
/// // The first root: the operator puts it there, and it is signed by its own key.
/// let (publisher, online) = (SigningKey::generate()?, SigningKey::generate()?);
/// let id = SwarmId::generate()?;
/// let mut signed = Root::first(id, &publisher.public(), &online.public(), today, in_ten_years).to_sign()?;
/// signed.add_signature(&publisher);
/// let first = TrustedRoot::pin(signed.to_text().as_bytes())?;
///
/// // The next moves the roots to two offline keys: signed by the old key and by both new ones.
/// let offline = [SigningKey::generate()?, SigningKey::generate()?];
/// let keys = offline.iter().map(SigningKey::public).collect();
/// let change = RootChange { root: RoleChange { keys, threshold: Some(2) }, ..RootChange::default() };
/// let mut signed = first.root().next(&change, today, in_ten_years)?.to_sign()?;
/// offline.iter().for_each(|key| signed.add_signature(key));
/// assert!(first.rotate(signed.to_text().as_bytes()).is_err());
/// signed.add_signature(&publisher);
/// assert_eq!(first.rotate(signed.to_text().as_bytes())?.root().version, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// The next root: the very next version, of the same swarm, of the same epoch or the next, signed by enough keys of
    /// this root and of its own.
    ///
    /// # Errors
    /// [`DocumentError`] says why not.
    pub fn rotate(&self, bytes: &[u8]) -> Result<Self, DocumentError> {
        let signed = SignedDocument::parse(DocumentKind::Root, bytes)?;
        signed.check_signed(&self.root.roles.root)?;
        let root: Root = signed.read()?;
        root.check()?;
        signed.check_signed(&root.roles.root)?;
        root.check_follows(&self.root)?;
        Ok(Self { root, signed })
    }

    /// What it says.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The text of its envelope.
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

    /// Believes a host program that enough release keys signed, for this swarm or for any.
    ///
    /// # Errors
    /// [`DocumentError`] says why not.
    pub fn host_artefact(&self, bytes: &[u8]) -> Result<TrustedHostArtefact, DocumentError> {
        TrustedHostArtefact::read(&self.root, bytes)
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
