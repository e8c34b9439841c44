//! A bundle as it came: decoded, believed by nobody. All it can do is say what it claims, and be verified.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::envelope::Envelope;
use crate::{ArchiveError, Digest, EnvelopeError, Manifest, ManifestError, archive};

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
/// turns it into a [`VerifiedBundle`](crate::VerifiedBundle).
#[derive(Debug)]
pub struct ClaimedManifest {
    manifest: Result<Manifest, ManifestError>,
    digest: Digest,
    key_ids: Vec<String>,
    component_digest: Digest,
    component_size: u64,
}

impl UnverifiedBundle {
    /// Reads a file, at most as much of it as its headers declare.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let failed = |source| BundleError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        Self::from_reader(BufReader::new(file)).map_err(|error| match error {
            BundleError::Archive(ArchiveError::Io(source)) => failed(source),
            other => other,
        })
    }

    /// Decodes a file's bytes. Never panics, whatever they are: the entry point for fuzzing.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BundleError> {
        Self::from_reader(bytes.as_slice())
    }

    /// Decodes a stream, for example of a download; stops one byte after the declared end.
    pub fn from_reader(reader: impl Read) -> Result<Self, BundleError> {
        let archive = archive::read(reader)?;
        Ok(Self {
            envelope: Envelope::parse(&archive.envelope)?,
            component: archive.component,
        })
    }

    /// What it claims, for `inspect`. Parses bytes that nobody vouches for; see [`ClaimedManifest`].
    #[must_use]
    pub fn claimed(&self) -> ClaimedManifest {
        ClaimedManifest {
            manifest: Manifest::parse(&self.envelope.payload),
            digest: Digest::of(&self.envelope.payload),
            key_ids: self
                .envelope
                .signatures
                .iter()
                .map(|signature| signature.key_id.clone())
                .collect(),
            component_digest: Digest::of(&self.component),
            component_size: self.component.len() as u64,
        }
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
