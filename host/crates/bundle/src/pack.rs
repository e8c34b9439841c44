//! From a component and a `skill.toml` to a signed bundle. Refuses at the author's desk what every host would
//! refuse. Reads no files and asks no clock.

use venom_protocol::Timestamp;

use crate::complexity::check_complexity;
use crate::envelope::Envelope;
use crate::manifest::WORLD;
use crate::shape::ComponentShape;
use crate::{
    ComponentRef, Digest, MANIFEST_FORMAT, MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES, Manifest, ManifestError,
    PAYLOAD_TYPE, ShapeError, SigningKey, SkillToml, UnverifiedBundle, archive, inspect_component,
};

/// Room that 16 signatures and the envelope's own fields take.
const ENVELOPE_OVERHEAD: usize = 4 * 1024;

/// Why a skill cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Not a component a host would run.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A component whose code is not valid.
    #[error("the component does not validate: {0}")]
    Invalid(String),
    /// Too large.
    #[error(
        "the component has {size} bytes, at most {MAX_COMPONENT_BYTES} are taken: build it for release and strip it"
    )]
    TooLarge {
        /// What it has.
        size: u64,
    },
    /// The manifest would not be read by any host.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// So long a manifest that no envelope holds it.
    #[error(
        "the manifest has {size} bytes, which no envelope of {MAX_ENVELOPE_BYTES} bytes holds: ask for fewer capabilities, or use patterns"
    )]
    ManifestTooLarge {
        /// What it has.
        size: usize,
    },
}

/// A bundle nobody has signed: no host loads it.
#[derive(Debug)]
pub struct UnsignedBundle {
    manifest: Manifest,
    component: Vec<u8>,
    warnings: Vec<String>,
}

/// Makes a bundle of a component. Equal inputs make equal bytes.
pub fn pack(skill: &SkillToml, component: &[u8], created: Timestamp) -> Result<UnsignedBundle, PackError> {
    let size = component.len() as u64;
    if size > MAX_COMPONENT_BYTES {
        return Err(PackError::TooLarge { size });
    }
    let shape = inspect_component(component)?;
    shape.check_skill()?;
    check_complexity(component)?;
    wasmparser::Validator::new()
        .validate_all(component)
        .map_err(|error| PackError::Invalid(error.to_string()))?;
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        name: skill.name.clone(),
        version: skill.version.clone(),
        summary: skill.summary.clone(),
        component: ComponentRef {
            sha256: Digest::of(component),
            size,
        },
        world: WORLD.to_owned(),
        capabilities: skill.capabilities.clone(),
        unused_imports: skill.unused_imports.clone(),
        budgets: skill.budgets.clone(),
        host: skill.host.clone(),
        created,
        probe: skill.probe.clone(),
        sbom_sha256: None,
    };
    // Read back what a host will read: what does not survive the trip must not be signed.
    let payload = manifest.to_bytes();
    Manifest::parse(&payload)?;
    if payload.len().div_ceil(3) * 4 + ENVELOPE_OVERHEAD > MAX_ENVELOPE_BYTES {
        return Err(PackError::ManifestTooLarge { size: payload.len() });
    }
    Ok(UnsignedBundle {
        warnings: warnings(skill, &shape),
        manifest,
        component: component.to_vec(),
    })
}

/// What hosts will refuse, and what they would not miss.
fn warnings(skill: &SkillToml, shape: &ComponentShape) -> Vec<String> {
    let undeclared = shape.undeclared(&skill.capabilities, &skill.unused_imports);
    let refused = undeclared
        .iter()
        .map(|import| format!("every host will refuse to load this: {import}"));
    refused
        .chain(shape.needless(&skill.capabilities, &skill.unused_imports))
        .collect()
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
    pub fn sign(self, key: &SigningKey) -> SignedBundle {
        let mut bundle = self.without_signature();
        bundle.add_signature(key);
        bundle
    }

    /// The same as a file that others sign later; until then no host loads it.
    #[must_use]
    pub fn without_signature(self) -> SignedBundle {
        SignedBundle {
            envelope: Envelope::unsigned(PAYLOAD_TYPE, self.manifest.to_bytes()),
            component: self.component,
        }
    }
}

/// A bundle with its signatures, as its publisher holds it. Whether anyone trusts them is decided by
/// [`UnverifiedBundle::verify`] alone.
#[derive(Debug)]
pub struct SignedBundle {
    envelope: Envelope,
    component: Vec<u8>,
}

impl SignedBundle {
    /// Takes up a file again to sign it once more. What is in it stays as it is, byte for byte.
    #[must_use]
    pub fn reopen(bundle: UnverifiedBundle) -> Self {
        Self {
            envelope: bundle.envelope,
            component: bundle.component,
        }
    }

    /// The bytes of the `.venom` file; always the same for the same bundle and signatures.
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
