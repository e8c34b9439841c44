//! `.venom` files by their content, in one directory. A file is there whole or not at all: it is written beside, synced,
//! and moved into place; its name is the digest of its bytes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Held while a file is moved into its place.
    placing: Arc<Mutex<()>>,
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
            placing: Arc::default(),
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
        let (from, to) = (arrived.path.clone(), self.path(digest));
        let (directory, placing) = (self.directory.clone(), Arc::clone(&self.placing));
        let shown = to.clone();
        let moving = tokio::task::spawn_blocking(move || place(&from, &to, &directory, &placing));
        let moved = moving.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        arrived.is_kept = moved.map_err(|error| ReleaseError::disk("write", &shown, &error))?;
        Ok(arrived.is_kept)
    }
}

/// Moves a file into its place unless it is there. One at a time: of two that are the same, one counts.
fn place(from: &Path, to: &Path, directory: &Path, placing: &Mutex<()>) -> io::Result<bool> {
    let _one = placing.lock().unwrap_or_else(PoisonError::into_inner);
    if to.try_exists()? {
        return Ok(false);
    }
    std::fs::rename(from, to)?;
    // the name itself must survive a power cut
    std::fs::File::open(directory)?.sync_all()?;
    Ok(true)
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn arrived(blobs: &Blobs, bytes: &[u8]) -> (Incoming, Digest) {
        let mut incoming = blobs.incoming(MAX_BUNDLE_BYTES).await.unwrap();
        for part in bytes.chunks(3) {
            incoming.write(part).await.unwrap();
        }
        let (digest, size) = incoming.complete().await.unwrap();
        assert_eq!((digest, size), (Digest::of(bytes), bytes.len() as u64));
        (incoming, digest)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[tokio::test]
    async fn a_file_is_there_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path(), 1_000).unwrap();
        let (first, digest) = arrived(&blobs, b"content").await;
        let (second, _) = arrived(&blobs, b"content").await;
        assert_eq!(blobs.size(&digest).await.unwrap(), None);
        assert!(blobs.keep(first, &digest).await.unwrap());
        assert!(!blobs.keep(second, &digest).await.unwrap());
        assert_eq!(names(directory.path()), [format!("{digest}.venom")]);
        assert_eq!(blobs.size(&digest).await.unwrap(), Some(7));
        assert_eq!(blobs.used.load(Ordering::Relaxed), 7, "counted once");
        let mode = std::fs::metadata(blobs.path(&digest)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_is_not_kept_leaves_nothing_and_counts_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path(), 10).unwrap();
        let (incoming, _) = arrived(&blobs, b"12345678").await;
        let mut over = blobs.incoming(9).await.unwrap();
        assert!(matches!(over.write(b"123").await, Err(ReleaseError::Full(_))));
        drop((incoming, over));
        assert_eq!(
            (names(directory.path()).len(), blobs.used.load(Ordering::Relaxed)),
            (0, 0)
        );
        let mut long = blobs.incoming(3).await.unwrap();
        assert_eq!(long.write(b"1234").await, Err(ReleaseError::TooBig(3)));
    }

    #[tokio::test]
    async fn what_an_earlier_process_left_is_counted_or_removed() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path(), 1_000).unwrap();
        let (incoming, digest) = arrived(&blobs, b"content").await;
        blobs.keep(incoming, &digest).await.unwrap();
        std::fs::write(directory.path().join("0.draft"), "half").unwrap();
        let again = Blobs::open(directory.path(), 1_000).unwrap();
        assert_eq!(names(directory.path()), [format!("{digest}.venom")]);
        assert_eq!(again.used.load(Ordering::Relaxed), 7);
    }
}
