//! Who may come in.

use sha2::{Digest, Sha256};

/// SHA-256 of a token's text: what is kept and compared.
pub(crate) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
