//! The public face of the nexus: made from settings, served over a listener the caller gives.

use std::io;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use venom_runtime::SkillSet;

use crate::{InvalidSettings, NexusSettings};

/// Why the nexus cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NexusError {
    /// A setting that cannot be kept.
    #[error("settings cannot be used")]
    Settings(#[from] InvalidSettings),
    /// A file that cannot be read or opened.
    #[error("cannot open {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate or key that rustls does not take.
    #[error("certificate and key cannot be used: {why}")]
    Tls {
        /// What is wrong with them.
        why: String,
    },
    /// `--dev` on an address others can reach.
    #[error("development mode is loopback only, but the listener is on {address}; bind 127.0.0.1 or leave dev mode")]
    DevNotLoopback {
        /// Where the listener is.
        address: std::net::SocketAddr,
    },
    /// The listener is of no use.
    #[error("listener cannot be used")]
    Listener(#[source] io::Error),
}

/// A nexus, ready to serve.
pub struct Nexus {}

impl Nexus {
    /// Checks the settings and opens what they name (certificate, audit log). Binds nothing.
    ///
    /// `local` is what the nexus may run itself when no node fits.
    ///
    /// # Errors
    /// What is wrong with the settings or the files they name.
    pub fn new(_settings: NexusSettings, _local: Option<SkillSet>) -> Result<Self, NexusError> {
        todo!()
    }

    /// Serves until `shutdown` is cancelled and what is in flight has finished or the drain timeout passed.
    ///
    /// # Errors
    /// When the listener cannot be used, or dev mode is not on loopback.
    pub async fn serve(self, _listener: TcpListener, _shutdown: CancellationToken) -> Result<(), NexusError> {
        todo!()
    }

    /// The OpenAPI 3.1 document, as `/openapi.json` serves it.
    #[must_use]
    pub fn openapi_json() -> String {
        todo!()
    }
}
