//! Granted directories, opened once. Nothing here follows a path of the guest's choosing.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::Arc;

use bytesize::ByteSize;
use rustix::fs::OFlags;
use venom_bundle::capability::{Access, FsGrant};
use wasmtime_wasi::filesystem::Dir;
use wasmtime_wasi::{FsPerms, OpenMode};

use super::quota::{Quota, Quotas};

/// What a writable directory may hold when its grant sets no quota.
const DEFAULT_QUOTA: ByteSize = ByteSize::gib(1);

/// One granted directory, open.
#[derive(Clone)]
pub(crate) struct Directory {
    handle: Arc<File>,
    guest: String,
    perms: FsPerms,
    pub(super) quota: Option<Arc<Quota>>,
}

/// All of a skill's directories.
pub(crate) type Directories = Vec<Directory>;

impl Directory {
    /// Opens a grant's directory. The text of the error says what to do.
    pub(crate) fn open(grant: &FsGrant, quotas: &Quotas) -> Result<Self, String> {
        if !grant.host.is_absolute() {
            return Err("the host directory must be an absolute path".to_owned());
        }
        let handle = File::options()
            .read(true)
            .custom_flags((OFlags::DIRECTORY | OFlags::CLOEXEC).bits().cast_signed())
            .open(&grant.host)
            .map_err(|error| format!("{error}; create the directory or remove the grant"))?;
        let quota = match grant.access {
            Access::Ro => None,
            Access::Rw => {
                let limit = grant.quota.unwrap_or(DEFAULT_QUOTA).as_u64();
                let found = handle.metadata().map_err(|error| error.to_string())?;
                Some(Arc::new(Quota::new(
                    limit,
                    quotas.of(&grant.host, (found.dev(), found.ino())),
                )))
            }
        };
        Ok(Self {
            handle: Arc::new(handle),
            guest: grant.guest.clone(),
            perms: match grant.access {
                Access::Ro => FsPerms::ReadOnly,
                Access::Rw => FsPerms::ReadWrite,
            },
            quota,
        })
    }

    /// As the guest names it.
    pub(super) fn guest(&self) -> &str {
        &self.guest
    }

    /// A second handle for one call; none when the directory was deleted since it was opened.
    pub(super) fn for_call(&self) -> std::io::Result<Option<Dir>> {
        if self.handle.metadata()?.nlink() == 0 {
            return Ok(None);
        }
        let mode = match self.perms {
            FsPerms::ReadOnly => OpenMode::READ,
            FsPerms::ReadWrite => OpenMode::READ | OpenMode::WRITE,
        };
        Ok(Some(Dir::new(self.handle.try_clone()?, self.perms, mode, false)))
    }

    /// Something else (a command) may have written: what is known of the directory's size is void.
    pub(crate) fn forget_usage(&self) {
        if let Some(quota) = &self.quota {
            quota.forget();
        }
    }
}
