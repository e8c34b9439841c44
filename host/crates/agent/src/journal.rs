//! A small JSON document that is replaced whole: what a restart must know.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::Disk;

/// Where one is.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Journal {
    pub(crate) fn new(path: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { path, disk }
    }

    /// What it says. One that cannot be understood says nothing: what it would have prevented is at worst done again.
    pub(crate) fn read<T: DeserializeOwned + Default>(&self) -> io::Result<T> {
        let Some(bytes) = self.disk.read(&self.path)? else {
            return Ok(T::default());
        };
        Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::error!(%error, path = %self.path.display(), "this file cannot be understood; it is begun anew");
            T::default()
        }))
    }

    /// Replaces it, on a blocking thread.
    pub(crate) async fn write<T: Serialize>(&self, document: &T) -> io::Result<()> {
        let bytes = serde_json::to_vec(document).map_err(io::Error::other)?;
        let (path, disk) = (self.path.clone(), Arc::clone(&self.disk));
        blocking(move || disk.replace(&path, &bytes)).await?
    }
}

/// Runs what waits for the disk where nothing else waits for it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}
