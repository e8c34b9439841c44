//! The span of time a document is good for, as its maker wrote it. Nothing here asks a clock: whether that time is over
//! is decided where a document is used.

use jiff::SignedDuration;
use venom_protocol::Timestamp;

use super::{DocumentError, DocumentKind};

/// Longest life of a root, a release or a host artefact. Nobody keeps a key that long: more is a slip of the keyboard, or
/// somebody who wants what is signed today to be good for ever.
pub const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 366 * 24);
/// Longest life of a rollout: what the online key signs is gone a month after the key is taken away.
pub const MAX_ROLLOUT_LIFETIME: SignedDuration = SignedDuration::from_hours(31 * 24);
/// 2020: nothing of this kind was made before. A clock that says so has lost its battery.
const FIRST: jiff::Timestamp = jiff::Timestamp::constant(1_577_836_800, 0);

/// From when to when, with the names of both keys.
pub(super) struct Span {
    pub(super) kind: DocumentKind,
    pub(super) begins: (&'static str, Timestamp),
    /// Absent: for as long as the root is good.
    pub(super) expires: Option<Timestamp>,
    pub(super) longest: SignedDuration,
}

impl Span {
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        let (key, begins) = self.begins;
        let bad = |key, problem: String| Err(DocumentError::value(self.kind, key, problem));
        if begins.0 < FIRST {
            return bad(key, format!("is {begins}, before 2020: set the clock of its maker"));
        }
        let Some(expires) = self.expires else {
            return Ok(());
        };
        if expires <= begins {
            return bad("expires", format!("is not after `{key}`"));
        }
        let longest = self.longest.as_hours() / 24;
        if expires.0.duration_since(begins.0) > self.longest {
            return bad(
                "expires",
                format!("is more than {longest} days after `{key}`: write an earlier time"),
            );
        }
        Ok(())
    }
}
