//! DSSE envelopes (<https://github.com/secure-systems-lab/dsse>, v1): exact payload bytes, their type and
//! signatures over both. Says which known keys signed; never parses the payload and never trusts a key id.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::{JsonError, KeyId, PublicKey, SigningKey, json};

/// Type of a bundle's payload.
pub const PAYLOAD_TYPE: &str = "application/vnd.venom.bundle+json";
/// Largest envelope of a bundle.
pub const MAX_ENVELOPE_BYTES: usize = 64 * 1024;
/// Most signatures of one envelope.
pub const MAX_SIGNATURES: usize = 16;

/// Why bytes are no envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Too large.
    #[error("the envelope has more than {limit} bytes")]
    TooLarge {
        /// The cap for its kind.
        limit: usize,
    },
    /// Not strict JSON.
    #[error("the envelope is refused: {0}")]
    Json(#[from] JsonError),
    /// JSON, but no DSSE envelope.
    #[error("the envelope does not have the fields of DSSE: {0}")]
    Fields(String),
    /// Too many signatures.
    #[error("the envelope has {count} signatures, at most {MAX_SIGNATURES} are taken")]
    TooManySignatures {
        /// How many it has.
        count: usize,
    },
    /// Not base64.
    #[error("the envelope's `{field}` is not standard base64")]
    Base64 {
        /// Which field.
        field: &'static str,
    },
    /// Not 64 bytes.
    #[error("a signature of the envelope has {length} bytes, ed25519 signatures have 64")]
    SignatureLength {
        /// What it has.
        length: usize,
    },
}

/// The bytes that are signed: `DSSEv1 <len> <type> <len> <payload>`, lengths in decimal. Covers the type,
/// so a signature over one kind of document never passes for another.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// One signature and the key id written beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvelopeSignature {
    /// A hint from outside; empty when absent.
    pub(crate) key_id: String,
    pub(crate) signature: [u8; 64],
}

/// A decoded envelope. Nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) payload_type: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<WrittenSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSignature {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keyid: String,
    sig: String,
}

impl Envelope {
    pub(crate) fn unsigned(payload_type: &str, payload: Vec<u8>) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures: Vec::new(),
        }
    }

    /// Decodes the envelope of a bundle; the payload stays bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Self::parse_within(bytes, MAX_ENVELOPE_BYTES)
    }

    /// Decodes an envelope of at most `limit` bytes.
    pub(crate) fn parse_within(bytes: &[u8], limit: usize) -> Result<Self, EnvelopeError> {
        if bytes.len() > limit {
            return Err(EnvelopeError::TooLarge { limit });
        }
        let text = json::check(bytes)?;
        let written: Written = serde_json::from_str(text).map_err(|error| EnvelopeError::Fields(error.to_string()))?;
        if written.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::TooManySignatures {
                count: written.signatures.len(),
            });
        }
        Ok(Self {
            payload_type: written.payload_type,
            payload: STANDARD
                .decode(&written.payload)
                .map_err(|_| EnvelopeError::Base64 { field: "payload" })?,
            signatures: written
                .signatures
                .iter()
                .map(WrittenSignature::decode)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Compact JSON, always the same bytes for the same envelope.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let written = Written {
            payload_type: self.payload_type.clone(),
            payload: STANDARD.encode(&self.payload),
            signatures: self.signatures.iter().map(WrittenSignature::encode).collect(),
        };
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Signs with `key`; a signature of the same key is replaced, not doubled.
    pub(crate) fn sign(&mut self, key: &SigningKey) {
        let message = pre_authentication_encoding(&self.payload_type, &self.payload);
        let key_id = key.public().id().to_string();
        self.signatures.retain(|signature| signature.key_id != key_id);
        self.signatures.push(EnvelopeSignature {
            key_id,
            signature: key.sign(&message),
        });
    }

    /// The distinct keys among `known` that signed. A key counts once however often it signed, and a
    /// signature counts for the key that made it, whatever its key id says; a key id that names
    /// another key makes the signature worthless, so that altering one never goes unnoticed.
    pub(crate) fn signers<'a>(&self, known: impl Iterator<Item = &'a PublicKey>) -> Vec<KeyId> {
        let message = pre_authentication_encoding(&self.payload_type, &self.payload);
        let mut signers: Vec<KeyId> = known
            .filter(|key| {
                let id = key.id().to_string();
                let mine = |signature: &&EnvelopeSignature| signature.key_id.is_empty() || signature.key_id == id;
                self.signatures
                    .iter()
                    .filter(mine)
                    .any(|signature| key.verifies(&message, &signature.signature))
            })
            .map(PublicKey::id)
            .collect();
        signers.sort_unstable();
        signers.dedup();
        signers
    }
}

impl WrittenSignature {
    fn decode(&self) -> Result<EnvelopeSignature, EnvelopeError> {
        let bytes = STANDARD
            .decode(&self.sig)
            .map_err(|_| EnvelopeError::Base64 { field: "sig" })?;
        let length = bytes.len();
        let signature = bytes
            .try_into()
            .map_err(|_| EnvelopeError::SignatureLength { length })?;
        Ok(EnvelopeSignature {
            key_id: self.keyid.clone(),
            signature,
        })
    }

    fn encode(signature: &EnvelopeSignature) -> Self {
        Self {
            keyid: signature.key_id.clone(),
            sig: STANDARD.encode(signature.signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        key: String,
        secret: String,
        public: String,
        payload_type: String,
        payload: String,
        pae_sha256: String,
        signature: String,
    }

    /// Made with OpenSSL 3.0 (`openssl pkeyutl -sign -rawin`) and the keys of RFC 8032 over pre-authentication encodings
    /// written by hand; the first payload is the example of the DSSE specification.
    #[test]
    fn envelopes_are_signed_as_others_sign_them() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../tests/vectors/dsse_ed25519.json")).unwrap();
        assert_eq!(vectors.len(), 8);
        for vector in vectors {
            let name = format!("{}, {:?}", vector.key, vector.payload_type);
            let payload = STANDARD.decode(&vector.payload).unwrap();
            let encoded = pre_authentication_encoding(&vector.payload_type, &payload);
            assert_eq!(crate::Digest::of(&encoded).to_string(), vector.pae_sha256, "{name}");
            let secret: crate::Digest = vector.secret.parse().unwrap();
            let public: crate::Digest = vector.public.parse().unwrap();
            let (key, known) = (
                SigningKey::from_seed(secret.as_bytes()),
                [PublicKey::from_bytes(public.as_bytes()).unwrap()],
            );
            let mut ours = Envelope::unsigned(&vector.payload_type, payload);
            ours.sign(&key);
            assert_eq!(
                STANDARD.encode(ours.signatures[0].signature),
                vector.signature,
                "{name}"
            );
            let text = serde_json::json!({
                "payloadType": vector.payload_type, "payload": vector.payload,
                "signatures": [{"keyid": "", "sig": vector.signature}],
            });
            let mut theirs = Envelope::parse(text.to_string().as_bytes()).unwrap();
            assert_eq!(theirs.signers(known.iter()), [key.public().id()], "{name}");
            theirs.payload_type.push(' ');
            assert_eq!(theirs.signers(known.iter()), [], "{name}");
        }
    }
}
