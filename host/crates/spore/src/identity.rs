//! Who this spore is: its id, made once and kept in the data directory. Never replaced by itself: an id
//! that cannot be read is an error, as a new one would be a stranger to the nexus.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use venom_protocol::NodeId;

/// Name of the file in the data directory.
const FILE: &str = "node_id";

/// Longest file that is read: an id is 36 bytes.
const MAX_BYTES: u64 = 256;

/// A node id that cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("node id file `{path}` cannot be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("node id file `{path}` cannot be written; the data directory must be writable")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "node id file `{path}` holds `{text}`, which is no node id; restore it from a backup, or delete it to join as a new node"
    )]
    Garbage {
        /// Which.
        path: PathBuf,
        /// The beginning of what it holds.
        text: String,
    },
}

/// The id kept in `data_dir`; made, with the directory, when there is none. Safe when several processes
/// start at once: one of them makes the id and all read that one.
///
/// # Errors
/// [`IdentityError`] names the file and says what to do.
pub fn node_id_in(data_dir: &Path) -> Result<NodeId, IdentityError> {
    let path = data_dir.join(FILE);
    match read(&path)? {
        Some(id) => Ok(id),
        None => {
            make(data_dir, &path).map_err(|source| IdentityError::Write {
                path: path.clone(),
                source,
            })?;
            read(&path)?.ok_or_else(|| IdentityError::Read {
                path: path.clone(),
                source: io::ErrorKind::NotFound.into(),
            })
        }
    }
}

fn read(path: &Path) -> Result<Option<NodeId>, IdentityError> {
    let unreadable = |source| IdentityError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_BYTES), &mut bytes).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&bytes);
    text.trim().parse().map(Some).map_err(|_| IdentityError::Garbage {
        path: path.to_owned(),
        text: text.trim().chars().take(40).collect(),
    })
}

/// Writes a new id beside its place and links it there, so that a crash leaves the whole id or none, and
/// of two processes the first one wins.
fn make(data_dir: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(data_dir)?;
    let id = NodeId::random();
    let draft = data_dir.join(format!(".{FILE}.{id}"));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&draft)?;
    let written = file
        .write_all(format!("{id}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    fs::remove_file(&draft)?;
    written?;
    File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_made_once_and_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("deep/data");
        let first = node_id_in(&data).expect("made");
        assert_eq!(node_id_in(&data).expect("read"), first);
        let files: Vec<_> = fs::read_dir(&data).expect("listed").collect();
        assert_eq!(files.len(), 1, "no draft is left behind: {files:?}");
    }

    #[test]
    fn sixteen_starting_at_once_agree() {
        let dir = tempfile::tempdir().expect("a directory");
        let ids: Vec<NodeId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| node_id_in(dir.path()).expect("an id")))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("joined"))
                .collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn garbage_is_an_error_and_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE);
        for garbage in ["not an id", "", "6fa459ea-ee8a-4ca4-894e", "\u{0}\u{0}"] {
            fs::write(&path, garbage).expect("written");
            let error = node_id_in(dir.path()).expect_err(garbage).to_string();
            assert!(error.contains("node_id") && error.contains("delete it"), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("still there"), garbage);
        }
    }

    #[test]
    fn a_directory_that_is_a_file_is_a_clear_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        let error = node_id_in(&file).expect_err("a file is no directory").to_string();
        assert!(error.contains("node id file"), "{error}");
    }
}
