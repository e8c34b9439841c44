//! A bundle as it came: decoded, believed by nobody. All it can do is say what it claims, and be verified.

use std::path::{Path, PathBuf};

use crate::envelope::Envelope;
use crate::{ArchiveError, Digest, EnvelopeError, Manifest, ManifestError, Trust, VerifiedBundle, VerifyError};

/// Why bytes are no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not readable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not a `.venom` archive.
    #[error("not a bundle: {0}")]
    Archive(#[from] ArchiveError),
    /// The envelope is none.
    #[error("not a bundle: {0}")]
    Envelope(#[from] EnvelopeError),
}

/// A decoded `.venom` file whose signatures nobody has looked at.
#[derive(Debug)]
pub struct UnverifiedBundle {
    pub(crate) envelope: Envelope,
    pub(crate) component: Vec<u8>,
}

/// What an unverified bundle says of itself. For showing to people; nothing may be decided by it, and nothing
/// turns it into a [`VerifiedBundle`].
#[derive(Debug)]
pub struct ClaimedManifest {
    manifest: Result<Manifest, ManifestError>,
    digest: Digest,
    key_ids: Vec<String>,
    component_digest: Digest,
    component_size: u64,
}

impl UnverifiedBundle {
    /// Reads a file, at most as much of it as a bundle can have.
    pub fn read(_path: &Path) -> Result<Self, BundleError> {
        todo!()
    }

    /// Decodes a file's bytes.
    pub fn parse(_bytes: Vec<u8>) -> Result<Self, BundleError> {
        todo!()
    }

    /// What it claims, for `inspect`.
    #[must_use]
    pub fn claimed(&self) -> ClaimedManifest {
        todo!()
    }

    /// Checks everything, in order of cost to an attacker: signatures, type, manifest, publisher, revocation, host,
    /// component.
    pub fn verify(self, _trust: &Trust, _host: &semver::Version) -> Result<VerifiedBundle, VerifyError> {
        todo!()
    }
}

impl ClaimedManifest {
    /// The claimed manifest, if the payload is one.
    pub fn manifest(&self) -> Result<&Manifest, &ManifestError> {
        self.manifest.as_ref()
    }

    /// SHA-256 of the payload: the id the bundle has if it verifies.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Key ids written beside the signatures; anyone can write any.
    #[must_use]
    pub fn key_ids(&self) -> &[String] {
        &self.key_ids
    }

    /// SHA-256 of the component that is really in the file.
    #[must_use]
    pub fn component_digest(&self) -> &Digest {
        &self.component_digest
    }

    /// Bytes of the component that is really in the file.
    #[must_use]
    pub fn component_size(&self) -> u64 {
        self.component_size
    }
}
