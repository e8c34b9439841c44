//! `.venom` files by their content, in one directory. A file is there whole or not at all: it is written beside, synced,
//! and moved into place; its name is the digest of its bytes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use venom_bundle::{Digest, MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES};

use super::ReleaseError;

/// Headers, padding and end of the archive around its two entries.
const ARCHIVE_ROOM: u64 = 16 * 1024;
/// The largest `.venom` file.
pub(crate) const MAX_BUNDLE_BYTES: u64 = MAX_COMPONENT_BYTES + MAX_ENVELOPE_BYTES as u64 + ARCHIVE_ROOM;

const SUFFIX: &str = "venom";
const DRAFT: &str = "draft";

/// See the module.
#[derive(Debug)]
pub(crate) struct Blobs {
    directory: PathBuf,
    quota: u64,
    /// Bytes of the files that are there and of those that come.
    used: Arc<AtomicU64>,
}

/// A file that comes. Dropped before it is kept, it leaves nothing.
pub(crate) struct Incoming {
    file: Option<File>,
    path: PathBuf,
    hash: Sha256,
    size: u64,
    limit: u64,
    quota: u64,
    used: Arc<AtomicU64>,
    is_kept: bool,
}

impl Blobs {
    /// Makes the directory (mode 0700), counts what is in it, and removes what an earlier process left half written.
    pub(crate) fn open(directory: &Path, quota: u64) -> io::Result<Self> {
        let mut make = std::fs::DirBuilder::new();
        make.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
        make.create(directory)?;
        let mut used = 0;
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            match entry.path().extension().and_then(|suffix| suffix.to_str()) {
                Some(SUFFIX) => used += entry.metadata()?.len(),
                Some(DRAFT) => std::fs::remove_file(entry.path())?,
                _ => {}
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            quota,
            used: Arc::new(AtomicU64::new(used)),
        })
    }

    /// Where the file of this digest is, or would be.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{digest}.{SUFFIX}"))
    }

    /// Bytes of a file that is there.
    pub(crate) async fn size(&self, digest: &Digest) -> Result<Option<u64>, ReleaseError> {
        let path = self.path(digest);
        match tokio::fs::metadata(&path).await {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ReleaseError::disk("look at", &path, &error)),
        }
    }

    /// Begins a file of at most `limit` bytes.
    pub(crate) async fn incoming(&self, limit: u64) -> Result<Incoming, ReleaseError> {
        let path = self.directory.join(format!("{:032x}.{DRAFT}", rand::random::<u128>()));
        let mut open = OpenOptions::new();
        open.write(true).read(true).create_new(true);
        #[cfg(unix)]
        open.mode(0o600);
        let file = open.open(&path).await;
        let file = file.map_err(|error| ReleaseError::disk("write", &path, &error))?;
        Ok(Incoming {
            file: Some(file),
            path,
            hash: Sha256::new(),
            size: 0,
            limit,
            quota: self.quota,
            used: Arc::clone(&self.used),
            is_kept: false,
        })
    }

    /// Puts a complete file in its place. True: it was not there before.
    pub(crate) async fn keep(&self, mut arrived: Incoming, digest: &Digest) -> Result<bool, ReleaseError> {
        if self.size(digest).await?.is_some() {
            return Ok(false);
        }
        let (from, to) = (arrived.path.clone(), self.path(digest));
        let directory = self.directory.clone();
        let failed = |error: io::Error| ReleaseError::disk("write", &to, &error);
        let moved = {
            let to = to.clone();
            tokio::task::spawn_blocking(move || {
                std::fs::rename(from, to)?;
                // the name itself must survive a power cut
                std::fs::File::open(directory)?.sync_all()
            })
        };
        moved
            .await
            .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
            .map_err(failed)?;
        arrived.is_kept = true;
        Ok(true)
    }
}

impl Incoming {
    /// Appends. Nothing more is taken once the limit or the quota is passed.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), ReleaseError> {
        let more = bytes.len() as u64;
        if self.size.saturating_add(more) > self.limit {
            return Err(ReleaseError::TooBig(self.limit));
        }
        let used = self.used.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        self.size += more;
        if used > self.quota {
            let text = "all bundles together may have {} bytes here";
            let text = text.replace("{}", &self.quota.to_string());
            return Err(ReleaseError::Full(format!("{text}; raise the quota to keep more")));
        }
        self.hash.update(bytes);
        let file = self
            .file
            .as_mut()
            .ok_or_else(|| ReleaseError::Disk("the file is closed".to_owned()))?;
        let written = file.write_all(bytes).await;
        written.map_err(|error| ReleaseError::disk("write", &self.path, &error))
    }

    /// All is there: syncs it and gives its digest and size.
    pub(crate) async fn complete(&mut self) -> Result<(Digest, u64), ReleaseError> {
        if let Some(mut file) = self.file.take() {
            let synced = async {
                file.flush().await?;
                file.sync_all().await
            };
            synced
                .await
                .map_err(|error| ReleaseError::disk("write", &self.path, &error))?;
        }
        let digest: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
        Ok((Digest::from_bytes(digest), self.size))
    }

    /// Where it is until it is kept.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        self.used.fetch_sub(self.size, Ordering::Relaxed);
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a file that is not kept cannot be removed");
        }
    }
}
