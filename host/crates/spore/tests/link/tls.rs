//! Links over TLS: only a nexus whose certificate is vouched for is talked to.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_async;
use venom_spore::sim::SimSpore;

use crate::nexus::{DEADLINE, not_taken, soon};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

struct TlsNexus {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    certificate: String,
}

async fn nexus() -> TlsNexus {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    TlsNexus {
        listener: TcpListener::bind("127.0.0.1:0").await.expect("bound"),
        acceptor: TlsAcceptor::from(Arc::new(config)),
        certificate: made.cert.pem(),
    }
}

impl TlsNexus {
    fn url(&self) -> String {
        format!(
            "https://localhost:{}",
            self.listener.local_addr().expect("an address").port()
        )
    }

    /// Welcomes whoever finishes TLS and upgrade.
    async fn serve(&self) {
        loop {
            let (stream, _) = self.listener.accept().await.expect("accepted");
            let Ok(stream) = self.acceptor.accept(stream).await else {
                continue;
            };
            let mut socket = accept_async(stream).await.expect("a websocket");
            let handshake = socket.next().await.expect("a frame").expect("a handshake");
            assert!(handshake.is_text());
            let welcome = r#"{"message_type":"WELCOME","payload":{"protocol":2,"heartbeat_timeout":60,"version":"1"}}"#;
            socket.send(Message::text(welcome)).await.expect("sent");
            while let Some(Ok(_)) = socket.next().await {}
        }
    }
}

#[tokio::test]
async fn a_nexus_of_a_trusted_authority_is_talked_to() {
    let nexus = nexus().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, &nexus.certificate).expect("written");
    let spore = SimSpore::new(&nexus.url(), "token").with(|settings| settings.ca_file = Some(file));
    tokio::select! {
        handle = spore.connect(DEADLINE) => { handle.expect("taken"); }
        () = nexus.serve() => {}
    }
}

#[tokio::test]
async fn a_nexus_nobody_vouches_for_never_sees_the_token() {
    let nexus = nexus().await;
    let spore = SimSpore::new(&nexus.url(), "token");
    let refusal = async {
        let (stream, _) = nexus.listener.accept().await.expect("accepted");
        let accepted = nexus.acceptor.accept(stream).await;
        accepted.map(drop).expect_err("tls is not finished")
    };
    tokio::select! {
        error = not_taken(spore, Duration::from_secs(600)) => panic!("gave up: {error}"),
        error = soon("the refusal", refusal) => assert!(error.to_string().contains("UnknownCA"), "{error}"),
    }
}

/// Trusts one certificate, whatever it says, as a pin does.
fn only(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_webpki_verifier(verifier.build().expect("a verifier"))
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test]
async fn what_the_settings_trust_replaces_the_authorities() {
    let nexus = nexus().await;
    let trusted = CertificateDer::from_pem_slice(nexus.certificate.as_bytes()).expect("a certificate");
    let spore = SimSpore::new(&nexus.url(), "token").with(|settings| {
        settings.tls = Some(only(trusted));
        // would be an error if it were looked at
        settings.ca_file = Some("/nowhere/ca.pem".into());
    });
    tokio::select! {
        handle = spore.connect(DEADLINE) => { handle.expect("taken"); }
        () = nexus.serve() => {}
    }
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let spore =
        SimSpore::new(&nexus.url(), "token").with(|settings| settings.tls = Some(only(other.cert.der().clone())));
    let refusal = async {
        let (stream, _) = nexus.listener.accept().await.expect("accepted");
        nexus
            .acceptor
            .accept(stream)
            .await
            .map(drop)
            .expect_err("tls is not finished")
    };
    tokio::select! {
        error = not_taken(spore, Duration::from_secs(600)) => panic!("gave up: {error}"),
        error = soon("the refusal", refusal) => assert!(error.to_string().contains("alert"), "{error}"),
    }
}
