//! How lists, maps and flags are kept: JSON text, 0 or 1.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::FleetError;

/// A list or a map as text.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Result<String, FleetError> {
    serde_json::to_string(value).map_err(|error| FleetError::Corrupt(error.to_string()))
}

/// What [`json`] wrote; `what` says which column it is.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, FleetError> {
    serde_json::from_str(text).map_err(|error| FleetError::Corrupt(format!("{what}: {error}")))
}

/// A count as it is bound.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as it was read.
pub(crate) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
