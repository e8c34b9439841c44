//! The cache backend of a spore: one cache for the whole hive, behind the nexus. Values travel as base64.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use venom_protocol::{CacheKey, HiveQuestion, HiveReply};
use venom_runtime::{BackendError, CacheBackend, CacheNamespace, HiveCaller};

use super::{Line, mismatch};

/// See the module.
pub(super) struct LinkCache(pub(super) Arc<Line>);

fn place(namespace: &CacheNamespace, key: &str) -> CacheKey {
    CacheKey {
        namespace: namespace.name.clone(),
        key: key.to_owned(),
    }
}

#[async_trait]
impl CacheBackend for LinkCache {
    async fn get(
        &self,
        caller: &HiveCaller,
        namespace: &CacheNamespace,
        key: &str,
    ) -> Result<Option<Vec<u8>>, BackendError> {
        let at = place(namespace, key);
        match self.0.ask(caller, HiveQuestion::CacheGet { at }).await? {
            HiveReply::Value { value } => value
                .map(|text| STANDARD.decode(text).map_err(|_| mismatch()))
                .transpose(),
            _ => Err(mismatch()),
        }
    }

    async fn set(
        &self,
        caller: &HiveCaller,
        namespace: &CacheNamespace,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), BackendError> {
        let question = HiveQuestion::CacheSet {
            at: place(namespace, key),
            quota: namespace.quota,
            value: STANDARD.encode(value),
            ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        };
        match self.0.ask(caller, question).await? {
            HiveReply::Done { .. } => Ok(()),
            _ => Err(mismatch()),
        }
    }

    async fn delete(&self, caller: &HiveCaller, namespace: &CacheNamespace, key: &str) -> Result<bool, BackendError> {
        let at = place(namespace, key);
        match self.0.ask(caller, HiveQuestion::CacheDelete { at }).await? {
            HiveReply::Done { existed } => Ok(existed),
            _ => Err(mismatch()),
        }
    }

    async fn ttl(
        &self,
        caller: &HiveCaller,
        namespace: &CacheNamespace,
        key: &str,
    ) -> Result<Option<Duration>, BackendError> {
        let at = place(namespace, key);
        match self.0.ask(caller, HiveQuestion::CacheTtl { at }).await? {
            HiveReply::Ttl { left_ms } => Ok(left_ms.map(Duration::from_millis)),
            _ => Err(mismatch()),
        }
    }
}
