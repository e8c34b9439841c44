//! HTTP and WebSocket over TLS, with a certificate made for the test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::{Connector, connect_async_tls_with_config};
use venom_nexus::{Nexus, NexusError, NexusSettings, TlsFiles};

use crate::harness::{Answer, TestNexus, VIEWER, settings, soon};

struct Certificate {
    der: CertificateDer<'static>,
    files: TlsFiles,
}

/// Certificate and key of a nexus, for tests that need no more of it.
pub(crate) fn certificate_files(directory: &Path) -> TlsFiles {
    certificate(directory).files
}

fn certificate(directory: &Path) -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let write = |name: &str, text: String| -> PathBuf {
        let path = directory.join(name);
        std::fs::File::create(&path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        path
    };
    Certificate {
        der: made.cert.der().clone(),
        files: TlsFiles {
            cert: write("cert.pem", made.cert.pem()),
            key: write("key.pem", made.signing_key.serialize_pem()),
        },
    }
}

#[tokio::test]
async fn serves_http_and_links_and_a_silent_client_holds_up_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = certificate(directory.path());
    let nexus = TestNexus::start_with(NexusSettings {
        tls: Some(certificate.files.clone()),
        ..settings()
    })
    .await;
    // connects and says nothing: its handshake must not be in the way of the next
    let silent = tokio::net::TcpStream::connect(nexus.address).await.unwrap();

    let root = reqwest::Certificate::from_der(&certificate.der).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let url = format!("https://{}/api/v1/nodes", nexus.address);
    let answer = Answer::of(client.get(url).bearer_auth(VIEWER)).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &"success".into()));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der.clone()).unwrap();
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = Connector::Rustls(Arc::new(config));
    let url = format!("wss://{}/ws/nodes", nexus.address);
    let connecting = connect_async_tls_with_config(url, None, false, Some(connector));
    let (_socket, response) = soon("a secure WebSocket", connecting).await.unwrap();
    assert_eq!(response.status(), 101);

    let plain = reqwest::Client::new().get(nexus.url("/healthz")).send().await;
    assert!(plain.is_err(), "plain HTTP must not be served");
    drop(silent);
    nexus.stop().await;
}

#[tokio::test]
async fn bad_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let good = certificate(directory.path()).files;
    let refuse = |tls: TlsFiles| {
        let settings = NexusSettings {
            tls: Some(tls),
            ..settings()
        };
        Nexus::new(settings, None).err().unwrap()
    };
    let missing = refuse(TlsFiles {
        cert: directory.path().join("missing.pem"),
        ..good.clone()
    });
    assert!(matches!(missing, NexusError::File { path, .. } if path.ends_with("missing.pem")));
    let swapped = refuse(TlsFiles {
        cert: good.key.clone(),
        key: good.cert.clone(),
    });
    assert!(matches!(swapped, NexusError::Tls { .. }), "{swapped:?}");
}

#[tokio::test]
async fn a_plain_client_of_a_tls_port_is_hung_up_on() {
    use tokio::io::AsyncWriteExt;
    let directory = tempfile::tempdir().unwrap();
    let nexus = TestNexus::start_with(NexusSettings {
        tls: Some(certificate(directory.path()).files),
        ..settings()
    })
    .await;
    let mut plain = tokio::net::TcpStream::connect(nexus.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // an alert, then the end, or a reset
    let _ = soon("the nexus to hang up", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"));
    nexus.stop().await;
}
