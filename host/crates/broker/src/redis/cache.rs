//! The shared cache.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::RedisBroker;
use super::ask::millis;
use crate::{Answer, BrokerError};

/// Rounds of making room, each up to 4,000 expired entries; then the write is refused rather than never done.
const ROUNDS: usize = 1_000;

/// First part of the keys of a namespace. The length keeps `a` + `b:c` from `a:b` + `c`.
fn namespace_key(namespace: &str) -> String {
    format!("cache:{}:{namespace}", namespace.len())
}

impl RedisBroker {
    pub(super) async fn cached(&self, namespace: &str, key: &str) -> Answer<Option<(Vec<u8>, Duration)>> {
        let key = self.key(&format!("{}:v:{key}", namespace_key(namespace)));
        let mut both = Pipeline::with_capacity(2);
        both.get(&key).pttl(&key);
        let reader = self.reader();
        let [value, left] = self.commands(&both).await?.try_into().map_err(|_| reader.odd())?;
        let Value::BulkString(value) = value else {
            return Ok(None);
        };
        // below zero: it expired between the two
        let left = u64::try_from(reader.number(left)?).ok();
        Ok(left.map(|left| (value, Duration::from_millis(left))))
    }

    pub(super) async fn cache(
        &self,
        namespace: &str,
        quota: u64,
        key: &str,
        value: &[u8],
        ttl: Duration,
    ) -> Answer<()> {
        let mut call = self.call(&self.scripts.cache, 5, namespace.len() + key.len() + value.len() + 64);
        call.arg(namespace_key(namespace))
            .arg(quota)
            .arg(key)
            .arg(value)
            .arg(millis(ttl).max(1));
        let reader = self.reader();
        for _ in 0..ROUNDS {
            let answer = self.run(&self.quick, &self.scripts.cache, &call).await?;
            let mut values = reader.list(answer)?.into_iter();
            let mut next = || values.next().ok_or_else(|| reader.odd());
            match reader.text(next()?)?.as_str() {
                "ok" => return Ok(()),
                "again" => {}
                _ => {
                    return Err(BrokerError::CacheFull {
                        namespace: namespace.to_owned(),
                        used: reader.count(next()?)?,
                        quota,
                        asked: reader.count(next()?)?,
                    });
                }
            }
        }
        Err(reader.odd())
    }

    pub(super) async fn uncache(&self, namespace: &str, key: &str) -> Answer<bool> {
        let mut call = self.call(&self.scripts.uncache, 2, namespace.len() + key.len() + 32);
        call.arg(namespace_key(namespace)).arg(key);
        let answer = self.run(&self.quick, &self.scripts.uncache, &call).await?;
        Ok(self.reader().number(answer)? == 1)
    }

    pub(super) async fn cached_keys(&self, namespace: &str, limit: usize) -> Answer<Vec<String>> {
        let mut call = self.call(&self.scripts.cached, 2, namespace.len() + 32);
        call.arg(namespace_key(namespace)).arg(limit);
        let answer = self.run(&self.quick, &self.scripts.cached, &call).await?;
        self.reader()
            .list(answer)?
            .into_iter()
            .map(|key| self.reader().text(key))
            .collect()
    }
}
