//! The updater's directory: trust, ledger and bundles. Whatever is written is there whole or not at all, after a crash
//! and on a full disk too: a temporary file, fsync, rename, fsync of the directory.
//!
//! `trust.json`, `ledger.json`, `bundles/<file sha256>.venom`, `partial/<file sha256>`; all 0600 in 0700.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use venom_bundle::Digest;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    directory: PathBuf,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
}

impl Disk {
    /// Makes the directories that are missing and clears away what a crash left half written.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        for path in [
            directory.to_owned(),
            directory.join("bundles"),
            directory.join("partial"),
        ] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
            for entry in fs::read_dir(&path)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "tmp") {
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            #[cfg(test)]
            faults: Default::default(),
        })
    }

    /// The bytes of a document, when it is there.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.directory.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces a document.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.directory.join(name);
        let draft = path.with_extension("tmp");
        let written = self.draft(&draft, bytes).and_then(|()| {
            self.step()?;
            fs::rename(&draft, &path)
        });
        if written.is_err() && self.step().is_ok() {
            // best effort: the next start clears it away
            drop(fs::remove_file(&draft));
        }
        written?;
        self.step()?;
        File::open(&self.directory)?.sync_all()
    }

    fn draft(&self, draft: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(draft)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.step()?;
        file.write_all(first)?;
        self.step()?;
        file.write_all(second)?;
        self.step()?;
        file.sync_all()
    }

    /// A point between two changes, at which tests let the power fail or the disk be full.
    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        self.faults.step()
    }

    /// Only tests do anything here.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as in tests")]
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    /// Where a bundle is, or would be.
    pub(super) fn bundle(&self, file: &Digest) -> PathBuf {
        self.directory.join("bundles").join(format!("{file}.venom"))
    }

    /// Where a bundle is while it comes.
    pub(super) fn partial(&self, file: &Digest) -> PathBuf {
        self.directory.join("partial").join(file.to_string())
    }

    /// Makes a partial file, whole and synced, a bundle.
    pub(super) fn keep(&self, file: &Digest) -> io::Result<()> {
        self.step()?;
        fs::rename(self.partial(file), self.bundle(file))?;
        self.step()?;
        File::open(self.directory.join("bundles"))?.sync_all()
    }

    /// Removes all bundles but the `needed`, and all partial files but those `coming`.
    pub(super) fn clean(&self, needed: &BTreeSet<Digest>, coming: &BTreeSet<Digest>) -> io::Result<()> {
        for entry in fs::read_dir(self.directory.join("bundles"))? {
            let path = entry?.path();
            if digest_of(&path).is_none_or(|digest| !needed.contains(&digest)) {
                self.step()?;
                fs::remove_file(path)?;
            }
        }
        for entry in fs::read_dir(self.directory.join("partial"))? {
            let path = entry?.path();
            if digest_of(&path).is_none_or(|digest| !coming.contains(&digest)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn digest_of(path: &Path) -> Option<Digest> {
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_replaced_whole_and_leftovers_go() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        assert_eq!(disk.read("trust.json").unwrap(), None);
        disk.write("trust.json", b"one").unwrap();
        disk.write("trust.json", b"two").unwrap();
        assert_eq!(disk.read("trust.json").unwrap().unwrap(), b"two");
        let leftover = directory.path().join("trust.tmp");
        fs::write(&leftover, "half").unwrap();
        Disk::open(directory.path()).unwrap();
        assert!(!leftover.exists());
    }

    #[test]
    fn what_is_needed_stays_and_the_rest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        let files: Vec<Digest> = (0..3_u8).map(|n| Digest::of(&[n])).collect();
        for file in &files {
            fs::write(disk.bundle(file), "x").unwrap();
            fs::write(disk.partial(file), "x").unwrap();
        }
        disk.clean(&[files[0]].into(), &[files[2]].into()).unwrap();
        let there = |path: fn(&Disk, &Digest) -> PathBuf| -> Vec<bool> {
            files.iter().map(|file| path(&disk, file).exists()).collect()
        };
        assert_eq!(there(Disk::bundle), [true, false, false]);
        assert_eq!(there(Disk::partial), [false, false, true]);
    }
}
