//! Bundles: signed, immutable packages of one skill, and the rules by which they are trusted.
//!
//! The road: an author's `skill.toml` and component go through [`pack()`] to an [`UnsignedBundle`], through
//! [`UnsignedBundle::sign`] to a [`SignedBundle`] and its `.venom` file. A reader gets an [`UnverifiedBundle`]
//! from that file and, against a [`Trust`], a [`VerifiedBundle`]; nothing else makes one, and only that runs.
//! This crate never runs a component, never talks to the network and never decides anything by key id alone.

pub mod capability;
mod digest;
mod json;

mod key;
mod key_file;

mod envelope;
mod manifest;
mod name;
mod skill_toml;

mod archive;
mod complexity;
mod imports;
mod pack;
mod parts;
mod shape;

mod document;
mod trust;
mod unverified;
mod verify;

pub use archive::{ArchiveError, MAX_BUNDLE_FILE_BYTES, MAX_COMPONENT_BYTES};
pub use digest::{Digest, InvalidDigest};
pub use document::{
    ArtefactMismatch, BundleRef, Channel, Current, DocumentError, DocumentKind, Entry, EntryChange, HostArtefact,
    InvalidDocumentName, MAX_ENTRIES, MAX_HOST_BYTES, MAX_LIFETIME, MAX_ROLLOUT_LIFETIME, MAX_SEQ, MAX_SOURCE_BYTES,
    MAX_SOURCES, MissingSignatures, NotYet, NoteError, Release, Role, RoleChange, Roles, Rollout, RolloutOrder, Root,
    RootChange, RootPublisher, Selector, SignedDocument, StateError, SwarmId, Taken, TrustState, TrustedHostArtefact,
    TrustedRelease, TrustedRollout, TrustedRoot, WHOLE, WrongBundle, bucket, sign_note,
};
pub use envelope::{EnvelopeError, MAX_ENVELOPE_BYTES, MAX_SIGNATURES, PAYLOAD_TYPE, pre_authentication_encoding};
pub use imports::UndeclaredImport;
pub use json::{JsonError, MAX_JSON_DEPTH, MAX_JSON_NUMBER};
pub use key::{KeyError, KeyId, PublicKey, SigningKey};
pub use manifest::{ComponentRef, MANIFEST_FORMAT, Manifest, ManifestError, Probe, WORLD};
pub use name::{InvalidSkillName, check_skill_name};
pub use pack::{PackError, SignedBundle, UnsignedBundle, pack};
pub use parts::BundleParts;
pub use shape::{ComponentShape, ShapeError, inspect_component};
pub use skill_toml::{SkillToml, SkillTomlError};
pub use trust::{Publisher, Trust, TrustError};
pub use unverified::{BundleError, ClaimedManifest, UnverifiedBundle};
pub use verify::{VerifiedBundle, VerifyError};
