//! The server's certificate. ring is the one crypto provider; nothing is read again after the start.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::TlsAcceptor;

use crate::{NexusError, TlsFiles};

/// An acceptor for HTTP/1.1 and HTTP/2.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, NexusError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(&files.cert, error));
    let chain = chain?;
    if chain.is_empty() {
        let why = format!("{} holds no certificate", files.cert.display());
        return Err(NexusError::Tls { why });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| NexusError::Tls { why: error.to_string() })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(path: &Path, error: pem::Error) -> NexusError {
    match error {
        pem::Error::Io(source) => NexusError::File {
            path: path.to_owned(),
            source,
        },
        other => NexusError::Tls {
            why: format!("{}: {other}", path.display()),
        },
    }
}
