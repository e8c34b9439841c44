//! Byte quotas of granted directories. For each directory one number is kept that is never below what it really
//! holds; growth is added to it before the write happens, and when it reaches a quota the directory is measured
//! again. It never lets a write through that might exceed the quota.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::scan;

/// Counted for each file, directory or link made, so that a million empty ones are not free.
pub(super) const ENTRY_BYTES: u64 = 4 << 10;
/// A directory at its quota is measured again at most this often, or ten times as long as measuring took.
const MEASURE_EVERY: Duration = Duration::from_millis(200);

/// The usage of every directory that is granted to any skill, by device and inode: two skills that share a
/// directory share its number.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    by_inode: Mutex<HashMap<(u64, u64), Weak<Usage>>>,
}

impl Quotas {
    pub(super) fn of(&self, path: &Path, inode: (u64, u64)) -> Arc<Usage> {
        let mut known = self.by_inode.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, usage| usage.strong_count() > 0);
        if let Some(usage) = known.get(&inode).and_then(Weak::upgrade) {
            return usage;
        }
        let usage = Arc::new(Usage {
            path: path.to_owned(),
            state: Mutex::default(),
        });
        known.insert(inode, Arc::downgrade(&usage));
        usage
    }
}

/// What one directory holds, at most.
#[derive(Debug)]
pub(super) struct Usage {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Never below the truth; none before the first measuring.
    used: Option<u64>,
    /// Growth promised to writes that may not have happened yet.
    pending: u64,
    /// All growth ever promised.
    promised: u64,
    measure_after: Option<Instant>,
}

/// One grant's quota on a directory.
#[derive(Debug)]
pub(super) struct Quota {
    limit: u64,
    usage: Arc<Usage>,
}

/// Growth promised to one write. Settled when dropped: the write has happened or never will.
#[derive(Debug)]
pub(super) struct Promise {
    usage: Arc<Usage>,
    bytes: u64,
}

/// The quota is used up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the quota of {limit} bytes of this directory is used up")]
pub(super) struct QuotaExceeded {
    limit: u64,
}

impl Quota {
    pub(super) fn new(limit: u64, usage: Arc<Usage>) -> Self {
        Self { limit, usage }
    }

    /// Whether two directories count as one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.usage, &other.usage)
    }

    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.used = None;
        state.measure_after = None;
    }

    /// Promises growth if it fits what is known, without measuring.
    pub(super) fn try_promise(&self, bytes: u64) -> Option<Promise> {
        let mut state = self.state();
        let used = state.used?.checked_add(bytes).filter(|used| *used <= self.limit)?;
        state.used = Some(used);
        state.pending = state.pending.saturating_add(bytes);
        state.promised = state.promised.saturating_add(bytes);
        Some(Promise {
            usage: Arc::clone(&self.usage),
            bytes,
        })
    }

    /// Promises growth, measuring the directory first when what is known does not allow it.
    pub(super) async fn promise(&self, bytes: u64) -> Result<Promise, QuotaExceeded> {
        if let Some(promise) = self.try_promise(bytes) {
            return Ok(promise);
        }
        self.measure().await;
        self.try_promise(bytes).ok_or(QuotaExceeded { limit: self.limit })
    }

    /// Whether this much growth fits what is known.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        self.state()
            .used
            .and_then(|used| used.checked_add(bytes))
            .is_some_and(|used| used <= self.limit)
    }

    /// Whether [`Self::measure`] would do anything now.
    pub(super) fn may_measure(&self) -> bool {
        self.state().measure_after.is_none_or(|after| Instant::now() >= after)
    }

    /// Measures the directory, unless that was done just now.
    pub(super) async fn measure(&self) {
        if !self.may_measure() {
            return;
        }
        let usage = Arc::clone(&self.usage);
        let measuring = tokio::task::spawn_blocking(move || usage.measure());
        // Should the task be lost, the old number stands, which is on the safe side.
        drop(measuring.await);
    }

    pub(super) fn exceeded(&self) -> QuotaExceeded {
        QuotaExceeded { limit: self.limit }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.usage.state()
    }
}

impl Usage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write promised before or while measuring may or may not have been seen: it is counted on top.
    fn measure(&self) {
        let started = Instant::now();
        let (pending, promised) = {
            let state = self.state();
            (state.pending, state.promised)
        };
        let measured = scan::bytes_below(&self.path);
        let mut state = self.state();
        state.measure_after = Some(Instant::now() + (started.elapsed() * 10).max(MEASURE_EVERY));
        match measured {
            Ok(bytes) => {
                let since = state.promised.saturating_sub(promised);
                state.used = Some(bytes.saturating_add(pending).saturating_add(since));
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "granted directory cannot be measured; writes to it are refused");
            }
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut state = self.usage.state();
        state.pending = state.pending.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn quota(directory: &Path, quotas: &Quotas, limit: u64) -> Quota {
        let found = directory.metadata().unwrap();
        Quota::new(limit, quotas.of(directory, (found.dev(), found.ino())))
    }

    #[tokio::test]
    async fn growth_is_refused_at_the_quota_and_allowed_again_after_deleting() {
        let directory = tempfile::tempdir().unwrap();
        let quotas = Quotas::default();
        let quota = quota(directory.path(), &quotas, 100_000);
        std::fs::write(directory.path().join("a"), vec![0; 60_000]).unwrap();
        assert!(quota.promise(50_000).await.is_err(), "60000 + 50000 > 100000");
        std::fs::remove_file(directory.path().join("a")).unwrap();
        quota.forget();
        assert!(quota.promise(50_000).await.is_ok());
    }

    #[tokio::test]
    async fn a_promise_counts_until_it_is_measured_without_it() {
        let directory = tempfile::tempdir().unwrap();
        let quotas = Quotas::default();
        let quota = quota(directory.path(), &quotas, 100_000);
        let promise = quota.promise(80_000).await.unwrap();
        quota.state().measure_after = None;
        assert!(
            quota.promise(80_000).await.is_err(),
            "the first may be written any moment"
        );
        drop(promise);
        quota.state().measure_after = None;
        assert!(quota.promise(80_000).await.is_ok(), "it never was written");
    }

    #[tokio::test]
    async fn two_grants_of_one_directory_share_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let quotas = Quotas::default();
        let (one, two) = (
            quota(directory.path(), &quotas, 100_000),
            quota(directory.path(), &quotas, 100_000),
        );
        assert!(one.is_same(&two));
        let _kept = one.promise(80_000).await.unwrap();
        assert!(two.promise(80_000).await.is_err());
    }
}
