//! Names of swarms and channels: what they may be, so that none needs quoting anywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de::Error};

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

impl Default for Channel {
    fn default() -> Self {
        Self("stable".to_owned())
    }
}
