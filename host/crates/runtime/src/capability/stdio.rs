//! Standard streams of a guest: input is empty, output and errors become log lines. Nothing of the host's own
//! streams is inherited.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncWrite, sink};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::journal::{Journal, Stream};

/// Bytes a guest may write at once; it comes back for more.
const CHUNK: usize = 64 << 10;

/// One of a guest's two output streams.
#[derive(Debug, Clone)]
pub(crate) struct GuestOutput {
    journal: Arc<Journal>,
    stream: Stream,
}

impl GuestOutput {
    pub(crate) fn new(journal: Arc<Journal>, stream: Stream) -> Self {
        Self { journal, stream }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    /// Used by WASI 0.3 only, which is refused when a skill is loaded.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.journal.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}
