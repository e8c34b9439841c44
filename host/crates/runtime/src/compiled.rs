//! The cache of compiled code: a directory only this user can enter, one file for each component and engine.
//! It never takes code from anywhere else, and a file that is not exactly what was written is compiled anew.

use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use venom_bundle::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::RuntimeError;
use crate::trusted::deserialize_compiled;

/// Bytes of SHA-256 before the compiled code in each file.
const HEADER: usize = 32;
/// Larger files are not ours: the largest known component (Python) compiles to about 100 MB.
const MAX_FILE: u64 = 1 << 30;

/// An open cache.
#[derive(Debug)]
pub(crate) struct CompiledCache {
    directory: PathBuf,
    engine_hash: String,
}

impl CompiledCache {
    /// Makes the directory (0700) when it is absent; refuses one that others can enter.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> Result<Self, RuntimeError> {
        let refuse = |problem: String| RuntimeError::CompiledCache {
            path: directory.to_owned(),
            problem,
        };
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refuse(format!("cannot be made: {error}")));
            }
            _ => {}
        }
        let found = fs::symlink_metadata(directory).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        if !found.is_dir() {
            return Err(refuse("is no directory (a link is not taken either)".to_owned()));
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(refuse(format!(
                "belongs to user {}; compiled code is taken from ourselves only",
                found.uid()
            )));
        }
        if found.mode() & 0o077 != 0 {
            return Err(refuse(format!(
                "others may enter it (mode {:o}); run: chmod 700 {}",
                found.mode() & 0o777,
                directory.display()
            )));
        }
        Ok(Self {
            directory: directory.to_owned(),
            engine_hash: engine_hash(engine),
        })
    }

    fn file_of(&self, component: Digest) -> PathBuf {
        self.directory.join(format!("{component}-{}.cwasm", self.engine_hash))
    }

    /// The compiled form, if there is a whole one.
    pub(crate) fn get(&self, engine: &Engine, component: Digest) -> Option<Component> {
        let path = self.file_of(component);
        let content = match read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code is unreadable; compiling anew");
                return None;
            }
        };
        let Some((digest, code)) = content.split_at_checked(HEADER) else {
            tracing::warn!(path = %path.display(), "compiled code is cut short; compiling anew");
            return None;
        };
        if Sha256::digest(code).as_slice() != digest {
            tracing::warn!(path = %path.display(), "compiled code was altered; compiling anew");
            return None;
        }
        match deserialize_compiled(engine, code) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), error = %format!("{error:#}"), "compiled code is refused by the engine; compiling anew");
                None
            }
        }
    }

    /// Keeps the code of a component. A cache that cannot be written only costs time, so that is a log line.
    pub(crate) fn put(&self, digest: Digest, code: &[u8]) {
        let path = self.file_of(digest);
        if let Err(error) = self.write(&path, code) {
            tracing::warn!(path = %path.display(), %error, "compiled code could not be kept; the next start compiles anew");
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let temporary = self.directory.join(format!(".{}-{serial}.tmp", std::process::id()));
        let result = write_whole(&temporary, code).and_then(|()| fs::rename(&temporary, path));
        if result.is_err() {
            // Nothing refers to it; a leftover would only take space.
            drop(fs::remove_file(&temporary));
        }
        result?;
        File::open(&self.directory)?.sync_all()
    }
}

fn write_whole(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)?;
    file.sync_all()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_FILE {
        return Err(io::Error::other(format!(
            "{length} bytes are more than any compiled skill has"
        )));
    }
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

/// Changes with wasmtime's version, the target, and every setting that changes the code it makes.
fn engine_hash(engine: &Engine) -> String {
    let mut hasher = ShaHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Digest::from_bytes(hasher.0.finalize().into()).to_string()
}

/// `std`'s hashers may change between compilers; this one does not.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest
            .iter()
            .take(8)
            .fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}
