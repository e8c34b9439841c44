//! Ed25519 keys: what a publisher signs with and what a trust file names. Weak and oddly encoded public keys
//! do not become a [`PublicKey`]. Files of keys are `key_file`'s work; nothing here prints a private key.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use rand::TryRng as _;
use zeroize::Zeroizing;

use crate::Digest;

/// Why a key could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or written.
    #[error("cannot {action} the key file {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is a file already; keys are never overwritten.
    #[error("{} exists already and keys are never overwritten: move it away first, or choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others could read the private key.
    #[error("the private key {} can be read by others (mode {mode:04o}): run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a PKCS#8 PEM file of an ed25519 key.
    #[error("{what} is no ed25519 private key (expected PKCS#8 PEM, `-----BEGIN PRIVATE KEY-----`)")]
    NotPrivate {
        /// The file.
        what: String,
    },
    /// Not a public key.
    #[error(
        "{what} is no ed25519 public key (expected PEM, `-----BEGIN PUBLIC KEY-----`, or the base64 of its body or of the 32 bytes)"
    )]
    NotPublic {
        /// The file, or the text, shortened.
        what: String,
    },
    /// A public key for which signatures prove nothing.
    #[error("{what} is a weak public key (small order or non-canonical), under which anyone can sign: make a new key")]
    Weak {
        /// The file, or the text, shortened.
        what: String,
    },
    /// No randomness.
    #[error("the system gave no random bytes for a new key")]
    Random,
}

/// The SHA-256 of a public key's 32 bytes: how people and revocation lists name a key. A key id found in
/// an envelope only says which key to try.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct KeyId(Digest);

impl KeyId {
    /// The digest itself.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.0
    }

    /// The first 12 hex digits, for people only.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for KeyId {
    type Err = crate::InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A public key that is neither of small order nor oddly encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From the 32 bytes of RFC 8032.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let what = || format!("`{}`", STANDARD.encode(bytes));
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotPublic { what: what() })?;
        Self::checked(key).ok_or_else(|| KeyError::Weak { what: what() })
    }

    /// From a PEM file's text, the base64 of its body, or the base64 of the 32 bytes.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let what = || format!("`{}`", text.chars().take(64).collect::<String>().replace('\n', " "));
        let key = decode(text.trim()).ok_or_else(|| KeyError::NotPublic { what: what() })?;
        Self::checked(key).ok_or_else(|| KeyError::Weak { what: what() })
    }

    /// Small-order keys verify signatures nobody made; a second encoding of one point would count as a
    /// second signer.
    fn checked(key: VerifyingKey) -> Option<Self> {
        let canonical = key.to_edwards().compress().to_bytes() == key.to_bytes();
        (canonical && !key.is_weak()).then_some(Self(key))
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// SubjectPublicKeyInfo as PEM, as `openssl pkey -pubout` writes it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }

    /// The body of the PEM file on one line: the form trust files hold.
    #[must_use]
    pub fn to_base64(&self) -> String {
        self.to_pem()
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect()
    }

    /// SHA-256 of the 32 bytes.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(&self.to_bytes()))
    }

    /// Strict verification (RFC 8032 with canonical encodings, no small-order parts).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

fn decode(text: &str) -> Option<VerifyingKey> {
    if text.starts_with("-----") {
        return VerifyingKey::from_public_key_pem(text).ok();
    }
    let bytes = STANDARD.decode(text).ok()?;
    match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(raw) => VerifyingKey::from_bytes(&raw).ok(),
        Err(_) => VerifyingKey::from_public_key_der(&bytes).ok(),
    }
}

/// A private key. Wiped from memory when dropped; never printed.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key from the system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::rngs::SysRng
            .try_fill_bytes(&mut *seed)
            .map_err(|_| KeyError::Random)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a 32-byte seed (RFC 8032's private key).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// From PKCS#8 PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(text);
        key.map(Self).map_err(|_| KeyError::NotPrivate {
            what: "the text".to_owned(),
        })
    }

    /// PKCS#8 version 1 PEM, the form that openssl reads and writes.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let bytes = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        bytes.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::NotPrivate {
            what: "the key".to_owned(),
        })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public().id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        let vectors: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../tests/vectors/rfc8032.json")).unwrap();
        assert_eq!(vectors.len(), 4);
        for vector in vectors {
            let field = |name: &str| bytes(vector[name].as_str().unwrap());
            let (message, signature) = (field("message"), <[u8; 64]>::try_from(field("signature")).unwrap());
            let key = SigningKey::from_seed(&field("secret").try_into().unwrap());
            assert_eq!(
                key.public().to_bytes().as_slice(),
                field("public"),
                "{}",
                vector["name"]
            );
            assert_eq!(key.sign(&message), signature, "{}", vector["name"]);
            let public = PublicKey::from_bytes(&field("public").try_into().unwrap()).unwrap();
            assert!(public.verifies(&message, &signature), "{}", vector["name"]);
            assert!(
                !public.verifies(&[message.as_slice(), b"x"].concat(), &signature),
                "{}",
                vector["name"]
            );
        }
    }

    #[test]
    fn wycheproof_agrees_on_every_signature() {
        #[derive(serde::Deserialize)]
        struct Vectors {
            tests: Vec<(u32, String, String, String, String)>,
        }
        let text = include_str!("../tests/vectors/wycheproof_ed25519.json");
        let Vectors { tests } = serde_json::from_str(text).unwrap();
        let mut counts = [0, 0];
        for (id, result, key, message, signature) in tests {
            let key = PublicKey::from_bytes(&bytes(&key).try_into().unwrap()).unwrap();
            // Signatures of another length never get this far; the envelope refuses them.
            let signature = <[u8; 64]>::try_from(bytes(&signature));
            let verifies = signature.is_ok_and(|signature| key.verifies(&bytes(&message), &signature));
            assert_eq!(verifies, result == "valid", "test {id}");
            counts[usize::from(verifies)] += 1;
        }
        assert_eq!(counts, [63, 88], "invalid and valid vectors");
    }

    /// `S + L` verifies where a verifier is not strict: a second signature that nobody made.
    #[test]
    fn a_signature_has_one_form_only() {
        const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let key = SigningKey::from_seed(&[1; 32]);
        let good = key.sign(b"message");
        let mut other = good;
        let mut carry = 0;
        for (byte, order) in other[32..].iter_mut().zip(bytes(L)) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            (*byte, carry) = ((sum & 0xff) as u8, sum >> 8);
        }
        assert!(key.public().verifies(b"message", &good) && !key.public().verifies(b"message", &other));
    }
}
