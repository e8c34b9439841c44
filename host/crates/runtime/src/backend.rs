//! What a skill reaches through its spore: the cache and the hive. The traits, and the local forms used when
//! there is no hive. Grants and budgets are checked before a backend is asked.

mod hive;
mod memory_cache;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use hive::{HiveBackend, HiveCaller, HiveOutcome, HiveRequest};

/// Where one skill's cache entries live and how many bytes they may take.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheNamespace {
    /// The name in the cache: the skill's own or one shared by grant.
    pub name: String,
    /// Most bytes of keys and values together.
    pub quota: u64,
}

/// Why a backend did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// Nothing is there now; the text says what is missing.
    #[error("{0}")]
    Unavailable(String),
    /// The thing asked for does not exist.
    #[error("{0}")]
    NotFound(String),
    /// A quota is used up; the text names it and its limit.
    #[error("{0}")]
    Limit(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
}

/// A key/value store. Implementations enforce the quota and forget entries when their time is up.
#[async_trait]
pub trait CacheBackend: Send + Sync + 'static {
    /// The value, when there is one.
    async fn get(
        &self,
        caller: &HiveCaller,
        namespace: &CacheNamespace,
        key: &str,
    ) -> Result<Option<Vec<u8>>, BackendError>;
    /// Writes a value that lives for `ttl`.
    async fn set(
        &self,
        caller: &HiveCaller,
        namespace: &CacheNamespace,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), BackendError>;
    /// True when there was one.
    async fn delete(&self, caller: &HiveCaller, namespace: &CacheNamespace, key: &str) -> Result<bool, BackendError>;
    /// Time left, when there is a value.
    async fn ttl(
        &self,
        caller: &HiveCaller,
        namespace: &CacheNamespace,
        key: &str,
    ) -> Result<Option<Duration>, BackendError>;
}

/// The backends of a runtime.
#[derive(Clone)]
pub struct Backends {
    /// The cache.
    pub cache: Arc<dyn CacheBackend>,
    /// The hive.
    pub hive: Arc<dyn HiveBackend>,
}

impl Backends {
    /// A cache in this process's memory and a hive that answers `unavailable`.
    #[must_use]
    pub fn local() -> Self {
        Self {
            cache: Arc::new(memory_cache::MemoryCache::default()),
            hive: Arc::new(hive::NoHive),
        }
    }
}

impl std::fmt::Debug for Backends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backends").finish_non_exhaustive()
    }
}
