//! The little an agent asks of a disk. Every change is on the disk when the call returns, or the call fails.

use std::any::Any;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Holds a directory for one process until it is dropped.
pub type DiskLock = Box<dyn Any + Send + Sync>;

/// Files, as outbox and journals need them. Tests put one in between whose power fails.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a directory and those above it, for this user only.
    ///
    /// # Errors
    /// As the system says.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// Names of the files in a directory.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// A whole file; none when it is not there.
    ///
    /// # Errors
    /// As the system says.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Length of a file; none when it is not there.
    ///
    /// # Errors
    /// As the system says.
    fn length(&self, path: &Path) -> io::Result<Option<u64>>;

    /// Part of a file.
    ///
    /// # Errors
    /// As the system says; when it is shorter, too.
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Writes into a file, which is made for this user only when it is not there, and waits until the bytes are on the disk. Whether the
    /// name of a new file is on the disk too, [`Disk::sync_directory`] says.
    ///
    /// # Errors
    /// As the system says; part of the bytes may have been written.
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file and waits until that is on the disk.
    ///
    /// # Errors
    /// As the system says.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Makes a file anew, for this user only, or replaces it: whole or not at all, and on the disk, name included.
    ///
    /// # Errors
    /// As the system says; then what was there is there.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file; one that is not there is no error. May come back after a power cut until [`Disk::sync_directory`].
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a directory are on the disk.
    ///
    /// # Errors
    /// As the system says.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Takes a directory for this process; none when another has it.
    ///
    /// # Errors
    /// As the system says.
    fn lock(&self, directory: &Path) -> io::Result<Option<DiskLock>>;
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// Suffix of files that are not whole yet.
pub(crate) const DRAFT: &str = ".tmp";

/// The file a lock is taken on.
pub(crate) const LOCK: &str = "lock";

fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn to_write() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).mode(0o600);
    options
}

impl Disk for RealDisk {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            if let Some(parent) = path.parent() {
                self.sync_directory(parent)?;
            }
        }
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            // names that are no text are none of ours
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        absent(fs::read(path))
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        absent(fs::metadata(path).map(|metadata| metadata.len()))
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        File::open(path)?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = to_write().open(path)?;
        file.write_all_at(bytes, offset)?;
        file.sync_data()
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(DRAFT);
        let draft = Path::new(&draft);
        let write = || {
            let mut file = to_write().truncate(true).open(draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(draft, path)
        };
        if let Err(error) = write() {
            // best effort: the next start clears it away
            drop(fs::remove_file(draft));
            return Err(error);
        }
        path.parent().map_or(Ok(()), |parent| self.sync_directory(parent))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        absent(fs::remove_file(path)).map(drop)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        File::open(directory)?.sync_all()
    }

    fn lock(&self, directory: &Path) -> io::Result<Option<DiskLock>> {
        let file = to_write().open(directory.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_for_this_user_only() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("a/b");
        RealDisk.make_directory(&inner).unwrap();
        let (one, two) = (inner.join("one"), inner.join("two"));
        RealDisk.write_at(&one, 0, b"0123456789").unwrap();
        RealDisk.write_at(&one, 2, b"ab").unwrap();
        RealDisk.truncate(&one, 6).unwrap();
        assert_eq!(RealDisk.read(&one).unwrap().unwrap(), b"01ab45");
        assert_eq!(RealDisk.read_at(&one, 2, 2).unwrap(), b"ab");
        assert!(RealDisk.read_at(&one, 5, 2).is_err());
        RealDisk.replace(&two, b"x").unwrap();
        RealDisk.replace(&two, b"y").unwrap();
        assert_eq!(RealDisk.read(&two).unwrap().unwrap(), b"y");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&one), mode(&two)), (0o700, 0o600, 0o600));
        let mut names = RealDisk.list(&inner).unwrap();
        names.sort();
        assert_eq!(names, ["one", "two"]);
        RealDisk.remove(&one).unwrap();
        RealDisk.remove(&one).unwrap();
        assert_eq!(RealDisk.read(&one).unwrap(), None);
    }

    #[test]
    fn a_directory_has_one_holder() {
        let directory = tempfile::tempdir().unwrap();
        let held = RealDisk.lock(directory.path()).unwrap();
        assert!(held.is_some());
        assert!(RealDisk.lock(directory.path()).unwrap().is_none());
        drop(held);
        assert!(RealDisk.lock(directory.path()).unwrap().is_some());
    }
}
