//! Whether the sources of a skill have changed: looked at by time and size, judged by content, so that a build that
//! writes the same files again does not begin another. What builds make is left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use venom_bundle::Digest;

/// How often files are looked at: quicker than people notice.
const EVERY: Duration = Duration::from_millis(200);
/// Most files that are watched: a skill has dozens, and whoever names `/` by mistake is not walked through it.
const MOST_FILES: usize = 10_000;
/// Deepest directory that is looked into.
const DEEPEST: usize = 16;
/// Directories builds and tools fill. Hidden ones are left out too.
const MADE: [&str; 4] = ["target", "node_modules", "__pycache__", "venv"];

/// The state of a directory's sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sources {
    directory: PathBuf,
    stamps: Stamps,
    contents: Contents,
}

/// When each file was written, and its size.
type Stamps = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;
/// What each file holds.
type Contents = BTreeMap<PathBuf, Digest>;

impl Sources {
    /// As they are now.
    pub(super) fn of(directory: &Path) -> Self {
        let stamps = stamps(directory);
        Self {
            directory: directory.to_owned(),
            contents: contents(&stamps),
            stamps,
        }
    }

    /// Waits until they are others than these and nobody writes any more.
    pub(super) async fn changed(self) -> Self {
        let mut last = self.stamps;
        let mut seen = last.clone();
        loop {
            tokio::time::sleep(EVERY).await;
            let now = stamps(&self.directory);
            let at_rest = now == last;
            last = now;
            if !at_rest || last == seen {
                continue;
            }
            seen.clone_from(&last);
            let contents = contents(&last);
            if contents != self.contents {
                return Self {
                    directory: self.directory,
                    stamps: last,
                    contents,
                };
            }
        }
    }

    /// The same, but for files a build may rewrite by itself, which are taken as they are now.
    pub(super) fn after_build(mut self) -> Self {
        let lock = self.directory.join("Cargo.lock");
        if let Some(stamp) = stamps(&self.directory).remove(&lock) {
            self.contents.insert(lock.clone(), digest(&lock));
            self.stamps.insert(lock, stamp);
        }
        self
    }
}

fn stamps(directory: &Path) -> Stamps {
    let mut found = Stamps::new();
    let mut directories = vec![(directory.to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        // A directory that went away meanwhile has no files.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let (path, kind) = (entry.path(), entry.file_type());
            let Ok(kind) = kind else { continue };
            if kind.is_dir() && depth < DEEPEST && !name.starts_with('.') && !MADE.contains(&&*name) {
                directories.push((path, depth + 1));
            } else if kind.is_file() && !name.ends_with(".venom") && found.len() < MOST_FILES {
                let Ok(metadata) = entry.metadata() else { continue };
                found.insert(path, (metadata.modified().ok(), metadata.len()));
            }
        }
    }
    found
}

fn contents(stamps: &Stamps) -> Contents {
    stamps.keys().map(|path| (path.clone(), digest(path))).collect()
}

/// A file that cannot be read counts as an empty one.
fn digest(path: &Path) -> Digest {
    Digest::of(&std::fs::read(path).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["src", "target/debug", ".git", "node_modules/a"] {
            std::fs::create_dir_all(directory.path().join(folder)).unwrap();
        }
        std::fs::write(directory.path().join("src/lib.rs"), "one").unwrap();
        directory
    }

    #[test]
    fn what_builds_make_is_no_source() {
        let directory = skill();
        let before = Sources::of(directory.path());
        for made in [
            "target/debug/a.wasm",
            "Skill.venom",
            ".git/index",
            "node_modules/a/index.js",
        ] {
            std::fs::write(directory.path().join(made), "made").unwrap();
        }
        assert_eq!(Sources::of(directory.path()), before);
        std::fs::write(directory.path().join("skill.toml"), "").unwrap();
        assert_ne!(Sources::of(directory.path()), before);
    }

    #[test]
    fn a_lock_file_the_build_wrote_is_known() {
        let directory = skill();
        std::fs::write(directory.path().join("Cargo.lock"), "old").unwrap();
        let before = Sources::of(directory.path());
        std::fs::write(directory.path().join("Cargo.lock"), "written by the build").unwrap();
        std::fs::write(directory.path().join("src/lib.rs"), "edited meanwhile").unwrap();
        let after = before.clone().after_build();
        let now = Sources::of(directory.path());
        let [lock, lib] = ["Cargo.lock", "src/lib.rs"].map(|name| directory.path().join(name));
        assert_eq!(after.contents[&lock], now.contents[&lock]);
        assert_eq!(after.contents[&lib], before.contents[&lib], "the edit is still news");
    }

    #[tokio::test]
    async fn an_edit_is_noticed_and_the_same_text_again_is_not() {
        let directory = skill();
        let lib = directory.path().join("src/lib.rs");
        let before = Sources::of(directory.path());
        let old = before.contents.clone();
        let writer = async {
            std::fs::write(&lib, "one").unwrap();
            tokio::time::sleep(4 * EVERY).await;
            std::fs::write(&lib, "two!").unwrap();
        };
        let noticed = tokio::time::timeout(Duration::from_secs(60), before.changed());
        let (after, ()) = tokio::join!(noticed, writer);
        let after = after.unwrap();
        assert_ne!(after.contents, old);
        assert_eq!(after.stamps[&lib].1, 4, "it is the second text that was news");
    }
}
