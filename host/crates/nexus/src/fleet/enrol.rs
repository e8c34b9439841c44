//! Enrol strings: where the nexus is, the token, and the pin of the key of its certificate.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use crate::NexusError;
use crate::settings::{NexusSettings, TlsFiles};

/// Where agents reach this nexus, and what they may hold it to.
pub(crate) struct EnrolAddress {
    /// `HOST:PORT` and whether it is TLS; absent: where the operator who asks reaches it.
    public: Option<(String, bool)>,
    tls: bool,
    pin: Option<String>,
}

impl EnrolAddress {
    pub(crate) fn new(settings: &NexusSettings) -> Result<Self, NexusError> {
        let public = settings.agents.public_url.as_deref().map(|url| {
            let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            (authority.to_owned(), matches!(scheme, "https" | "wss"))
        });
        Ok(Self {
            public,
            tls: settings.tls.is_some(),
            pin: settings.tls.as_ref().map(key_pin).transpose()?,
        })
    }

    /// The enrol string of a token. `host` is where the operator who asks reaches this nexus.
    pub(crate) fn string(&self, token: &str, host: &str) -> String {
        let (authority, tls) = match &self.public {
            Some((authority, tls)) => (authority.as_str(), *tls),
            None => (host, self.tls),
        };
        let mut text = format!("venom://{authority}/?token={token}");
        if tls {
            text.push_str("&tls=1");
        }
        if let Some(pin) = self.pin.as_ref().filter(|_| tls) {
            text.push_str("&pin=");
            text.push_str(pin);
        }
        text
    }
}

/// `sha256:` and the SHA-256, in hex, of the public key (SubjectPublicKeyInfo) of the first certificate of the file.
fn key_pin(files: &TlsFiles) -> Result<String, NexusError> {
    let unfit = |why: String| NexusError::Tls { why };
    let certificate = CertificateDer::from_pem_file(&files.cert).map_err(|error| unfit(error.to_string()))?;
    let certificate = webpki::EndEntityCert::try_from(&certificate).map_err(|error| unfit(error.to_string()))?;
    let digest = Sha256::digest(certificate.subject_public_key_info().as_ref());
    Ok(digest
        .iter()
        .fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}")))
}
