//! Notes: what a nexus writes for itself, and for the nexuses beside it, where others could change it. Signed by the
//! online key, under a payload type of its own: no spore reads one, and none passes for a document.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TrustedRoot;
use crate::envelope::Envelope;
use crate::{EnvelopeError, SigningKey};

const PAYLOAD_TYPE: &str = "application/vnd.venom.note+json";
/// Most bytes of a note.
const MAX_BYTES: usize = 64 * 1024;

/// Why a note is not believed.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// No envelope.
    #[error("not a note: {0}")]
    Envelope(#[from] EnvelopeError),
    /// Not signed by enough keys of the rollout role, or signed as something else.
    #[error("the note is not signed by the online key of the root: somebody else wrote it")]
    NotSigned,
    /// Signed, and not what was expected.
    #[error("the note does not have the expected fields: {problem}")]
    Fields {
        /// What is wrong.
        problem: String,
    },
}

/// Writes a note.
#[must_use]
pub fn sign_note(note: &impl Serialize, key: &SigningKey) -> String {
    let payload = serde_json::to_vec(note).unwrap_or_default();
    let mut envelope = Envelope::unsigned(PAYLOAD_TYPE, payload);
    envelope.sign(key);
    String::from_utf8(envelope.to_bytes()).unwrap_or_default()
}

impl TrustedRoot {
    /// Reads a note that enough rollout keys of this root signed.
    ///
    /// # Errors
    /// [`NoteError`] says why not.
    pub fn note<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, NoteError> {
        let envelope = Envelope::parse_within(bytes, MAX_BYTES)?;
        let role = &self.root().roles.rollout;
        let signers = envelope.signers(role.keys.iter());
        if signers.len() < role.threshold || envelope.payload_type != PAYLOAD_TYPE {
            return Err(NoteError::NotSigned);
        }
        serde_json::from_slice(&envelope.payload).map_err(|error| NoteError::Fields {
            problem: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use venom_protocol::Timestamp;

    use super::*;
    use crate::{DocumentKind, Root, SignedDocument, SwarmId};

    fn root(online: &SigningKey) -> TrustedRoot {
        let key = SigningKey::from_seed(&[1; 32]);
        let day = |text| Timestamp::parse(text).unwrap();
        let (today, later) = (day("2026-01-01T00:00:00Z"), day("2036-01-01T00:00:00Z"));
        let id = "swarm".parse::<SwarmId>().unwrap();
        let mut signed = Root::first(id, &key.public(), &online.public(), today, later).unsigned();
        signed.add_signature(&key);
        TrustedRoot::pin(signed.to_text().as_bytes()).unwrap()
    }

    #[test]
    fn a_note_is_read_under_the_root_whose_online_key_signed_it_and_under_no_other() {
        let (ours, theirs) = (SigningKey::from_seed(&[2; 32]), SigningKey::from_seed(&[3; 32]));
        let text = sign_note(&json!({ "turn": 7 }), &ours);
        let read = |root: &TrustedRoot, text: &str| root.note::<Value>(text.as_bytes());
        assert_eq!(read(&root(&ours), &text).unwrap(), json!({ "turn": 7 }));
        assert!(matches!(read(&root(&theirs), &text), Err(NoteError::NotSigned)));
        assert!(matches!(read(&root(&ours), "{}"), Err(NoteError::Envelope(_))));
        let wrong = root(&ours).note::<Vec<u8>>(text.as_bytes());
        assert!(matches!(wrong, Err(NoteError::Fields { .. })));
    }

    #[test]
    fn no_document_passes_for_a_note_and_no_note_for_a_document() {
        let ours = SigningKey::from_seed(&[2; 32]);
        let root = root(&ours);
        let mut document = root.root().unsigned();
        document.add_signature(&ours);
        let read = root.note::<Value>(document.to_text().as_bytes());
        assert!(matches!(read, Err(NoteError::NotSigned)));
        let note = sign_note(root.root(), &SigningKey::from_seed(&[1; 32]));
        assert!(SignedDocument::parse(DocumentKind::Root, note.as_bytes()).is_ok());
        assert!(TrustedRoot::pin(note.as_bytes()).is_err());
    }
}
