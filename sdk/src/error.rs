//! How a skill fails: the WIT variant `venom:skill/errors.error` as a Rust error, with `?` for common causes.
//! Decides nothing itself.

use std::fmt;
use std::io;

/// `std::result::Result` with [`Error`] filled in.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How a call fails, in either direction: a skill returns it, and every host call returns it to the skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The skill has no such method. Carries the name asked for.
    UnknownMethod(String),
    /// The parameters do not fit the method. Names the parameter and what was expected.
    InvalidParams(String),
    /// The sandbox refused a capability.
    Denied(Box<Refusal>),
    /// A thing the call named does not exist.
    NotFound(String),
    /// A budget ran out. Names the budget and its limit.
    Limit(String),
    /// A deadline passed.
    TimedOut(String),
    /// The caller went away or cancelled.
    Cancelled,
    /// Something needed is not there now; trying again later may work.
    Unavailable(String),
    /// The work itself failed. The text is what the caller sees.
    Failed(String),
}

/// What the sandbox refused, and what an operator would have to write to allow it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// `fs`, `command`, `net`, `dns`, `http`, `env`, `config`, `secret`, `cache`, `hive` or `lan`.
    pub capability: String,
    /// A path, a program, `host:port`, a key.
    pub target: String,
    /// Why, for people.
    pub reason: String,
    /// The policy entry that would grant it, as TOML; empty when nothing can.
    pub missing_grant: String,
}

impl Error {
    /// The work failed; `reason` is what the caller sees.
    pub fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// The caller's parameters make no sense together, or hold a value out of range.
    pub fn invalid_params(reason: impl fmt::Display) -> Self {
        Self::InvalidParams(reason.to_string())
    }

    /// The thing named does not exist.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::NotFound(what.to_string())
    }

    /// Trying the same call again later may work.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimedOut(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMethod(name) => write!(f, "unknown method `{name}`"),
            Self::Denied(refusal) => refusal.fmt(f),
            Self::Limit(what) => write!(f, "limit reached: {what}"),
            Self::TimedOut(what) => write!(f, "timed out: {what}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::NotFound(what) => write!(f, "not found: {what}"),
            Self::Unavailable(what) => write!(f, "not available now: {what}"),
            Self::InvalidParams(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            capability,
            target,
            reason,
            missing_grant,
        } = self;
        write!(f, "{capability} denied")?;
        if !target.is_empty() {
            write!(f, " for `{target}`")?;
        }
        if !reason.is_empty() {
            write!(f, ": {reason}")?;
        }
        if !missing_grant.is_empty() {
            write!(f, "; it would take this grant: {missing_grant}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(Box::new(refusal))
    }
}

/// Input and output errors keep their meaning: refused, missing, timed out, over quota, or failed.
impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Refusal {
                capability: "fs".to_owned(),
                reason: cause.to_string(),
                ..Refusal::default()
            }
            .into(),
            io::ErrorKind::NotFound => Self::NotFound(cause.to_string()),
            io::ErrorKind::TimedOut => Self::TimedOut(cause.to_string()),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Limit(cause.to_string()),
            _ => Self::Failed(cause.to_string()),
        }
    }
}

macro_rules! fails_with {
    ($($cause:ty),* $(,)?) => {
        $(impl From<$cause> for Error {
            fn from(cause: $cause) -> Self {
                Self::Failed(cause.to_string())
            }
        })*
    };
}

fails_with!(
    &str,
    String,
    serde_json::Error,
    fmt::Error,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::num::ParseIntError,
    std::num::ParseFloatError,
    std::num::TryFromIntError,
    std::net::AddrParseError,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_keep_their_meaning() {
        let denied = Error::from(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(
            matches!(&denied, Error::Denied(refusal) if refusal.capability == "fs"),
            "{denied:?}"
        );
        assert!(denied.to_string().starts_with("fs denied: "), "{denied}");
        assert!(matches!(
            Error::from(io::Error::from(io::ErrorKind::NotFound)),
            Error::NotFound(_)
        ));
        assert!(matches!(
            Error::from(io::Error::from(io::ErrorKind::StorageFull)),
            Error::Limit(_)
        ));
        assert!(matches!(
            Error::from(io::Error::from(io::ErrorKind::TimedOut)),
            Error::TimedOut(_)
        ));
        assert!(matches!(Error::from(io::Error::other("odd")), Error::Failed(text) if text == "odd"));
    }

    #[test]
    fn a_refusal_says_what_would_grant_it() {
        let refusal = Refusal {
            capability: "command".to_owned(),
            target: "rm".to_owned(),
            reason: "not granted".to_owned(),
            missing_grant: "commands = [{ name = \"rm\" }]".to_owned(),
        };
        assert_eq!(
            Error::from(refusal).to_string(),
            "command denied for `rm`: not granted; it would take this grant: commands = [{ name = \"rm\" }]"
        );
    }

    #[test]
    fn only_passing_troubles_are_worth_a_retry() {
        assert!(Error::Unavailable(String::new()).is_retryable());
        assert!(Error::TimedOut(String::new()).is_retryable());
        assert!(!Error::failed("no").is_retryable());
        assert!(!Error::Cancelled.is_retryable());
    }
}
