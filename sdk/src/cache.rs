//! A key/value store shared by calls of the same skill, with a quota. Typed values travel as JSON; the
//! `_bytes` functions carry bytes as they are.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, answer, host};

/// A value; none when the key is absent or expired. Fails when what is stored is no `T`.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    get_bytes(key)?.map_or(Ok(None), |bytes| {
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|cause| Error::Failed(format!("cached value of `{key}` has another type: {cause}")))
    })
}

/// Stores a value for a time; none: the longest the grant allows. A part of a second counts as a whole one.
pub fn set<T: Serialize + ?Sized>(key: &str, value: &T, life: Option<Duration>) -> Result<()> {
    set_bytes(key, answer::answer(&value)?.as_bytes(), life)
}

/// As [`get`], without a type.
pub fn get_bytes(key: &str) -> Result<Option<Vec<u8>>> {
    host::cache_get(key)
}

/// As [`set`], without a type.
pub fn set_bytes(key: &str, value: &[u8], life: Option<Duration>) -> Result<()> {
    let seconds = life.map_or(0, |life| {
        let whole = life.as_secs() + u64::from(life.subsec_nanos() > 0);
        u32::try_from(whole.max(1)).unwrap_or(u32::MAX)
    });
    host::cache_set(key, value, seconds)
}

/// True when there was something to delete.
pub fn delete(key: &str) -> Result<bool> {
    host::cache_delete(key)
}

/// Time left of a key, in whole seconds; none when absent.
pub fn remaining(key: &str) -> Result<Option<Duration>> {
    Ok(host::cache_ttl(key)?.map(|seconds| Duration::from_secs(seconds.into())))
}
