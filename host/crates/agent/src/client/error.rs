//! Why a nexus did not do what it was asked.

use std::time::Duration;

use reqwest::StatusCode;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("`{nexus}` is no address of a nexus: {why}")]
    Address {
        /// As it was written.
        nexus: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The trust in it cannot be set up.
    #[error(transparent)]
    Pin(#[from] crate::pin::PinError),
    /// The HTTP client cannot be made.
    #[error("the http client cannot be made")]
    Http(#[source] reqwest::Error),
    /// No token was given to this client.
    #[error("this agent has no token: register it with `venom-host agent register`")]
    NoToken,
    /// No whole answer came; what was asked may or may not have been done.
    #[error("no answer from the nexus at {nexus}: {why}")]
    Unreachable {
        /// Where it was asked.
        nexus: String,
        /// The innermost cause.
        why: String,
        /// Whether it was reached, and took too long.
        timed_out: bool,
    },
    /// It answered, and not as a nexus does: something else listens there, or stands in between.
    #[error("what answers at {nexus} is no nexus ({why}); what was sent is kept")]
    Odd {
        /// Where it was asked.
        nexus: String,
        /// What is odd.
        why: String,
    },
    /// It said no.
    #[error("the nexus at {nexus} answered {status}: {detail}")]
    Refused {
        /// Where it was asked.
        nexus: String,
        /// How.
        status: StatusCode,
        /// Why, in its words; cut to 500 characters.
        detail: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
}

impl ClientError {
    /// Whether the same may succeed later as it is.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Odd { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
                    )
            }
            _ => false,
        }
    }

    /// Whether the nexus will never take this body, whoever sends it.
    #[must_use]
    pub fn is_refused_for_good(&self) -> bool {
        matches!(
            self.status(),
            Some(
                StatusCode::BAD_REQUEST
                    | StatusCode::CONFLICT
                    | StatusCode::PAYLOAD_TOO_LARGE
                    | StatusCode::UNPROCESSABLE_ENTITY
            )
        )
    }

    /// Whether the token is not, or no longer, good.
    #[must_use]
    pub fn is_token_refused(&self) -> bool {
        self.status() == Some(StatusCode::UNAUTHORIZED)
    }

    /// Whether what was sent may be the cause, and not the state the nexus or the line is in.
    #[must_use]
    pub fn may_be_the_batch(&self) -> bool {
        match self {
            Self::Unreachable { timed_out, .. } => *timed_out,
            Self::Refused { status, .. } => !matches!(
                *status,
                StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::SERVICE_UNAVAILABLE
            ),
            _ => false,
        }
    }

    /// How it answered, when it did.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// When it wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
