//! Why something about releases was not done. Mapped to HTTP in `api/problem.rs`.

use std::time::Duration;

use venom_broker::BrokerError;
use venom_bundle::{BundleError, DocumentError, StateError, VerifyError};

/// Why something about releases was not done; each with what to do where that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReleaseError {
    /// No document, bundle or plan.
    #[error("{0}")]
    Malformed(String),
    /// Not signed by whom it must be.
    #[error("{0}")]
    NotTrusted(String),
    /// It is not here.
    #[error("{0}")]
    Unknown(String),
    /// Older than what is here, or not what follows it.
    #[error("{0}")]
    Conflict(String),
    /// Two documents of one number.
    #[error("{0}")]
    Alarm(String),
    /// A body over the limit, in bytes.
    #[error("the body is over the limit of {0} bytes")]
    TooBig(u64),
    /// Rightly signed, and still not to be installed as it is.
    #[error("{0}")]
    Unfit(String),
    /// Too much at one time.
    #[error("{why}")]
    Busy {
        /// What is too much.
        why: String,
        /// When to come back.
        after: Duration,
    },
    /// Something an operator must do first.
    #[error("{0}")]
    NotReady(String),
    /// The quota is used up.
    #[error("{0}")]
    Full(String),
    /// The broker did not do it.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The disk did not do it.
    #[error("{0}")]
    Disk(String),
}

impl ReleaseError {
    /// Somebody tried to pass something that should not exist: for the audit.
    pub(crate) const fn is_suspicious(&self) -> bool {
        matches!(self, Self::NotTrusted(_) | Self::Alarm(_) | Self::Conflict(_))
    }

    /// Of the disk, about a file.
    pub(crate) fn disk(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let text = format!("cannot {what} {}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full(format!("{text}; free space on its disk"))
            }
            _ => Self::Disk(text),
        }
    }
}

impl From<DocumentError> for ReleaseError {
    fn from(error: DocumentError) -> Self {
        let text = error.to_string();
        match error {
            DocumentError::Envelope { .. }
            | DocumentError::Json { .. }
            | DocumentError::Fields { .. }
            | DocumentError::Value { .. } => Self::Malformed(text),
            DocumentError::TooFewKeys { .. } | DocumentError::WrongType { .. } => Self::NotTrusted(text),
            DocumentError::Elsewhere { what: "swarm", .. } => Self::NotTrusted(text),
            DocumentError::Elsewhere { .. } | DocumentError::NotNext { .. } => Self::Conflict(text),
        }
    }
}

impl From<StateError> for ReleaseError {
    fn from(error: StateError) -> Self {
        let text = error.to_string();
        match error {
            StateError::Document(error) => error.into(),
            StateError::Older { .. } | StateError::Chain { .. } => Self::Conflict(text),
            StateError::Alarm { .. } => Self::Alarm(text),
            StateError::NoRelease => Self::Unknown(text),
            StateError::Kept { .. } => Self::Disk(text),
        }
    }
}

impl From<VerifyError> for ReleaseError {
    fn from(error: VerifyError) -> Self {
        let text = error.to_string();
        match error {
            VerifyError::Unsigned
            | VerifyError::UnknownSigner { .. }
            | VerifyError::TooFewKeys { .. }
            | VerifyError::RevokedKey { .. }
            | VerifyError::WrongType { .. }
            | VerifyError::OutsidePrefix { .. }
            | VerifyError::RevokedBundle { .. } => Self::NotTrusted(text),
            VerifyError::Manifest(_)
            | VerifyError::HostVersion { .. }
            | VerifyError::ComponentSize { .. }
            | VerifyError::ComponentDigest { .. }
            | VerifyError::Shape(_) => Self::Unfit(text),
        }
    }
}

impl From<BundleError> for ReleaseError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Read { .. } => Self::Disk(error.to_string()),
            BundleError::Archive(_) | BundleError::Envelope(_) => Self::Malformed(error.to_string()),
        }
    }
}
