//! Refusals on their way to the guest. It only changes their shape.

use super::Refusal;
use crate::backend::BackendError;
use crate::bindings::{GuestError, GuestRefusal};
use crate::stop::Stop;

impl crate::bindings::venom::skill::errors::Host for crate::state::CallState {}

impl From<Refusal> for GuestError {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(GuestRefusal {
            capability: refusal.capability.to_owned(),
            target: refusal.target,
            reason: refusal.reason,
            missing_grant: refusal.missing_grant,
        })
    }
}

impl From<BackendError> for GuestError {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Unavailable(text) => Self::Unavailable(text),
            BackendError::NotFound(text) => Self::NotFound(text),
            BackendError::Limit(text) => Self::Limit(text),
            BackendError::Invalid(text) => Self::InvalidParams(text),
        }
    }
}

impl From<Stop> for GuestError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Budget { .. } => Self::Limit(stop.to_string()),
            Stop::Cancelled => Self::Cancelled,
            Stop::Deadline => Self::TimedOut(stop.to_string()),
            Stop::Replaced => Self::Unavailable(stop.to_string()),
        }
    }
}
