//! The tokens this nexus knows, as digests.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::digest;
use crate::{Scope, Secret, TokenRecord};

/// Operator tokens and the shared token of the spores.
pub(crate) struct Keyring {
    operators: Vec<TokenRecord>,
    spores: Option<[u8; 32]>,
}

/// A token that was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder<'a> {
    /// Which record, for rate limits.
    pub(crate) index: u32,
    /// Its name, for logs.
    pub(crate) name: &'a str,
    /// What it allows.
    pub(crate) scope: Scope,
}

/// What came of a spore's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SporeToken {
    /// It may register.
    Right,
    /// It may not.
    Wrong,
    /// Nobody may: no token is configured.
    Closed,
}

impl Keyring {
    /// Keeps digests only.
    pub(crate) fn new(operators: Vec<TokenRecord>, shared: Option<&Secret>) -> Self {
        Self {
            operators,
            spores: shared.map(|token| digest(token.expose())),
        }
    }

    /// Finds whose token it is. Takes the same time for every known and unknown token: all records are
    /// compared, and the choice is made without a branch.
    pub(crate) fn holder(&self, token: &str) -> Option<Holder<'_>> {
        let presented = digest(token);
        let mut found = u32::MAX;
        for (record, index) in self.operators.iter().zip(0_u32..) {
            let same: Choice = record.sha256.ct_eq(&presented);
            found.conditional_assign(&index, same);
        }
        let record = self.operators.get(usize::try_from(found).ok()?)?;
        Some(Holder {
            index: found,
            name: &record.name,
            scope: record.scope,
        })
    }

    /// Judges the token of a handshake.
    pub(crate) fn judge_spore(&self, token: &str) -> SporeToken {
        match &self.spores {
            None => SporeToken::Closed,
            Some(expected) if bool::from(expected.ct_eq(&digest(token))) => SporeToken::Right,
            Some(_) => SporeToken::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring() -> Keyring {
        let operators = vec![
            TokenRecord::of("look", Scope::Viewer, "token-a"),
            TokenRecord::of("run", Scope::Operator, "token-b"),
        ];
        Keyring::new(operators, Some(&Secret::new("spore-token")))
    }

    #[test]
    fn finds_the_holder_of_a_token() {
        let keyring = keyring();
        assert_eq!(
            keyring.holder("token-b").map(|h| (h.name, h.scope, h.index)),
            Some(("run", Scope::Operator, 1))
        );
        assert_eq!(keyring.holder("token-a").map(|h| h.scope), Some(Scope::Viewer));
        assert_eq!(keyring.holder("token-c"), None);
        assert_eq!(keyring.holder(""), None);
    }

    #[test]
    fn a_spores_token_is_no_operators_token() {
        assert_eq!(keyring().holder("spore-token"), None);
        assert_eq!(keyring().judge_spore("token-b"), SporeToken::Wrong);
    }

    #[test]
    fn no_token_configured_is_closed() {
        let keyring = Keyring::new(Vec::new(), None);
        assert_eq!(keyring.judge_spore(""), SporeToken::Closed);
        assert_eq!(self::keyring().judge_spore("spore-token"), SporeToken::Right);
    }
}
