//! `wasi:filesystem` with quotas: what can make a directory grow is counted first, everything else is handed on
//! to wasmtime-wasi unchanged. It resolves no path itself.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::ResourceTable;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use types::{DescriptorFlags, ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream, NewTimestamp, PathFlags};

use super::directory::Directory;
use super::quota::{ENTRY_BYTES, Promise, Quota, QuotaExceeded};
use super::stream::{Place, QuotaStream, growth};

/// The file system state of one call. Empty until the guest asks for its directories.
#[derive(Default)]
pub(crate) struct Files {
    ctx: WasiFilesystemCtx,
    /// The quota each open descriptor counts towards, by handle; none for read-only ones.
    quotas: HashMap<u32, Arc<Quota>>,
}

/// One use of the interface.
pub(crate) struct FsView<'a> {
    directories: &'a [Directory],
    quotas: &'a mut HashMap<u32, Arc<Quota>>,
    inner: WasiFilesystemCtxView<'a>,
}

impl HasData for Files {
    type Data<'a> = FsView<'a>;
}

impl<'a> FsView<'a> {
    pub(crate) fn new(directories: &'a [Directory], files: &'a mut Files, table: &'a mut ResourceTable) -> Self {
        Self {
            directories,
            quotas: &mut files.quotas,
            inner: WasiFilesystemCtxView {
                ctx: &mut files.ctx,
                table,
            },
        }
    }

    fn quota(&self, descriptor: &Resource<Descriptor>) -> Option<Arc<Quota>> {
        self.quotas.get(&descriptor.rep()).cloned()
    }

    /// What a write of `length` bytes counts towards, and how much.
    fn growth(&self, file: &Resource<Descriptor>, place: Place, length: u64) -> FsResult<Growth> {
        let Some(quota) = self.quota(file) else { return Ok(None) };
        let Descriptor::File(open) = self.inner.table.get(file)? else {
            return Ok(None);
        };
        let bytes = growth(&open.file, place, length)?;
        Ok(Some((quota, bytes)))
    }

    /// What one new entry counts towards, and how much.
    fn entry(&self, directory: &Resource<Descriptor>, more: usize) -> Growth {
        Some((self.quota(directory)?, ENTRY_BYTES.saturating_add(more as u64)))
    }

    /// Bytes cannot be moved from one quota to another without being counted, so such a move is none: as between
    /// two devices, the guest copies instead.
    fn same_quota(&self, one: &Resource<Descriptor>, other: &Resource<Descriptor>) -> FsResult<()> {
        let same = match (self.quotas.get(&one.rep()), self.quotas.get(&other.rep())) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            _ => false,
        };
        if same {
            Ok(())
        } else {
            Err(ErrorCode::CrossDevice.into())
        }
    }

    fn wrap(
        &mut self,
        file: &Resource<Descriptor>,
        stream: Resource<DynOutputStream>,
        place: Place,
    ) -> FsResult<Resource<DynOutputStream>> {
        let Some(quota) = self.quota(file) else {
            return Ok(stream);
        };
        let Descriptor::File(open) = self.inner.table.get(file)? else {
            return Ok(stream);
        };
        let open = Arc::clone(&open.file);
        let inner = self.inner.table.delete(stream)?;
        let wrapped: DynOutputStream = Box::new(QuotaStream::new(inner, open, place, quota));
        Ok(self.inner.table.push(wrapped)?)
    }
}

/// The quota that growth counts towards, if any, and the bytes.
type Growth = Option<(Arc<Quota>, u64)>;

/// Promises growth; the promise is kept until what it is for is done.
async fn promise(growth: Growth) -> FsResult<Option<Promise>> {
    let Some((quota, bytes)) = growth else { return Ok(None) };
    Ok(Some(quota.promise(bytes).await.map_err(|_| ErrorCode::Quota)?))
}

impl preopens::Host for FsView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let mut open = Vec::with_capacity(self.directories.len());
        for directory in self.directories {
            let Some(handle) = directory.for_call()? else {
                tracing::warn!(
                    guest = directory.guest(),
                    "granted directory was deleted; load the skill again"
                );
                continue;
            };
            let descriptor = self.inner.table.push(Descriptor::Dir(handle))?;
            if let Some(quota) = &directory.quota {
                self.quotas.insert(descriptor.rep(), Arc::clone(quota));
            }
            open.push((descriptor, directory.guest().to_owned()));
        }
        Ok(open)
    }
}

impl types::Host for FsView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        if self.inner.table.get(&error)?.downcast_ref::<QuotaExceeded>().is_some() {
            return Ok(Some(ErrorCode::Quota));
        }
        self.inner.filesystem_error_code(error)
    }
}

impl HostDescriptor for FsView<'_> {
    // What can grow a directory.

    async fn set_size(&mut self, file: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        let _promise = promise(self.growth(&file, Place::At(0), size)?).await?;
        self.inner.set_size(file, size).await
    }

    async fn write(&mut self, file: Resource<Descriptor>, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        let _promise = promise(self.growth(&file, Place::At(offset), bytes.len() as u64)?).await?;
        self.inner.write(file, bytes, offset).await
    }

    fn write_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let stream = self.inner.write_via_stream(Resource::new_borrow(file.rep()), offset)?;
        self.wrap(&file, stream, Place::At(offset))
    }

    fn append_via_stream(&mut self, file: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let stream = self.inner.append_via_stream(Resource::new_borrow(file.rep()))?;
        self.wrap(&file, stream, Place::End)
    }

    async fn open_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: types::OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let quota = self.quota(&directory);
        let _promise = if open_flags.contains(types::OpenFlags::CREATE) {
            promise(self.entry(&directory, 0)).await?
        } else {
            None
        };
        let opened = self
            .inner
            .open_at(directory, path_flags, path, open_flags, flags)
            .await?;
        if let Some(quota) = quota {
            self.quotas.insert(opened.rep(), quota);
        }
        Ok(opened)
    }

    async fn create_directory_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        let _promise = promise(self.entry(&directory, 0)).await?;
        self.inner.create_directory_at(directory, path).await
    }

    async fn symlink_at(&mut self, directory: Resource<Descriptor>, from: String, to: String) -> FsResult<()> {
        let _promise = promise(self.entry(&directory, from.len())).await?;
        self.inner.symlink_at(directory, from, to).await
    }

    async fn link_at(
        &mut self,
        from: Resource<Descriptor>,
        path_flags: PathFlags,
        old: String,
        to: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        self.same_quota(&from, &to)?;
        let _promise = promise(self.entry(&to, 0)).await?;
        self.inner.link_at(from, path_flags, old, to, new).await
    }

    async fn rename_at(
        &mut self,
        from: Resource<Descriptor>,
        old: String,
        to: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        self.same_quota(&from, &to)?;
        self.inner.rename_at(from, old, to, new).await
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.quotas.remove(&descriptor.rep());
        HostDescriptor::drop(&mut self.inner, descriptor)
    }

    // What cannot.

    async fn advise(
        &mut self,
        file: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: types::Advice,
    ) -> FsResult<()> {
        self.inner.advise(file, offset, length, advice).await
    }

    async fn sync_data(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.inner.sync_data(descriptor).await
    }

    async fn get_flags(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.inner.get_flags(descriptor).await
    }

    async fn get_type(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::DescriptorType> {
        self.inner.get_type(descriptor).await
    }

    async fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.inner.set_times(descriptor, accessed, modified).await
    }

    async fn read(
        &mut self,
        file: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.inner.read(file, length, offset).await
    }

    async fn read_directory(
        &mut self,
        directory: Resource<Descriptor>,
    ) -> FsResult<Resource<types::DirectoryEntryStream>> {
        self.inner.read_directory(directory).await
    }

    async fn sync(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.inner.sync(descriptor).await
    }

    async fn stat(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::DescriptorStat> {
        self.inner.stat(descriptor).await
    }

    async fn stat_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<types::DescriptorStat> {
        self.inner.stat_at(directory, path_flags, path).await
    }

    async fn set_times_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.inner
            .set_times_at(directory, path_flags, path, accessed, modified)
            .await
    }

    async fn readlink_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<String> {
        self.inner.readlink_at(directory, path).await
    }

    async fn remove_directory_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.inner.remove_directory_at(directory, path).await
    }

    async fn unlink_file_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.inner.unlink_file_at(directory, path).await
    }

    fn read_via_stream(&mut self, file: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        self.inner.read_via_stream(file, offset)
    }

    async fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        self.inner.is_same_object(one, other).await
    }

    async fn metadata_hash(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::MetadataHashValue> {
        self.inner.metadata_hash(descriptor).await
    }

    async fn metadata_hash_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        self.inner.metadata_hash_at(directory, path_flags, path).await
    }
}

impl HostDirectoryEntryStream for FsView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        self.inner.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}
