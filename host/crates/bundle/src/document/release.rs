//! The release: a signed list of which bundle belongs where, numbered so that nobody can go back.

use semver::Version;
use serde::{Deserialize, Serialize};
use venom_protocol::{NodeId, Timestamp};

use super::root::same;
use super::signed::FORMAT;
use super::{Channel, DocumentError, DocumentKind, Root, SignedDocument, SwarmId, bucket};
use crate::capability::SkillPolicy;
use crate::{Digest, VerifiedBundle};

/// Largest number a release can have: what every JSON reader sees alike.
pub const MAX_SEQ: u64 = crate::MAX_JSON_NUMBER;
/// Most entries of one release.
pub const MAX_ENTRIES: usize = 512;

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// 1.
    pub format: u32,
    /// As in the root.
    pub swarm_id: SwarmId,
    /// Which line of releases.
    pub channel: Channel,
    /// As in the root; a release of another epoch does not count.
    pub epoch: u64,
    /// Greater than that of the release before.
    pub seq: u64,
    /// Digest of the release before; absent for the first of an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_sha256: Option<Digest>,
    /// By its maker's clock.
    pub created: Timestamp,
    /// From then on it is not installed any more; what runs goes on.
    pub expires: Timestamp,
    /// What belongs where. Of several entries of one skill the first that selects a spore counts.
    pub entries: Vec<Entry>,
    /// Digests of bundles and ids of keys that are good for nothing any more, at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Digest>,
}

/// One bundle and whom it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The skill's name.
    pub skill: String,
    /// What to install.
    pub bundle: BundleRef,
    /// Whom it is for; absent: everybody.
    #[serde(default, skip_serializing_if = "Selector::is_everybody")]
    pub selector: Selector,
    /// What it is granted where the spore's own policy does not name the skill and the spore takes grants of releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<SkillPolicy>,
    /// The operator has seen what it asks for beyond the version before, and agrees.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
    /// No version below it may answer calls any more, not even to roll back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Version>,
    /// What to run when the bundle fails and nothing that ran before may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<BundleRef>,
}

/// A bundle by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleRef {
    /// Its version, as its manifest says.
    pub version: Version,
    /// Its id: digest of its manifest.
    pub sha256: Digest,
    /// Digest of the `.venom` file.
    pub file_sha256: Digest,
    /// Bytes of the file: never more are fetched.
    pub size: u64,
    /// URLs beside the nexus's own store, tried in order where the spore allows their hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
}

/// Which spores. All that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    /// Tags the spore must have, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Ids of the only spores meant; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<NodeId>,
    /// Share of the spores, 1 to 100; which ones is decided by a digest of skill and spore, and stays so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

impl Selector {
    /// Whether it leaves nobody out.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it means this spore.
    #[must_use]
    pub fn selects(&self, skill: &str, node_id: NodeId, tags: &[String]) -> bool {
        let among = self.ids.is_empty() || self.ids.contains(&node_id);
        let tagged = self.tags.iter().all(|tag| tags.contains(tag));
        let drawn = self
            .percent
            .is_none_or(|percent| bucket(&Digest::of(skill.as_bytes()), node_id) < u16::from(percent) * 100);
        among && tagged && drawn
    }
}

impl Release {
    /// The format to write.
    pub const FORMAT: u32 = FORMAT;

    /// An envelope without signatures.
    #[must_use]
    pub fn unsigned(&self) -> SignedDocument {
        SignedDocument::of(DocumentKind::Release, self)
    }

    /// An envelope without signatures, of a document that its readers will take.
    ///
    /// # Errors
    /// [`DocumentError`] says what they would refuse.
    pub fn to_sign(&self) -> Result<SignedDocument, DocumentError> {
        self.check()?;
        self.unsigned().within_size()
    }

    /// What it wants on a spore: the first entry of each skill that selects it, in the order of the entries.
    pub fn wanted(&self, node_id: NodeId, tags: &[String]) -> Vec<&Entry> {
        let mut wanted: Vec<&Entry> = Vec::new();
        for entry in &self.entries {
            if entry.selector.selects(&entry.skill, node_id, tags)
                && !wanted.iter().any(|known| known.skill == entry.skill)
            {
                wanted.push(entry);
            }
        }
        wanted
    }
}

/// A bundle that is not the one its entry wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the release wants {skill} with {what} {expected}, what came has {found}: somebody passes one bundle for another, fetch it again"
)]
pub struct WrongBundle {
    /// The skill of the entry.
    pub skill: String,
    /// `SHA-256`, `name` or `version`.
    pub what: &'static str,
    /// In the release.
    pub expected: String,
    /// In the bundle.
    pub found: String,
}

impl Entry {
    /// Whether a version may answer calls: it is not below the floor. What follows the version as build metadata
    /// does not count.
    #[must_use]
    pub fn allows(&self, version: &Version) -> bool {
        let below = |floor: &Version| version.cmp_precedence(floor).is_lt();
        !self.floor.as_ref().is_some_and(below)
    }

    /// Whether a verified bundle is the wanted one or the fallback: the signed bundle of one skill must not pass for
    /// that of another, nor one version for another.
    ///
    /// # Errors
    /// [`WrongBundle`].
    pub fn check_bundle(&self, bundle: &VerifiedBundle) -> Result<(), WrongBundle> {
        let fallback = self.fallback.as_ref().filter(|it| it.sha256 == bundle.digest());
        let wanted = fallback.unwrap_or(&self.bundle);
        let manifest = bundle.manifest();
        for (what, expected, found) in [
            ("SHA-256", wanted.sha256.to_string(), bundle.digest().to_string()),
            ("name", self.skill.clone(), manifest.name.clone()),
            ("version", wanted.version.to_string(), manifest.version.to_string()),
        ] {
            if expected != found {
                let skill = self.skill.clone();
                return Err(WrongBundle {
                    skill,
                    what,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }
}

/// A release that is believed.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustedRelease {
    release: Release,
    signed: SignedDocument,
}

impl TrustedRelease {
    pub(super) fn read(root: &Root, bytes: &[u8], channel: &Channel) -> Result<Self, DocumentError> {
        let kind = DocumentKind::Release;
        let signed = SignedDocument::parse(kind, bytes)?;
        signed.check_signed(&root.roles.release)?;
        let release: Release = signed.read()?;
        same(kind, "swarm", &release.swarm_id, &root.swarm_id)?;
        same(kind, "channel", &release.channel, channel)?;
        same(kind, "epoch", &release.epoch, &root.epoch)?;
        release.check()?;
        // its `created` holds up clocks that are behind: not past the time for which the root vouches
        if release.created >= root.expires {
            let problem = format!("is after the end of root {}: rotate the root first", root.version);
            return Err(DocumentError::value(kind, "created", problem));
        }
        Ok(Self { release, signed })
    }

    /// What it says.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The text of its envelope.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.signed.to_text()
    }

    /// Digest of its payload: the release's id.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.signed.digest()
    }
}
