//! A document and its signatures, before anybody believes it: making, signing, decoding, and counting who signed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Role;
use crate::envelope::Envelope;
use crate::{Digest, EnvelopeError, JsonError, KeyId, MAX_SIGNATURES, SigningKey, json};

/// The format this crate writes and the only one it reads, of every kind.
pub(super) const FORMAT: u32 = 1;
/// One more signature in an envelope, with its key id.
const SIGNATURE_BYTES: usize = 180;

/// The kinds of documents, each with a payload type and a size of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// Keys, roles, publishers.
    Root,
    /// Which bundles belong where.
    Release,
    /// How far a release may go now.
    Rollout,
    /// The host program itself.
    Host,
}

impl DocumentKind {
    /// The DSSE payload type: a signature over one kind never passes for another.
    #[must_use]
    pub const fn payload_type(self) -> &'static str {
        match self {
            Self::Root => "application/vnd.venom.root+json",
            Self::Release => "application/vnd.venom.release+json",
            Self::Rollout => "application/vnd.venom.rollout+json",
            Self::Host => "application/vnd.venom.host+json",
        }
    }

    /// Most bytes of its envelope.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Root | Self::Rollout | Self::Host => 64 * 1024,
            Self::Release => 256 * 1024,
        }
    }

    /// For people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Release => "release",
            Self::Rollout => "rollout",
            Self::Host => "host artefact",
        }
    }
}

/// Why a document is not believed.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// No envelope.
    #[error("not a {}: {source}", .kind.word())]
    Envelope {
        /// What was expected.
        kind: DocumentKind,
        /// What is wrong.
        #[source]
        source: EnvelopeError,
    },
    /// Not strict JSON.
    #[error("the {} is refused: {source}", .kind.word())]
    Json {
        /// Which.
        kind: DocumentKind,
        /// What is wrong.
        #[source]
        source: JsonError,
    },
    /// JSON, but not these fields.
    #[error("the {} does not have the expected fields: {problem}", .kind.word())]
    Fields {
        /// Which.
        kind: DocumentKind,
        /// What is wrong.
        problem: String,
    },
    /// Too few keys of the role.
    #[error("the {} is signed by {found} of the {needed} different keys that must sign it", .kind.word())]
    TooFewKeys {
        /// Which.
        kind: DocumentKind,
        /// Different keys of the role that signed.
        found: usize,
        /// How many must.
        needed: usize,
    },
    /// Signed as something else.
    #[error("the signed document is a `{found}`, not a {}: somebody passes one kind of document for another", .kind.word())]
    WrongType {
        /// What was expected.
        kind: DocumentKind,
        /// What it says.
        found: String,
    },
    /// For another swarm, channel, epoch or release.
    #[error("the {} is for {what} `{found}`, here it is `{expected}`", .kind.word())]
    Elsewhere {
        /// Which.
        kind: DocumentKind,
        /// `swarm`, `channel`, `epoch`, `release`.
        what: &'static str,
        /// What it says.
        found: String,
        /// What is expected.
        expected: String,
    },
    /// A root that does not follow the one before.
    #[error("root {found} does not follow root {current}: the next has version {}, and none is left out", .current + 1)]
    NotNext {
        /// Its version.
        found: u64,
        /// The version trusted now.
        current: u64,
    },
    /// A value that makes no sense.
    #[error("the {}, `{key}`: {problem}", .kind.word())]
    Value {
        /// Which.
        kind: DocumentKind,
        /// Which key.
        key: String,
        /// What is wrong and what to write.
        problem: String,
    },
}

impl DocumentError {
    pub(super) fn value(kind: DocumentKind, key: impl Into<String>, problem: impl Into<String>) -> Self {
        let (key, problem) = (key.into(), problem.into());
        Self::Value { kind, key, problem }
    }
}

/// A document with any signatures. Nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDocument {
    kind: DocumentKind,
    envelope: Envelope,
    /// Of the payload, which never changes: asked for far more often than documents come.
    digest: Digest,
}

impl SignedDocument {
    pub(super) fn of(kind: DocumentKind, document: &impl Serialize) -> Self {
        let payload = serde_json::to_vec(document).unwrap_or_default();
        Self::with(kind, Envelope::unsigned(kind.payload_type(), payload))
    }

    /// Decodes an envelope. The type inside is looked at only after the signatures.
    ///
    /// # Errors
    /// [`DocumentError::Envelope`].
    pub fn parse(kind: DocumentKind, bytes: &[u8]) -> Result<Self, DocumentError> {
        let envelope = Envelope::parse_within(bytes, kind.max_bytes())
            .map_err(|source| DocumentError::Envelope { kind, source })?;
        Ok(Self::with(kind, envelope))
    }

    fn with(kind: DocumentKind, envelope: Envelope) -> Self {
        let digest = Digest::of(&envelope.payload);
        Self { kind, envelope, digest }
    }

    /// Itself, if its readers take so large an envelope, with all the signatures that may still be added.
    pub(super) fn within_size(self) -> Result<Self, DocumentError> {
        let (kind, limit) = (self.kind, self.kind.max_bytes());
        let more = MAX_SIGNATURES.saturating_sub(self.envelope.signatures.len());
        if self.envelope.to_bytes().len() + more * SIGNATURE_BYTES > limit {
            let source = EnvelopeError::TooLarge { limit };
            return Err(DocumentError::Envelope { kind, source });
        }
        Ok(self)
    }

    /// The text of the envelope: payload, type and signatures exactly as they came, written compactly.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8(self.envelope.to_bytes()).unwrap_or_default()
    }

    /// Adds a signature; signing twice with one key leaves one signature.
    pub fn add_signature(&mut self, key: &SigningKey) {
        self.envelope.sign(key);
    }

    /// Digest of the payload: the document's id.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Key ids written beside the signatures; anyone can write any.
    #[must_use]
    pub fn key_ids(&self) -> Vec<String> {
        let ids = self.envelope.signatures.iter();
        ids.map(|signature| signature.key_id.clone()).collect()
    }

    /// The different keys of a role that signed.
    #[must_use]
    pub fn signers(&self, role: &Role) -> Vec<KeyId> {
        self.envelope.signers(role.keys.iter())
    }

    /// What it claims, for showing to people and for editing; nothing may be decided by it.
    ///
    /// # Errors
    /// When it is no such document.
    pub fn claimed<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        self.read()
    }

    /// Enough different keys of the role signed these bytes, as this kind.
    pub(super) fn check_signed(&self, role: &Role) -> Result<(), DocumentError> {
        let kind = self.kind;
        let found = self.signers(role).len();
        if found < role.threshold {
            let needed = role.threshold;
            return Err(DocumentError::TooFewKeys { kind, found, needed });
        }
        self.check_type()
    }

    pub(super) fn check_type(&self) -> Result<(), DocumentError> {
        if self.envelope.payload_type == self.kind.payload_type() {
            return Ok(());
        }
        Err(DocumentError::WrongType {
            kind: self.kind,
            found: self.envelope.payload_type.chars().take(80).collect(),
        })
    }

    /// Reads the payload strictly.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        let kind = self.kind;
        let text = json::check(&self.envelope.payload).map_err(|source| DocumentError::Json { kind, source })?;
        check_written_format(kind, text)?;
        serde_json::from_str(text).map_err(|error| DocumentError::Fields {
            kind,
            problem: error.to_string(),
        })
    }
}

/// A newer format may have fields this one does not know: say so, rather than complain about the field.
fn check_written_format(kind: DocumentKind, text: &str) -> Result<(), DocumentError> {
    #[derive(Deserialize)]
    struct Written {
        format: Option<u64>,
    }
    match serde_json::from_str(text) {
        Ok(Written { format: Some(found) }) => check_format(kind, found),
        _ => Ok(()),
    }
}

pub(super) fn check_format(kind: DocumentKind, found: impl Into<u64>) -> Result<(), DocumentError> {
    let found = found.into();
    if found == u64::from(FORMAT) {
        return Ok(());
    }
    let problem = format!("is {found}, this host reads format {FORMAT}: update the host");
    Err(DocumentError::value(kind, "format", problem))
}
