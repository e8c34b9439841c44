//! Who may come in: credentials, scopes, limits, and the door that asks for them.
//!
//! Tokens are compared as SHA-256 digests in constant time; plain text is neither kept nor logged.

pub(crate) mod agent;
pub(crate) mod credentials;
pub(crate) mod door;
pub(crate) mod keyring;
pub(crate) mod limits;
mod origin;

use sha2::{Digest, Sha256};

/// SHA-256 of a token's text: what is kept and compared.
pub(crate) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
