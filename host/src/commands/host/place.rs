//! The place of an installed program. Whoever looks finds the old program there or the new one, whenever this is killed:
//! the new one is complete, on disk and tried before one rename puts it there.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use semver::Version;
use tokio::process::Command;

use super::verify::{Measured, measure};
use crate::failure::{Explain as _, Failure};

/// Mode of a program where none is installed yet.
const PROGRAM: u32 = 0o755;
/// Longest wait for a program to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

/// Where a program is installed. Nobody else replaces it while this is held.
pub(super) struct Place {
    path: PathBuf,
    directory: File,
}

impl Place {
    /// Takes hold of a place.
    pub(super) fn hold(path: &Path) -> Result<Self, Failure> {
        let what = || format!("cannot install to {}", path.display());
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(Failure::new(what())
                    .because("it is no plain file")
                    .help("name the program itself, not a link to it or a directory"));
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).or_fail(what()),
            _ => {}
        }
        if path.file_name().is_none() {
            return Err(Failure::usage(format!("{} names no file", path.display())));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = File::open(parent.unwrap_or(Path::new("."))).or_fail(what())?;
        match directory.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(what()).because("another `host apply` is at work in that directory"));
            }
            Err(TryLockError::Error(error)) => return Err(error).or_fail(what()),
        }
        let path = path.to_owned();
        Ok(Self { path, directory })
    }

    /// A file beside it: `/usr/local/bin/.venom-host.new`, or without the dot in front.
    fn beside(&self, before: &str, after: &str) -> PathBuf {
        let mut name = OsString::from(before);
        name.push(self.path.file_name().unwrap_or_default());
        name.push(after);
        self.path.with_file_name(name)
    }

    /// What is installed; none: nothing.
    pub(super) fn installed(&self) -> Result<Option<Measured>, Failure> {
        match File::open(&self.path) {
            Ok(file) => measure(file, std::io::sink())
                .map(Some)
                .or_fail(format!("cannot read {}", self.path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).or_fail(format!("cannot read {}", self.path.display())),
        }
    }

    /// The version that the installed program says it has.
    pub(super) async fn version(&self) -> Result<Version, Failure> {
        version_of(&self.path).await
    }

    /// Copies a program next to the place, whole and on disk.
    pub(super) fn stage(&self, program: File) -> Result<Staged<'_>, Failure> {
        let draft = Draft(self.beside(".", ".new"));
        let what = format!("cannot write {}", draft.0.display());
        // Whoever was killed left one; nobody else is here.
        remove_if_there(&draft.0).or_fail(&*what)?;
        let measured = self.copy(program, &draft.0).or_fail(what)?;
        Ok(Staged {
            place: self,
            draft,
            measured,
        })
    }

    fn copy(&self, program: File, draft: &Path) -> std::io::Result<Measured> {
        let old = match fs::metadata(&self.path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut copy = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(draft)?;
        let measured = measure(program, &mut copy)?;
        if let Some(old) = &old
            && (old.uid(), old.gid()) != owner(&copy)?
        {
            fchown(&copy, Some(old.uid()), Some(old.gid()))?;
        }
        let mode = old.map_or(PROGRAM, |old| old.mode() & 0o777);
        copy.set_permissions(fs::Permissions::from_mode(mode))?;
        copy.sync_all()?;
        Ok(measured)
    }
}

fn owner(file: &File) -> std::io::Result<(u32, u32)> {
    let metadata = file.metadata()?;
    Ok((metadata.uid(), metadata.gid()))
}

/// A file that goes away unless it was moved.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // Moved, or of no use to anybody; the next one who comes removes it too.
        let _ = fs::remove_file(&self.0);
    }
}

/// A complete program beside its place.
pub(super) struct Staged<'a> {
    place: &'a Place,
    draft: Draft,
    /// What was really copied.
    pub(super) measured: Measured,
}

impl Staged<'_> {
    /// Whether it runs on this machine and says that it has this version. It must be believed before.
    pub(super) async fn check_runs(&self, expected: &Version) -> Result<(), Failure> {
        let found = version_of(&self.draft.0).await.map_err(|failure| {
            Failure::new("the new program does not run on this machine")
                .because(failure.summary())
                .help("nothing was changed; is it the one for this machine, and complete?")
        })?;
        if found == *expected {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the new program says that it is version {found}, {expected} is signed"
        ))
        .help("nothing was changed; its maker signed it with another --version than it has"))
    }

    /// Puts it into its place and keeps the one before.
    pub(super) fn swap(self) -> Result<(), Failure> {
        let place = self.place;
        let what = format!("cannot replace {}", place.path.display());
        self.keep_previous().or_fail(&*what)?;
        fs::rename(&self.draft.0, &place.path).or_fail(&*what)?;
        place.directory.sync_all().or_fail(what)
    }

    /// The place is never empty meanwhile: the old program gets a second name.
    fn keep_previous(&self) -> std::io::Result<()> {
        let link = Draft(self.place.beside(".", ".old"));
        remove_if_there(&link.0)?;
        match fs::hard_link(&self.place.path, &link.0) {
            Ok(()) => fs::rename(&link.0, self.place.beside("", ".previous"))?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        self.place.directory.sync_all()
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Asks a program for its version: `venom-host 1.2.3`.
async fn version_of(path: &Path) -> Result<Version, Failure> {
    let what = || format!("{} does not say its version", path.display());
    let absolute = std::path::absolute(path).or_fail(what())?;
    let asking = Command::new(absolute)
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(VERSION_TIMEOUT, asking).await {
        Ok(output) => output.or_fail(what())?,
        Err(_) => return Err(Failure::new(what()).because("it does not answer")),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().strip_prefix("venom-host ").map(Version::parse);
    match version {
        Some(Ok(version)) if output.status.success() => Ok(version),
        _ => {
            let said: String = text.trim().chars().filter(|c| !c.is_control()).take(80).collect();
            Err(Failure::new(what()).because(format!("it says `{said}` and ends with {}", output.status)))
        }
    }
}
