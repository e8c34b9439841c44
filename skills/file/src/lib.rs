//! `FileSkill`: reads, writes and lists text files inside granted directories. It opens nothing else: the
//! sandbox holds no other directory for it.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use venom_sdk::{Error, Result, files};

/// Largest file read or written. Its JSON must fit the budget `output_bytes` (4 MiB unless the operator says otherwise).
const LARGEST_FILE: usize = 3 * 1024 * 1024;

/// Most names of one listing.
const LONGEST_LISTING: usize = 10_000;

/// The skill.
pub struct FileSkill;

/// Reads, writes and lists files inside granted directories.
#[venom_sdk::skill]
impl FileSkill {
    /// Returns the text of a file (UTF-8, at most 3 MiB).
    fn read_file(
        &self,
        /// Relative to the workspace `/work`, or absolute inside any granted directory.
        path: String,
    ) -> Result<String> {
        let place = files::path(&path)?;
        let about = |cause| explain(&path, cause);
        let metadata = fs::metadata(&place).map_err(about)?;
        if metadata.is_dir() {
            return Err(Error::Failed(format!(
                "`{path}` is a directory; list_files shows what it holds"
            )));
        }
        let mut bytes = Vec::new();
        fs::File::open(&place)
            .map_err(about)?
            .take(LARGEST_FILE as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(about)?;
        check_size(&path, bytes.len())?;
        String::from_utf8(bytes).map_err(|_| Error::Failed(format!("`{path}` is not UTF-8 text")))
    }

    /// Writes a text file (at most 3 MiB), replacing what was there; missing directories are made.
    fn write_file(
        &self,
        /// Relative to the workspace `/work`, or absolute inside any granted directory.
        path: String,
        /// The whole new text.
        content: String,
    ) -> Result<String> {
        let place = files::path(&path)?;
        check_size(&path, content.len())?;
        if place.is_dir() {
            return Err(Error::Failed(format!("`{path}` is a directory; name a file inside it")));
        }
        make_parent(&path, &place)?;
        fs::write(&place, &content).map_err(|cause| explain(&path, cause))?;
        Ok(format!("wrote {} bytes to {path}", content.len()))
    }

    /// Returns the names in a directory, one a line, sorted; directories end with `/`.
    fn list_files(
        &self,
        /// Relative to the workspace `/work`, or absolute inside any granted directory.
        #[default(".")]
        path: String,
    ) -> Result<String> {
        let place = files::path(&path)?;
        let about = |cause| explain(&path, cause);
        if fs::metadata(&place).map_err(about)?.is_file() {
            return Err(Error::Failed(format!("`{path}` is a file; read_file shows its text")));
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&place).map_err(about)? {
            let entry = entry.map_err(about)?;
            if names.len() == LONGEST_LISTING {
                return Err(Error::Limit(format!(
                    "`{path}` holds more than {LONGEST_LISTING} names"
                )));
            }
            let mark = if entry.file_type().map_err(about)?.is_dir() {
                "/"
            } else {
                ""
            };
            names.push(format!("{}{mark}", entry.file_name().to_string_lossy()));
        }
        names.sort_unstable();
        Ok(names.join("\n"))
    }
}

fn check_size(path: &str, bytes: usize) -> Result<()> {
    if bytes > LARGEST_FILE {
        return Err(Error::Limit(format!("`{path}` is larger than {LARGEST_FILE} bytes")));
    }
    Ok(())
}

fn make_parent(path: &str, place: &Path) -> Result<()> {
    match place.parent() {
        Some(parent) if !parent.is_dir() => fs::create_dir_all(parent).map_err(|cause| explain(path, cause)),
        _ => Ok(()),
    }
}

/// An input or output error with the path as the caller wrote it.
fn explain(path: &str, cause: io::Error) -> Error {
    let text = cause.to_string();
    match Error::from(cause) {
        Error::NotFound(_) => Error::NotFound(format!("`{path}`")),
        Error::Denied(mut refusal) => {
            path.clone_into(&mut refusal.target);
            Error::Denied(refusal)
        }
        Error::Limit(text) => Error::Limit(format!("`{path}`: {text}")),
        _ => Error::Failed(format!("`{path}`: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;
    use venom_sdk::{Skill, call, fake};

    use super::*;

    fn workspace() -> (TempDir, fake::Recorder) {
        let directory = tempfile::tempdir().unwrap();
        let host = fake::Host::new().directory("/work", directory.path()).install();
        (directory, host)
    }

    #[test]
    fn what_is_written_is_read_and_listed() {
        let (directory, _host) = workspace();
        let written = call::<FileSkill>("write_file", json!({ "path": "notes/a.txt", "content": "grüße\n" }));
        assert_eq!(written, Ok(json!("wrote 8 bytes to notes/a.txt")));
        assert_eq!(
            fs::read_to_string(directory.path().join("notes/a.txt")).unwrap(),
            "grüße\n"
        );
        for path in ["notes/a.txt", "/work/notes/a.txt", "notes/../notes/a.txt"] {
            assert_eq!(
                call::<FileSkill>("read_file", json!({ "path": path })),
                Ok(json!("grüße\n"))
            );
        }
        fs::write(directory.path().join("b.txt"), "b").unwrap();
        assert_eq!(call::<FileSkill>("list_files", json!({})), Ok(json!("b.txt\nnotes/")));
        assert_eq!(
            call::<FileSkill>("list_files", json!({ "path": "notes" })),
            Ok(json!("a.txt"))
        );
    }

    #[test]
    fn errors_say_what_and_what_to_do() {
        let (directory, _host) = workspace();
        fs::write(directory.path().join("raw"), [0xff, 0xfe]).unwrap();
        let read = |path: &str| call::<FileSkill>("read_file", json!({ "path": path })).unwrap_err();
        assert_eq!(read("none.txt"), Error::NotFound("`none.txt`".to_owned()));
        assert_eq!(read("raw"), Error::Failed("`raw` is not UTF-8 text".to_owned()));
        assert!(read(".").to_string().contains("`.` is a directory; list_files"));
        let list = call::<FileSkill>("list_files", json!({ "path": "raw" })).unwrap_err();
        assert!(list.to_string().contains("`raw` is a file; read_file"));
        let write = call::<FileSkill>("write_file", json!({ "path": ".", "content": "" })).unwrap_err();
        assert!(write.to_string().contains("is a directory"));
    }

    #[test]
    fn paths_outside_are_refused() {
        let (_directory, _host) = workspace();
        for path in ["/etc/passwd", "../secret", "/work/../etc/passwd"] {
            for (method, params) in [
                ("read_file", json!({ "path": path })),
                ("write_file", json!({ "path": path, "content": "" })),
                ("list_files", json!({ "path": path })),
            ] {
                let refused = call::<FileSkill>(method, params);
                assert!(
                    matches!(&refused, Err(Error::Denied(refusal)) if refusal.target == path),
                    "{refused:?}"
                );
            }
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let (directory, _host) = workspace();
        let large = "x".repeat(LARGEST_FILE + 1);
        fs::write(directory.path().join("large"), &large).unwrap();
        assert!(matches!(
            call::<FileSkill>("read_file", json!({ "path": "large" })),
            Err(Error::Limit(_))
        ));
        let write = call::<FileSkill>("write_file", json!({ "path": "new", "content": large }));
        assert!(matches!(write, Err(Error::Limit(_))));
        assert!(!directory.path().join("new").exists());
    }

    #[test]
    fn the_name_is_the_bundles() {
        assert_eq!(FileSkill::describe().name, "FileSkill");
        assert!(include_str!("../skill.toml").contains("name = \"FileSkill\""));
    }
}
