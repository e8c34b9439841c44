//! A log file that does not grow without end: once it is full it is put aside as `NAME.1`, what was `NAME.1` becomes
//! `NAME.2`, and so on; the oldest goes. A line is never torn. What cannot be put aside is written on: no line is lost for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::data_dir::PRIVATE_FILE;

/// A log file that is put aside when it is full.
#[derive(Debug)]
pub(crate) struct RotatingFile {
    path: PathBuf,
    max_size: u64,
    keep: u32,
    file: File,
    size: u64,
}

impl RotatingFile {
    /// Opens the log at `path`, or makes one. One that is over `max_size` bytes is put aside by the next line; `keep` of
    /// those put aside are kept.
    pub(crate) fn open(path: &Path, max_size: u64, keep: u32) -> io::Result<Self> {
        let file = append_to(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            max_size,
            keep,
            file,
            size,
        })
    }

    /// Lets stderr of this process go to this file too, so that what is said past the log (a panic) is kept.
    pub(crate) fn take_stderr(&self) -> io::Result<()> {
        Ok(rustix::stdio::dup2_stderr(&self.file)?)
    }

    fn rotate(&mut self, open: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<()> {
        let aside = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
        }
        for number in (0..self.keep).rev() {
            let from = if number == 0 { self.path.clone() } else { aside(number) };
            match fs::rename(from, aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let owns_stderr = is_stderr(&self.file);
        self.file = match open(&self.path) {
            Ok(file) => file,
            Err(error) => {
                // the full file is written on, so it is the log still; if it cannot be, it stays the newest put aside
                if self.keep > 0 && !self.path.exists() {
                    let _ = fs::rename(aside(1), &self.path);
                }
                return Err(error);
            }
        };
        self.size = 0;
        if owns_stderr {
            self.take_stderr()?;
        }
        Ok(())
    }
}

impl Write for RotatingFile {
    /// Takes one whole line, as the log hands them over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.size > 0 && self.size.saturating_add(length) > self.max_size {
            // the line goes to the full file then, and the next one tries again
            let _ = self.rotate(append_to);
        }
        self.file.write_all(line)?;
        self.size = self.size.saturating_add(length);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(PRIVATE_FILE)
        .open(path)
}

/// Whether stderr is this file.
fn is_stderr(file: &File) -> bool {
    match (rustix::fs::fstat(file), rustix::fs::fstat(io::stderr())) {
        (Ok(ours), Ok(theirs)) => (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    #[test]
    fn full_logs_are_put_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let mut log = RotatingFile::open(&path, 8, 2).unwrap();
        for line in [
            "one\n",
            "two\n",
            "three\n",
            "four\n",
            "a line that is too long\n",
            "six\n",
        ] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(contents(&path).unwrap(), "six\n");
        assert_eq!(
            contents(&directory.path().join("a.log.1")).unwrap(),
            "a line that is too long\n"
        );
        assert_eq!(contents(&directory.path().join("a.log.2")).unwrap(), "four\n");
        assert_eq!(contents(&directory.path().join("a.log.3")), None);
    }

    #[test]
    fn an_earlier_log_is_gone_on_with_and_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        fs::write(&path, "earlier\n").unwrap();
        let mut log = RotatingFile::open(&path, 12, 1).unwrap();
        log.write_all(b"now\n").unwrap();
        assert_eq!(contents(&path).unwrap(), "earlier\nnow\n");
        log.write_all(b"next\n").unwrap();
        assert_eq!(contents(&path).unwrap(), "next\n");
    }

    #[test]
    fn none_is_kept_where_none_shall_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let mut log = RotatingFile::open(&path, 4, 0).unwrap();
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!(contents(&path).unwrap(), "two\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_log_that_cannot_be_begun_anew_goes_on_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let mut log = RotatingFile::open(&path, 100, 2).unwrap();
        log.write_all(b"one\n").unwrap();
        log.rotate(|_| Err(io::Error::other("no descriptor is left")))
            .unwrap_err();
        log.write_all(b"two\n").unwrap();
        assert_eq!(contents(&path).unwrap(), "one\ntwo\n");
        assert_eq!(contents(&directory.path().join("a.log.1")), None);
    }

    #[test]
    fn what_cannot_be_put_aside_is_written_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        // a directory with something in it is in the way
        fs::create_dir_all(directory.path().join("a.log.1/full")).unwrap();
        let mut log = RotatingFile::open(&path, 4, 1).unwrap();
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!(contents(&path).unwrap(), "one\ntwo\n");
    }
}
