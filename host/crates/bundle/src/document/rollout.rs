//! The rollout: how far a release may go now. Signed by the nexus's online key, short-lived, and able to do no more than
//! hold a release back or take it back: what is installed is decided by the release alone.

use serde::{Deserialize, Serialize};
use venom_protocol::{NodeId, Timestamp};

use super::root::same;
use super::signed::{FORMAT, check_format};
use super::span::{MAX_ROLLOUT_LIFETIME, Span};
use super::{Channel, DocumentError, DocumentKind, Root, SignedDocument, SwarmId, TrustedRelease};
use crate::Digest;

/// All spores, in parts of ten thousand.
pub const WHOLE: u16 = 10_000;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// 1.
    pub format: u32,
    /// As in the root.
    pub swarm_id: SwarmId,
    /// As in the release.
    pub channel: Channel,
    /// The release.
    pub release_sha256: Digest,
    /// Greater than that of the rollout before, of the same release.
    pub counter: u64,
    /// Spores whose [`bucket`] is below may install: 0 to [`WHOLE`].
    pub wave: u16,
    /// What to do.
    pub state: RolloutOrder,
    /// By the nexus's clock.
    pub issued: Timestamp,
    /// From then on it says nothing.
    pub expires: Timestamp,
}

/// What a rollout tells the spores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutOrder {
    /// Install, if it is your turn.
    Run,
    /// Install nothing.
    Pause,
    /// Go back to what ran before this release.
    Revert,
}

/// Where a spore stands in the order of a release's waves: 0 to 9,999, by SHA-256(release ‖ spore), so that it is not
/// always the same spores that go first.
#[must_use]
pub fn bucket(release: &Digest, node_id: NodeId) -> u16 {
    let mut bytes = release.as_bytes().to_vec();
    bytes.extend_from_slice(node_id.0.as_bytes());
    let digest = Digest::of(&bytes);
    let first = digest.as_bytes().iter().take(8);
    let number = first.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    u16::try_from(number % u64::from(WHOLE)).unwrap_or(0)
}

impl TrustedRelease {
    /// A rollout of this release, for all spores to begin with.
    #[must_use]
    pub fn draft_rollout(&self, counter: u64, state: RolloutOrder, issued: Timestamp, expires: Timestamp) -> Rollout {
        let release = self.release();
        Rollout {
            format: Rollout::FORMAT,
            swarm_id: release.swarm_id.clone(),
            channel: release.channel.clone(),
            release_sha256: self.digest(),
            counter,
            wave: WHOLE,
            state,
            issued,
            expires,
        }
    }
}

impl Rollout {
    /// The format to write.
    pub const FORMAT: u32 = FORMAT;

    /// An envelope without signatures.
    #[must_use]
    pub fn unsigned(&self) -> SignedDocument {
        SignedDocument::of(DocumentKind::Rollout, self)
    }

    /// An envelope without signatures, of a document that its readers will take.
    ///
    /// # Errors
    /// [`DocumentError`] says what they would refuse.
    pub fn to_sign(&self) -> Result<SignedDocument, DocumentError> {
        self.check()?;
        self.unsigned().within_size()
    }

    /// The rules beyond the shape.
    ///
    /// # Errors
    /// [`DocumentError::Value`].
    pub fn check(&self) -> Result<(), DocumentError> {
        let kind = DocumentKind::Rollout;
        check_format(kind, self.format)?;
        if self.wave > WHOLE {
            return Err(DocumentError::value(kind, "wave", "is over 10000"));
        }
        if !(1..=crate::MAX_JSON_NUMBER).contains(&self.counter) {
            return Err(DocumentError::value(kind, "counter", "counters are 1 to 2^53"));
        }
        Span {
            kind,
            begins: ("issued", self.issued),
            expires: Some(self.expires),
            longest: MAX_ROLLOUT_LIFETIME,
        }
        .check()
    }
}

/// A rollout that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRollout {
    rollout: Rollout,
    signed: SignedDocument,
}

impl TrustedRollout {
    pub(super) fn read(root: &Root, bytes: &[u8], release: &TrustedRelease) -> Result<Self, DocumentError> {
        let kind = DocumentKind::Rollout;
        let signed = SignedDocument::parse(kind, bytes)?;
        signed.check_signed(&root.roles.rollout)?;
        let rollout: Rollout = signed.read()?;
        same(kind, "swarm", &rollout.swarm_id, &root.swarm_id)?;
        same(kind, "channel", &rollout.channel, &release.release().channel)?;
        same(kind, "release", &rollout.release_sha256, &release.digest())?;
        rollout.check()?;
        Ok(Self { rollout, signed })
    }

    /// What it says.
    #[must_use]
    pub fn rollout(&self) -> &Rollout {
        &self.rollout
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
}
