//! Ids as newtypes, so that a node is never taken for a request.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what} (expected a UUID such as 6fa459ea-ee8a-4ca4-894e-db77e160355e)")]
pub struct InvalidId {
    /// What was expected.
    pub what: &'static str,
    /// What came.
    pub text: String,
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new random id (UUID v4).
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId {
                    what: $what,
                    text: text.chars().take(64).collect(),
                })
            }
        }
    };
}

id!(
    /// A spore's identity, made by the spore, kept in its data directory, reused when it reconnects.
    NodeId,
    "node id"
);
id!(
    /// One task. Made by the nexus that takes it in with [`TaskId::next`]: ids made later sort later, so that
    /// stores append.
    TaskId,
    "task id"
);
id!(
    /// One run of a nexus: a new one for each start of the process.
    SessionId,
    "session id"
);
id!(
    /// One call, made by the nexus.
    RequestId,
    "request id"
);

impl TaskId {
    /// A new id that sorts after those made before (UUID v7).
    #[must_use]
    pub fn next() -> Self {
        Self(Uuid::now_v7())
    }
}
