//! Names of swarms and channels: what they may be, so that none needs quoting anywhere.

use std::fmt;
use std::str::FromStr;

use rand::TryRng as _;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::KeyError;

/// A text that is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: 1 to {most} of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit")]
pub struct InvalidDocumentName {
    text: String,
    what: &'static str,
    most: usize,
}

fn check(text: &str, what: &'static str, most: usize) -> Result<(), InvalidDocumentName> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let begins = text.bytes().next().is_some_and(plain);
    let fits = text.len() <= most && text.bytes().all(|byte| plain(byte) || b"._-".contains(&byte));
    if begins && fits {
        return Ok(());
    }
    Err(InvalidDocumentName {
        text: text.chars().take(80).collect(),
        what,
        most,
    })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $most:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidDocumentName;

            fn from_str(text: &str) -> Result<Self, InvalidDocumentName> {
                check(text, $what, $most)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

name!(
    /// Which swarm a document is for: no document of one swarm is taken by another.
    SwarmId,
    "swarm id",
    64
);
name!(
    /// Which line of releases a spore follows: `stable`, `canary`.
    Channel,
    "channel",
    32
);

impl SwarmId {
    /// A new one that no other swarm has: 128 random bits as hex digits.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0_u8; 16];
        rand::rngs::SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|_| KeyError::Random)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self("stable".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quoting_anywhere() {
        for good in ["a", "0", "stable", "my-swarm_1.example", &"a".repeat(32)] {
            good.parse::<Channel>().unwrap();
            good.parse::<SwarmId>().unwrap();
        }
        for bad in [
            "",
            "A",
            "-a",
            ".",
            "..",
            "a/b",
            "a b",
            "a\n",
            "\u{430}",
            "a:b",
            "*",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<SwarmId>().is_err(), "{bad:?}");
            assert!(serde_json::from_value::<Channel>(bad.into()).is_err(), "{bad:?}");
        }
        assert!("a".repeat(33).parse::<Channel>().is_err());
        assert_eq!(Channel::default().as_str().parse(), Ok(Channel::default()));
    }

    #[test]
    fn new_swarms_have_ids_of_their_own() {
        let (one, two) = (SwarmId::generate().unwrap(), SwarmId::generate().unwrap());
        assert!(one != two && one.as_str().len() == 32, "{one} {two}");
        assert_eq!(one.as_str().parse(), Ok(one));
    }
}
