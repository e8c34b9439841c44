//! The cache of a spore without a hive: in memory, per namespace, with quota and time to live.
//! It never grows past the sum of the quotas it was asked for.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{BackendError, CacheBackend, CacheNamespace, HiveCaller};

/// What an entry costs beside its key and value, so that many tiny entries cannot exceed the quota by much.
const ENTRY_OVERHEAD: u64 = 64;

/// All namespaces.
#[derive(Debug, Default)]
pub(super) struct MemoryCache {
    spaces: Mutex<HashMap<String, Space>>,
}

#[derive(Debug, Default)]
struct Space {
    entries: HashMap<String, Entry>,
    used: u64,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    until: Instant,
}

fn cost(key: &str, value: &[u8]) -> u64 {
    (key.len() as u64)
        .saturating_add(value.len() as u64)
        .saturating_add(ENTRY_OVERHEAD)
}

impl Space {
    fn remove(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.used = self.used.saturating_sub(cost(key, &entry.value));
        Some(entry)
    }

    fn forget_expired(&mut self, now: Instant) {
        let mut freed = 0;
        self.entries.retain(|key, entry| {
            let alive = entry.until > now;
            if !alive {
                freed += cost(key, &entry.value);
            }
            alive
        });
        self.used = self.used.saturating_sub(freed);
    }

    fn live(&mut self, key: &str, now: Instant) -> Option<&Entry> {
        if self.entries.get(key)?.until <= now {
            self.remove(key);
        }
        self.entries.get(key)
    }

    /// What would be used with this entry in place of the one it replaces.
    fn used_with(&self, key: &str, value: &[u8]) -> u64 {
        let replaced = self.entries.get(key).map_or(0, |old| cost(key, &old.value));
        self.used.saturating_sub(replaced).saturating_add(cost(key, value))
    }

    fn set(&mut self, key: &str, value: Vec<u8>, until: Instant, now: Instant, quota: u64) -> Result<(), BackendError> {
        if self.used_with(key, &value) > quota {
            self.forget_expired(now);
        }
        let used = self.used_with(key, &value);
        if used > quota {
            return Err(BackendError::Limit(format!(
                "the cache quota of {quota} bytes is used up ({} in use)",
                self.used
            )));
        }
        self.used = used;
        self.entries.insert(key.to_owned(), Entry { value, until });
        Ok(())
    }
}

impl MemoryCache {
    fn with<R>(&self, namespace: &CacheNamespace, body: impl FnOnce(&mut Space) -> R) -> R {
        let mut spaces = self.spaces.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match spaces.get_mut(&namespace.name) {
            Some(space) => body(space),
            None => body(spaces.entry(namespace.name.clone()).or_default()),
        }
    }
}

#[async_trait]
impl CacheBackend for MemoryCache {
    async fn get(
        &self,
        _: &HiveCaller,
        namespace: &CacheNamespace,
        key: &str,
    ) -> Result<Option<Vec<u8>>, BackendError> {
        let now = Instant::now();
        Ok(self.with(namespace, |space| space.live(key, now).map(|entry| entry.value.clone())))
    }

    async fn set(
        &self,
        _: &HiveCaller,
        namespace: &CacheNamespace,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), BackendError> {
        let now = Instant::now();
        let until = now.checked_add(ttl).unwrap_or(now);
        self.with(namespace, |space| space.set(key, value, until, now, namespace.quota))
    }

    async fn delete(&self, _: &HiveCaller, namespace: &CacheNamespace, key: &str) -> Result<bool, BackendError> {
        let now = Instant::now();
        Ok(self.with(namespace, |space| {
            space.live(key, now).is_some() && space.remove(key).is_some()
        }))
    }

    async fn ttl(
        &self,
        _: &HiveCaller,
        namespace: &CacheNamespace,
        key: &str,
    ) -> Result<Option<Duration>, BackendError> {
        let now = Instant::now();
        Ok(self.with(namespace, |space| {
            space
                .live(key, now)
                .map(|entry| entry.until.saturating_duration_since(now))
        }))
    }
}

#[cfg(test)]
mod tests {
    use venom_protocol::RequestId;

    use super::*;

    fn space(name: &str) -> CacheNamespace {
        CacheNamespace {
            name: name.to_owned(),
            quota: 1_000,
        }
    }

    /// The memory of one process is nobody's in particular.
    fn somebody() -> HiveCaller {
        HiveCaller {
            skill: String::new(),
            request_id: RequestId::random(),
            task_id: String::new(),
            depth: 1,
            traceparent: None,
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn namespaces_do_not_see_each_other() {
        let cache = MemoryCache::default();
        cache
            .set(&somebody(), &space("a"), "key", b"1".to_vec(), MINUTE)
            .await
            .unwrap();
        assert_eq!(cache.get(&somebody(), &space("b"), "key").await, Ok(None));
        assert_eq!(cache.delete(&somebody(), &space("b"), "key").await, Ok(false));
        assert_eq!(
            cache.get(&somebody(), &space("a"), "key").await,
            Ok(Some(b"1".to_vec()))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn entries_end_with_their_time_and_make_room() {
        let (cache, space) = (MemoryCache::default(), space("a"));
        cache
            .set(&somebody(), &space, "key", vec![0; 800], MINUTE)
            .await
            .unwrap();
        assert_eq!(cache.ttl(&somebody(), &space, "key").await, Ok(Some(MINUTE)));
        assert!(matches!(
            cache.set(&somebody(), &space, "other", vec![0; 800], MINUTE).await,
            Err(BackendError::Limit(_))
        ));
        tokio::time::advance(MINUTE).await;
        assert_eq!(cache.get(&somebody(), &space, "key").await, Ok(None));
        assert_eq!(
            cache.set(&somebody(), &space, "other", vec![0; 800], MINUTE).await,
            Ok(())
        );
    }

    #[tokio::test]
    async fn replacing_and_deleting_give_the_bytes_back() {
        let (cache, space) = (MemoryCache::default(), space("a"));
        for _ in 0..10 {
            cache
                .set(&somebody(), &space, "key", vec![0; 800], MINUTE)
                .await
                .unwrap();
        }
        assert_eq!(cache.delete(&somebody(), &space, "key").await, Ok(true));
        assert_eq!(cache.with(&space, |space| space.used), 0);
    }

    #[tokio::test]
    async fn many_tiny_entries_are_bounded_too() {
        let (cache, space) = (MemoryCache::default(), space("a"));
        let mut taken = 0;
        while cache
            .set(&somebody(), &space, &taken.to_string(), Vec::new(), MINUTE)
            .await
            .is_ok()
        {
            taken += 1;
        }
        assert!((10..=15).contains(&taken), "{taken}");
    }
}
