//! Whom the client trusts, against real TLS.

use std::sync::{Arc, Mutex};

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use venom_agent::{Client, ClientError, Pin};
use venom_protocol::AgentHeartbeat;

use crate::server::{TOKEN, World, router, token};

/// Shows a certificate, whatever key it has.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

struct Identity {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    pem: String,
    parameters: CertificateParams,
}

fn identity(name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = parameters.self_signed(&key).unwrap();
    Identity {
        certificate: certificate.der().clone(),
        pem: certificate.pem(),
        parameters,
        key,
    }
}

/// A nexus that shows `certificate` and signs with `key`; answers its port.
async fn serve(certificate: CertificateDer<'static>, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = ring::default_provider().key_provider.load_private_key(key).unwrap();
    let shows = Shows(Arc::new(CertifiedKey::new(vec![certificate], key)));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shows));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut world = World::default();
    world.tokens.insert(TOKEN.to_owned());
    let router: Router = router(Arc::new(Mutex::new(world)));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else {
                    return;
                };
                let _ = Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    port
}

async fn beat(url: &str, pin: Option<Pin>, ca: Option<&std::path::Path>) -> Result<(), ClientError> {
    let client = Client::new(url, pin, ca)?.with_token(token(TOKEN));
    client.heartbeat(&AgentHeartbeat::default()).await.map(drop)
}

#[tokio::test]
async fn a_pin_is_all_the_trust_there_is() {
    // the name in the certificate is another, and nobody signed it
    let nexus = identity("elsewhere.example");
    let pin = Pin::of_certificate(&nexus.certificate).unwrap();
    let port = serve(nexus.certificate.clone(), &nexus.key).await;
    let url = format!("https://127.0.0.1:{port}");
    beat(&url, Some(pin), None).await.unwrap();
    let without = beat(&url, None, None).await.unwrap_err();
    assert!(matches!(without, ClientError::Unreachable { .. }), "{without}");

    let wrong = beat(&url, Some(Pin([7; 32])), None).await.unwrap_err();
    let text = wrong.to_string();
    assert!(
        text.contains(&pin.to_string()) && text.contains("another key"),
        "{text}"
    );
    assert!(wrong.is_retryable(), "what is seen is kept");
}

#[tokio::test]
async fn a_certificate_that_was_copied_is_worth_nothing_without_its_key() {
    let (nexus, thief) = (identity("hub"), identity("thief"));
    let pin = Pin::of_certificate(&nexus.certificate).unwrap();
    let port = serve(nexus.certificate.clone(), &thief.key).await;
    let error = beat(&format!("https://127.0.0.1:{port}"), Some(pin), None)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_new_certificate_for_the_same_key_keeps_its_pin() {
    let nexus = identity("hub");
    let pin = Pin::of_certificate(&nexus.certificate).unwrap();
    let renewed = CertificateParams::new(vec!["hub".to_owned()]).unwrap();
    let renewed = renewed.self_signed(&nexus.key).unwrap();
    let port = serve(renewed.der().clone(), &nexus.key).await;
    beat(&format!("https://127.0.0.1:{port}"), Some(pin), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_file_of_authorities_is_trusted_for_the_names_they_signed() {
    let nexus = identity("localhost");
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, &nexus.pem).unwrap();
    let leaf_key = KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::from_params(&nexus.parameters, &nexus.key);
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let port = serve(leaf.der().clone(), &leaf_key).await;
    beat(&format!("https://localhost:{port}"), None, Some(&ca))
        .await
        .unwrap();
    // the name counts
    beat(&format!("https://127.0.0.1:{port}"), None, Some(&ca))
        .await
        .unwrap_err();
    beat(&format!("https://localhost:{port}"), None, None)
        .await
        .unwrap_err();
}

#[test]
fn addresses_that_make_no_sense_are_refused() {
    let pin = Some(Pin([1; 32]));
    for (url, pin) in [
        ("hub", None),
        ("ftp://hub", None),
        ("http://me:secret@hub", None),
        ("http://hub/?token=x", None),
        ("http://hub", pin),
    ] {
        assert!(
            matches!(Client::new(url, pin, None), Err(ClientError::Address { .. })),
            "{url}"
        );
    }
    assert_eq!(
        Client::new("https://hub/venom/", pin, None).unwrap().nexus(),
        "https://hub/venom"
    );
}
