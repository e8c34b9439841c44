//! The `cache` interface: the skill's own namespace (or a shared one, when granted) of the backend. A skill can
//! name keys, never a namespace.

use std::time::Duration;

use super::Refusal;
use super::refusal::policy_key;
use crate::bindings::GuestError;
use crate::bindings::venom::skill::cache::Host;
use crate::rights::CacheShare;
use crate::state::CallState;

/// Longest key.
const MAX_KEY: usize = 1_024;

impl CallState {
    fn cache(&self, key: &str) -> Result<&CacheShare, GuestError> {
        if key.is_empty() || key.len() > MAX_KEY {
            let length = key.len();
            return Err(GuestError::InvalidParams(format!(
                "a cache key has 1 to {MAX_KEY} bytes, this one {length}"
            )));
        }
        self.rights.cache.as_ref().ok_or_else(|| {
            let skill = policy_key(&self.rights.skill);
            GuestError::from(Refusal {
                capability: "cache",
                target: key.to_owned(),
                reason: "no cache is granted".to_owned(),
                missing_grant: format!("[skills.{skill}.cache]\nquota = \"1MiB\""),
            })
        })
    }
}

impl Host for CallState {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, GuestError> {
        let share = self.cache(&key)?;
        Ok(self
            .rights
            .backends
            .cache
            .get(&self.hive_caller(), &share.namespace, &key)
            .await?)
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_seconds: u32) -> Result<(), GuestError> {
        let share = self.cache(&key)?;
        let asked = Duration::from_secs(ttl_seconds.into());
        let ttl = if asked.is_zero() {
            share.max_ttl
        } else {
            asked.min(share.max_ttl)
        };
        Ok(self
            .rights
            .backends
            .cache
            .set(&self.hive_caller(), &share.namespace, &key, value, ttl)
            .await?)
    }

    async fn delete(&mut self, key: String) -> Result<bool, GuestError> {
        let share = self.cache(&key)?;
        Ok(self
            .rights
            .backends
            .cache
            .delete(&self.hive_caller(), &share.namespace, &key)
            .await?)
    }

    async fn ttl(&mut self, key: String) -> Result<Option<u32>, GuestError> {
        let share = self.cache(&key)?;
        let left = self
            .rights
            .backends
            .cache
            .ttl(&self.hive_caller(), &share.namespace, &key)
            .await?;
        // Rounded up: an entry that is there has at least one second.
        Ok(left.map(|left| u32::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)))
    }
}
