//! Opens the WebSocket to the nexus: TCP, TLS when asked, upgrade, all under one deadline. Sends no message.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, client_async_tls_with_config};
use venom_protocol::MAX_FRAME_BYTES;

use crate::SporeSettings;
use crate::address::Endpoint;
use crate::error::{CaFileError, LinkError, SporeError};
use crate::wire::Wire;

/// Time for name lookup, connect, TLS and upgrade together.
const PATIENCE: Duration = Duration::from_secs(10);

/// Read buffer of a link, allocated at once: calls are small, and a process may hold thousands of links.
const READ_BUFFER: usize = 4 * 1024;

/// Frames are gathered up to this before they are written unasked.
const WRITE_BUFFER: usize = 16 * 1024;

/// Knows where the nexuses are and whom to trust there. Several share the work: any will do, and the next is tried
/// whenever one does not answer or a link to it broke.
pub(crate) struct Dialer {
    doors: Vec<Door>,
    /// Which one is next, counted up for ever.
    turn: AtomicUsize,
}

/// One nexus.
struct Door {
    endpoint: Endpoint,
    connector: Connector,
}

impl Dialer {
    /// For the nexus of the settings, or several with commas between.
    pub(crate) fn new(settings: &SporeSettings) -> Result<Self, SporeError> {
        let written = settings.nexus.split(',').map(str::trim);
        let doors: Result<Vec<Door>, SporeError> = written.map(|nexus| Door::new(nexus, settings)).collect();
        Ok(Self {
            doors: doors?,
            turn: AtomicUsize::new(0),
        })
    }

    /// The nexus that is dialled next, or was dialled last.
    pub(crate) fn authority(&self) -> String {
        self.door().map_or_else(String::new, |door| door.endpoint.authority())
    }

    /// The next time another one is dialled, when there is one.
    pub(crate) fn try_another(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) async fn dial(&self) -> Result<Wire, LinkError> {
        match self.door() {
            Some(door) => door.dial().await,
            // `new` makes at least one: splitting gives one part or more
            None => Err(LinkError::BrokenOff),
        }
    }

    fn door(&self) -> Option<&Door> {
        let turn = self.turn.load(Ordering::Relaxed).checked_rem(self.doors.len())?;
        self.doors.get(turn)
    }
}

impl Door {
    fn new(nexus: &str, settings: &SporeSettings) -> Result<Self, SporeError> {
        let endpoint = Endpoint::parse(nexus)?;
        let connector = if endpoint.tls {
            Connector::Rustls(tls_of(settings)?)
        } else {
            Connector::Plain
        };
        if endpoint.is_exposed() {
            let nexus = endpoint.authority();
            tracing::warn!(
                nexus,
                "the token and all calls travel in plain text; use wss:// or https://"
            );
        }
        Ok(Self { endpoint, connector })
    }

    async fn dial(&self) -> Result<Wire, LinkError> {
        timeout(PATIENCE, self.open()).await.unwrap_or_else(|_| {
            Err(LinkError::Slow {
                authority: self.endpoint.authority(),
                waited: PATIENCE,
            })
        })
    }

    async fn open(&self) -> Result<Wire, LinkError> {
        let unreachable = |source| LinkError::Unreachable {
            authority: self.endpoint.authority(),
            source,
        };
        let address = (self.endpoint.host.as_str(), self.endpoint.port);
        let socket = TcpStream::connect(address).await.map_err(unreachable)?;
        socket.set_nodelay(true).map_err(unreachable)?;
        let connector = Some(self.connector.clone());
        match client_async_tls_with_config(&self.endpoint.url, socket, Some(frames()), connector).await {
            Ok((stream, _)) => Ok(Wire::new(stream)),
            Err(error) => Err(self.refused(error)),
        }
    }

    fn refused(&self, error: Error) -> LinkError {
        let authority = self.endpoint.authority();
        match error {
            Error::Http(answer) => match answer.status().as_u16() {
                // what Python servers make of a close before the upgrade
                status @ (401 | 403) => LinkError::TokenRefused {
                    reason: format!("http {status}"),
                },
                status @ (429 | 500..) => LinkError::Unreachable {
                    authority,
                    source: io::Error::other(format!("it answered http {status}")),
                },
                status => LinkError::NoNexus { authority, status },
            },
            Error::Io(source) => LinkError::Unreachable { authority, source },
            other => LinkError::WebSocket(other),
        }
    }
}

/// An HTTP client that trusts whom the links trust. It follows no redirect: whoever is asked answers itself.
pub(crate) fn http_client(settings: &SporeSettings) -> Result<reqwest::Client, SporeError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(ClientConfig::clone(&*tls_of(settings)?))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(PATIENCE)
        .no_proxy()
        .user_agent(concat!("venom-spore/", env!("CARGO_PKG_VERSION")));
    client.build().map_err(SporeError::Http)
}

fn frames() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES))
}

fn tls_of(settings: &SporeSettings) -> Result<Arc<ClientConfig>, SporeError> {
    match &settings.tls {
        Some(given) => Ok(Arc::clone(given)),
        None => tls(settings.ca_file.as_deref()).map(Arc::new),
    }
}

/// The public authorities, and those of the file beside them. Its own provider, so that nothing depends on
/// which one the process installed.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, SporeError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = ca_file {
        add_file(&mut roots, path).map_err(|source| SporeError::CaFile {
            path: path.to_owned(),
            source,
        })?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(SporeError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), CaFileError> {
    let mut found = false;
    for certificate in CertificateDer::pem_file_iter(path).map_err(CaFileError::Pem)? {
        roots
            .add(certificate.map_err(CaFileError::Pem)?)
            .map_err(CaFileError::Invalid)?;
        found = true;
    }
    if found { Ok(()) } else { Err(CaFileError::Empty) }
}

#[cfg(test)]
mod tests {
    use venom_protocol::NodeId;

    use super::*;

    fn told(nexus: &str, ca_file: Option<&Path>) -> SporeSettings {
        SporeSettings {
            ca_file: ca_file.map(Path::to_owned),
            ..SporeSettings::new(nexus, "token", NodeId::random())
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused_before_anything_is_dialled() {
        let dir = tempfile::tempdir().expect("a directory");
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "").expect("written");
        for path in [empty, dir.path().join("absent.pem")] {
            let error = Dialer::new(&told("wss://hub", Some(&path))).err().expect("refused");
            assert!(matches!(error, SporeError::CaFile { .. }), "{error}");
            assert!(error.to_string().contains(".pem"), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_unreachable_and_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let error = Dialer::new(&told(&address, None))
            .expect("a dialer")
            .dial()
            .await
            .err()
            .expect("nobody there");
        assert!(matches!(error, LinkError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&address), "{error}");
    }

    #[test]
    fn several_nexuses_are_tried_in_turn() {
        let dialer = Dialer::new(&told("ws://one:1, two:2", None)).expect("a dialer");
        let mut dialled = Vec::new();
        for _ in 0..3 {
            dialled.push(dialer.authority());
            dialer.try_another();
        }
        assert_eq!(dialled, ["one:1", "two:2", "one:1"]);
        assert!(Dialer::new(&told("one:1,,two:2", None)).is_err());
    }
}
