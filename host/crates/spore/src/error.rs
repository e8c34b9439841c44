//! Why a spore does not start, and why a link to the nexus ended. Only the first ends the process.

use std::path::PathBuf;
use std::time::Duration;

use tokio_tungstenite::tungstenite;

/// A spore that cannot start. Everything later (no nexus, a wrong token, a broken link) is retried.
#[derive(Debug, thiserror::Error)]
pub enum SporeError {
    /// A setting that cannot work.
    #[error("setting `{setting}` cannot work: {why}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong and what to do.
        why: &'static str,
    },
    /// The nexus address.
    #[error("`{address}` is no nexus address: {why} (write wss://host:port, ws://host:port or host:port)")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file of certificate authorities.
    #[error("certificate file `{path}` cannot be used; give a PEM file with at least one certificate")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CaFileError,
    },
    /// TLS itself could not be set up.
    #[error("tls cannot be set up")]
    Tls(#[source] rustls::Error),
    /// HTTP could not be set up.
    #[error("http cannot be set up")]
    Http(#[source] reqwest::Error),
    /// A simulated spore was not accepted in time.
    #[error("the nexus at `{address}` did not accept the spore within {waited:?}")]
    NotAccepted {
        /// Where.
        address: String,
        /// How long was waited.
        waited: Duration,
    },
}

/// What is wrong with a file of certificate authorities.
#[derive(Debug, thiserror::Error)]
pub enum CaFileError {
    /// It is not PEM or cannot be read.
    #[error("it cannot be read as pem")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// It holds no certificate.
    #[error("it holds no certificate")]
    Empty,
    /// A certificate in it is no authority rustls takes.
    #[error("a certificate in it is not valid")]
    Invalid(#[source] rustls::Error),
}

/// Why no link came to be, or why it ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("nexus `{authority}` cannot be reached: {source}")]
    Unreachable { authority: String, source: std::io::Error },
    #[error("nexus `{authority}` did not answer within {waited:?}")]
    Slow { authority: String, waited: Duration },
    #[error("`{authority}` answered http {status} where a nexus opens a websocket; check the address")]
    NoNexus { authority: String, status: u16 },
    #[error("nexus refused this spore's token ({reason}); give the token of that nexus")]
    TokenRefused { reason: String },
    #[error("nexus takes no spores ({reason}); its node role is off")]
    RoleOff { reason: String },
    #[error("nexus closed the link (code {code}): {reason}")]
    Closed { code: u16, reason: String },
    #[error("nexus said goodbye: {reason}")]
    Goodbye { reason: String },
    #[error("link broke off without a close")]
    BrokenOff,
    #[error("nexus was silent for {silence:?}")]
    Silent { silence: Duration },
    #[error("nexus sent what this spore cannot take: {reason}")]
    Confused { reason: String },
    #[error("link failed: {0}")]
    WebSocket(#[from] tungstenite::Error),
    #[error("frame cannot be written as json: {0}")]
    Encode(#[from] serde_json::Error),
}

impl LinkError {
    /// Whether trying again soon is no use: somebody has to change a setting first.
    pub(crate) const fn needs_people(&self) -> bool {
        matches!(
            self,
            Self::TokenRefused { .. } | Self::RoleOff { .. } | Self::NoNexus { .. }
        )
    }
}
