//! The host program as a signed artefact. Nobody here replaces a running program: whoever does (a package, systemd, an
//! operator) asks first whether the file at hand is the one that was signed.

use semver::Version;
use serde::{Deserialize, Serialize};
use venom_protocol::Timestamp;

use super::root::same;
use super::signed::{FORMAT, check_format};
use super::span::{MAX_LIFETIME, Span};
use super::{DocumentError, DocumentKind, Root, SignedDocument, SwarmId};
use crate::Digest;

/// Largest host program.
pub const MAX_HOST_BYTES: u64 = 512 * 1024 * 1024;
/// Longest target triple.
const MAX_TARGET: usize = 64;

/// The document. Signed by the release role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostArtefact {
    /// 1.
    pub format: u32,
    /// The only swarm it is for; absent: any whose release keys signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm_id: Option<SwarmId>,
    /// Of the program.
    pub version: Version,
    /// What it runs on, for example `x86_64-unknown-linux-musl`.
    pub target: String,
    /// Of the file.
    pub sha256: Digest,
    /// Bytes of the file.
    pub size: u64,
    /// By its maker's clock.
    pub created: Timestamp,
    /// From then on it is not installed any more; absent: for as long as the root is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A file that is not the artefact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtefactMismatch {
    /// Another digest or size.
    #[error(
        "the file has SHA-256 {found_sha256} and {found_size} bytes, {sha256} and {size} are signed: do not run it, fetch it again"
    )]
    File {
        /// Signed.
        sha256: Digest,
        /// Signed.
        size: u64,
        /// Of the file.
        found_sha256: Digest,
        /// Of the file.
        found_size: u64,
    },
    /// For other machines.
    #[error("the program is for `{target}`, this machine is `{found}`: fetch the one for this machine")]
    Target {
        /// Signed.
        target: String,
        /// Of this machine.
        found: String,
    },
}

impl HostArtefact {
    /// The format to write.
    pub const FORMAT: u32 = FORMAT;

    /// An envelope without signatures.
    #[must_use]
    pub fn unsigned(&self) -> SignedDocument {
        SignedDocument::of(DocumentKind::Host, self)
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
        let kind = DocumentKind::Host;
        check_format(kind, self.format)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
        if !(1..=MAX_TARGET).contains(&self.target.len()) || !self.target.bytes().all(plain) {
            let problem = "is no target triple: write for example x86_64-unknown-linux-musl";
            return Err(DocumentError::value(kind, "target", problem));
        }
        if !(1..=MAX_HOST_BYTES).contains(&self.size) {
            let problem = format!("is {}, programs have 1 to {MAX_HOST_BYTES} bytes", self.size);
            return Err(DocumentError::value(kind, "size", problem));
        }
        Span {
            kind,
            begins: ("created", self.created),
            expires: self.expires,
            longest: MAX_LIFETIME,
        }
        .check()
    }
}

/// A host program that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedHostArtefact {
    artefact: HostArtefact,
    /// When the root that believed it was made and when it ends.
    root: (Timestamp, Timestamp),
    signed: SignedDocument,
}

impl TrustedHostArtefact {
    pub(super) fn read(root: &Root, bytes: &[u8]) -> Result<Self, DocumentError> {
        let kind = DocumentKind::Host;
        let signed = SignedDocument::parse(kind, bytes)?;
        signed.check_signed(&root.roles.release)?;
        let artefact: HostArtefact = signed.read()?;
        if let Some(swarm_id) = &artefact.swarm_id {
            same(kind, "swarm", swarm_id, &root.swarm_id)?;
        }
        artefact.check()?;
        Ok(Self {
            artefact,
            root: (root.created, root.expires),
            signed,
        })
    }

    /// What it says.
    #[must_use]
    pub fn artefact(&self) -> &HostArtefact {
        &self.artefact
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

    /// Whether a file of this digest and size is the signed one, and made for `target`.
    ///
    /// # Errors
    /// [`ArtefactMismatch`].
    pub fn matches(&self, sha256: &Digest, size: u64, target: &str) -> Result<(), ArtefactMismatch> {
        let signed = &self.artefact;
        if (*sha256, size) != (signed.sha256, signed.size) {
            return Err(ArtefactMismatch::File {
                sha256: signed.sha256,
                size: signed.size,
                found_sha256: *sha256,
                found_size: size,
            });
        }
        if target != signed.target {
            let (target, found) = (signed.target.clone(), target.to_owned());
            return Err(ArtefactMismatch::Target { target, found });
        }
        Ok(())
    }

    /// Whether it must not be installed any more: it, or the root it was believed under, expired. The clock counts, but not
    /// from before that root was made. A program that runs goes on.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        let (made, ends) = self.root;
        let now = now.max(made);
        now >= ends || self.artefact.expires.is_some_and(|expires| now >= expires)
    }

    /// Whether it is newer than a program of version `running`. Somebody who replays old artefacts offers programs with
    /// known faults: whoever installs takes newer ones only, unless an operator says otherwise.
    #[must_use]
    pub fn is_newer_than(&self, running: &Version) -> bool {
        self.artefact.version.cmp_precedence(running).is_gt()
    }
}
