//! A file's output stream with its growth counted before each write. The writing is wasmtime-wasi's.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::quota::{Promise, Quota};

/// Most bytes of one write; wasmtime-wasi's own streams take as much.
const CHUNK: usize = 64 << 10;

/// Where the next write goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// At this offset, which moves on.
    At(u64),
    /// At the file's end.
    End,
}

/// The wrapped stream.
pub(super) struct QuotaStream {
    inner: DynOutputStream,
    file: Arc<File>,
    place: Place,
    quota: Arc<Quota>,
    /// Of the write that may be under way.
    promise: Option<Promise>,
}

impl QuotaStream {
    pub(super) fn new(inner: DynOutputStream, file: Arc<File>, place: Place, quota: Arc<Quota>) -> Self {
        Self {
            inner,
            file,
            place,
            quota,
            promise: None,
        }
    }

    fn growth(&self, length: usize) -> io::Result<u64> {
        growth(&self.file, self.place, length as u64)
    }

    fn advance(&mut self, length: usize) {
        if let Place::At(offset) = &mut self.place {
            *offset = offset.saturating_add(length as u64);
        }
    }
}

/// How much longer a file gets by a write.
pub(super) fn growth(file: &File, place: Place, length: u64) -> io::Result<u64> {
    match place {
        Place::End => Ok(length),
        Place::At(offset) => Ok(offset.saturating_add(length).saturating_sub(file.metadata()?.len())),
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StreamError {
    StreamError::LastOperationFailed(wasmtime::Error::new(error))
}

#[async_trait]
impl Pollable for QuotaStream {
    async fn ready(&mut self) {
        self.inner.ready().await;
        self.promise = None;
        // `write` cannot wait; so what it may need is found out here.
        if !self.quota.fits(CHUNK as u64) {
            self.quota.measure().await;
        }
    }
}

#[async_trait]
impl OutputStream for QuotaStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let growth = self.growth(bytes.len()).map_err(failed)?;
        let promise = self
            .quota
            .try_promise(growth)
            .ok_or_else(|| failed(self.quota.exceeded()))?;
        let length = bytes.len();
        self.inner.write(bytes)?;
        self.promise = Some(promise);
        self.advance(length);
        Ok(())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.inner.ready().await;
        self.promise = None;
        let growth = self.growth(bytes.len()).map_err(failed)?;
        let promise = self.quota.promise(growth).await.map_err(failed)?;
        let length = bytes.len();
        self.promise = Some(promise);
        self.inner.blocking_write_and_flush(bytes).await?;
        self.promise = None;
        self.advance(length);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let permitted = self.inner.check_write()?.min(CHUNK);
        // Zero sends the guest to `ready`, where the directory is measured; when that was just done, the write
        // itself will say what is wrong.
        if !self.quota.fits(permitted as u64) && self.quota.may_measure() {
            return Ok(0);
        }
        Ok(permitted)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
        self.promise = None;
    }
}
