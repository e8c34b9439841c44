//! A token in memory: shown by nothing, wiped when it goes.

use std::fmt;

use zeroize::Zeroizing;

/// A secret that travels as a bearer token. Not shown by `Debug`, not serialized.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// A text that cannot be a bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no token (1 to 512 printable ASCII characters without spaces)")]
pub struct InvalidToken;

impl Token {
    /// Checks that it fits into a header.
    ///
    /// # Errors
    /// When it does not.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let fits = (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(InvalidToken)
        }
    }

    /// The token itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), other.0.as_bytes()).into()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_shows_itself_only_when_asked() {
        let token = Token::new("s3cret").unwrap();
        assert_eq!(token.reveal(), "s3cret");
        assert!(!format!("{token:?}").contains("s3cret"));
        for wrong in ["", "a b", "a\nb", "ä", &"x".repeat(513)] {
            assert_eq!(Token::new(wrong), Err(InvalidToken));
        }
    }
}
