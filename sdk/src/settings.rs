//! Settings the operator gave this skill. Secrets are never readable: the host writes them into outgoing
//! HTTP headers in place of a [`Placeholder`], and only for the hosts the operator named.

use std::fmt;

use crate::{Result, host};

/// A plain setting; none when absent. [`crate::Error::Denied`] when the key is not granted.
pub fn config(key: &str) -> Result<Option<String>> {
    host::config(key)
}

/// A placeholder for a secret, to be put into a header of an outgoing HTTP request during this call.
pub fn secret(name: &str) -> Result<Placeholder> {
    host::secret(name).map(Placeholder)
}

/// Stands for a secret. Its text is worth nothing outside this call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder(String);

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
