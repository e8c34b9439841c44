//! Keys on disk: private keys are created 0600 from their first byte, never overwritten, and not read when
//! others could have read them too.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::{KeyError, PublicKey, SigningKey};

/// Largest key file read; a PEM file of an ed25519 key has about 120 bytes.
const MAX_KEY_FILE: u64 = 16 * 1024;

impl SigningKey {
    /// Reads a PKCS#8 PEM file. Refuses one that its group or the world may read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        // The open file is asked, not the path: nothing can be swapped in between.
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let text = read_text(file).map_err(failed)?;
        Self::from_pem(&text).map_err(|_| KeyError::NotPrivate {
            what: path.display().to_string(),
        })
    }

    /// Writes a new PKCS#8 PEM file with mode 0600. Fails when there is a file already.
    pub fn save_new(&self, path: &Path) -> Result<(), KeyError> {
        write_new(path, self.to_pem()?.as_bytes(), 0o600)
    }
}

impl PublicKey {
    /// Reads a public key file (PEM, or base64 as in trust files).
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let text = File::open(path).and_then(read_text).map_err(failed)?;
        let what = path.display().to_string();
        Self::parse(&text).map_err(|error| match error {
            KeyError::Weak { .. } => KeyError::Weak { what },
            _ => KeyError::NotPublic { what },
        })
    }

    /// Writes a new public key file (PEM), readable by all. Fails when there is a file already.
    pub fn save_new(&self, path: &Path) -> Result<(), KeyError> {
        write_new(path, self.to_pem().as_bytes(), 0o644)
    }
}

fn read_text(file: File) -> std::io::Result<Zeroizing<String>> {
    // Room for everything at once, so that no grown-out-of buffer keeps a copy of a private key.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize + 1));
    let read = file.take(MAX_KEY_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_KEY_FILE {
        return Err(std::io::Error::new(ErrorKind::InvalidData, "larger than any key file"));
    }
    Ok(text)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyError> {
    let failed = |source| KeyError::File {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let created = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = created.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
        _ => failed(source),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}
