//! Results on their way out: any `Serialize` to JSON text. Never looks at what it carries.

use serde::Serialize;

use crate::{Error, Result};

/// The JSON text of a result.
pub fn answer<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|cause| Error::Failed(format!("the result is not JSON: {cause}")))
}
