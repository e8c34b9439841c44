//! From a component and a `skill.toml` to a signed bundle. Refuses at the author's desk what every host would refuse.

use venom_protocol::Timestamp;

use crate::envelope::Envelope;
use crate::{Digest, Manifest, ShapeError, SigningKey, SkillToml, archive};

/// Why a skill cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Not a component a host would run.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// A bundle nobody has signed: no host loads it.
#[derive(Debug)]
pub struct UnsignedBundle {
    manifest: Manifest,
    component: Vec<u8>,
    warnings: Vec<String>,
}

/// Makes a bundle of a component.
pub fn pack(_skill: &SkillToml, _component: &[u8], _created: Timestamp) -> Result<UnsignedBundle, PackError> {
    todo!()
}

impl UnsignedBundle {
    /// What the manifest will say.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What an author should look at: rights asked for and unused, or used and not asked for.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Notes the digest of a software bill of materials kept elsewhere.
    #[must_use]
    pub fn with_sbom(mut self, sbom: Digest) -> Self {
        self.manifest.sbom_sha256 = Some(sbom);
        self
    }

    /// Signs it.
    #[must_use]
    pub fn sign(self, _key: &SigningKey) -> SignedBundle {
        todo!()
    }
}

/// A bundle with signatures, as its publisher holds it. Whether anyone trusts it is for `UnverifiedBundle::verify`.
#[derive(Debug)]
pub struct SignedBundle {
    envelope: Envelope,
    component: Vec<u8>,
}

impl SignedBundle {
    /// The bytes of the `.venom` file; always the same for the same bundle.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        archive::write(&self.envelope.to_bytes(), &self.component)
    }

    /// Adds a signature; signing twice with one key leaves one signature.
    pub fn add_signature(&mut self, key: &SigningKey) {
        self.envelope.sign(key);
    }

    /// The bundle's id: SHA-256 of the manifest's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.envelope.payload)
    }
}
