//! One TLS handshake, to see what a server shows of itself. Nothing it shows is judged: who it really is stays unknown, so no
//! answer of it may be taken for proof.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use venom_bundle::capability::Lan;

use super::text;
use crate::bindings::GuestError;
use crate::bindings::venom::skill::lan::TlsSession;
use crate::capability::Refusal;

/// Most certificates told of a chain; what they may hold together is bounded by TLS itself (64 KiB).
const MOST_CERTIFICATES: usize = 16;

/// Checks the name to ask for. An address is no name; with none, none is sent.
pub(super) fn server_name(address: IpAddr, asked: &str) -> Result<ServerName<'static>, GuestError> {
    if asked.is_empty() || asked.parse::<IpAddr>().is_ok() {
        return Ok(ServerName::from(address));
    }
    ServerName::try_from(asked.to_owned())
        .map_err(|_| GuestError::InvalidParams(format!("`{}` is no server name", text::cut(asked, 64))))
}

/// Printers' ports (LPD and raw printing): whatever comes there may be printed, and a ClientHello is no exception. No
/// grant changes that.
pub(super) fn spare_printers(part: Lan, peer: SocketAddr) -> Result<(), GuestError> {
    if !matches!(peer.port(), 515 | 9100..=9107) {
        return Ok(());
    }
    Err(GuestError::from(Refusal {
        capability: "lan",
        target: format!("{part} {peer}"),
        reason: "a printer may listen there, and would print what it is sent".to_owned(),
        missing_grant: String::new(),
    }))
}

/// What looks at servers. The same for all calls: nothing is resumed, so nothing of one call is left for another.
pub(crate) struct Peek {
    with_protocols: Option<TlsConnector>,
    http: Option<TlsConnector>,
    plain: Option<TlsConnector>,
}

impl Peek {
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Peek> = OnceLock::new();
        SHARED.get_or_init(|| Self {
            with_protocols: connector(&[b"h2", b"http/1.1"]),
            http: connector(&[b"http/1.1"]),
            plain: connector(&[]),
        })
    }

    /// Connects, shakes hands and goes.
    pub(super) async fn session(
        &self,
        peer: SocketAddr,
        name: &ServerName<'static>,
        permit: impl Fn() -> Result<(), GuestError>,
    ) -> Result<TlsSession, GuestError> {
        let stream = self.connect(self.with_protocols.as_ref(), peer, name, permit).await;
        stream.map(|stream| shown(&stream))
    }

    /// Connects and shakes hands, to speak HTTP/1.1.
    pub(super) async fn for_http(
        &self,
        peer: SocketAddr,
        name: &ServerName<'static>,
        permit: impl Fn() -> Result<(), GuestError>,
    ) -> Result<TlsStream<TcpStream>, GuestError> {
        self.connect(self.http.as_ref(), peer, name, permit).await
    }

    /// Servers that speak none of the protocols we name may hang up; those are asked again without. `permit` is asked before
    /// each connection.
    async fn connect(
        &self,
        connector: Option<&TlsConnector>,
        peer: SocketAddr,
        name: &ServerName<'static>,
        permit: impl Fn() -> Result<(), GuestError>,
    ) -> Result<TlsStream<TcpStream>, GuestError> {
        permit()?;
        match attempt(connector, peer, name).await {
            Err(Trouble::Handshake(error)) if is_about_protocols(&error) => {
                permit()?;
                attempt(self.plain.as_ref(), peer, name).await
            }
            outcome => outcome,
        }
        .map_err(|trouble| trouble.told(peer))
    }
}

enum Trouble {
    NoConnection(io::Error),
    Handshake(io::Error),
}

impl Trouble {
    fn told(self, peer: SocketAddr) -> GuestError {
        match self {
            Self::NoConnection(error) => GuestError::Unavailable(format!("no connection to {peer}: {error}")),
            Self::Handshake(error) => GuestError::Failed(format!("no TLS handshake with {peer}: {error}")),
        }
    }
}

async fn attempt(
    connector: Option<&TlsConnector>,
    peer: SocketAddr,
    name: &ServerName<'static>,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let connector = connector.ok_or_else(|| Trouble::NoConnection(io::Error::other("TLS is not available")))?;
    let stream = TcpStream::connect(peer).await.map_err(Trouble::NoConnection)?;
    let shaken = connector.connect(name.clone(), stream).await;
    shaken.map_err(Trouble::Handshake)
}

fn shown(stream: &TlsStream<TcpStream>) -> TlsSession {
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    TlsSession {
        version: session
            .protocol_version()
            .and_then(|version| version.as_str())
            .unwrap_or_default()
            .replace('_', "."),
        cipher: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default()
            .to_owned(),
        alpn: session
            .alpn_protocol()
            .map(|name| text::tame(&String::from_utf8_lossy(name)))
            .unwrap_or_default(),
        chain: chain.iter().take(MOST_CERTIFICATES).map(|one| one.to_vec()).collect(),
    }
}

/// Servers refuse protocols they do not know with an alert of its own, or with no more than a closed connection.
fn is_about_protocols(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(
        cause,
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol))
    )
}

fn connector(protocols: &[&[u8]]) -> Option<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NoJudge))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Some(TlsConnector::from(Arc::new(config)))
}

/// Takes whatever is shown: old and broken servers are what one looks for.
#[derive(Debug)]
struct NoJudge;

impl ServerCertVerifier for NoJudge {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printers_are_spared() {
        let at = |port| spare_printers(Lan::Tls, SocketAddr::from(([10, 0, 0, 1], port)));
        assert!((9100..=9107).chain([515]).all(|port| at(port).is_err()));
        assert!([443, 514, 516, 9099, 9108].into_iter().all(|port| at(port).is_ok()));
    }

    #[test]
    fn an_address_is_never_sent_as_a_name() {
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        for asked in ["", "10.9.9.9", "::1"] {
            assert_eq!(
                server_name(address, asked).unwrap(),
                ServerName::from(address),
                "{asked}"
            );
        }
        assert!(matches!(
            server_name(address, "a.example").unwrap(),
            ServerName::DnsName(_)
        ));
        assert!(matches!(server_name(address, "a b"), Err(GuestError::InvalidParams(_))));
    }
}
