//! Whom to trust at the other end: the public authorities, those of a file, or one public key and no other.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

/// SHA-256 of the `SubjectPublicKeyInfo` (DER) of the nexus's certificate. Survives a new certificate for the same key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

/// Why a pin or the trust of a connection cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The text is none.
    #[error("`{text}` is no pin (expected sha256: and 64 hex digits)")]
    Text {
        /// What came, cut to 80 characters.
        text: String,
    },
    /// The certificate cannot be read.
    #[error("the certificate cannot be read ({why})")]
    Certificate {
        /// What is wrong with it.
        why: String,
    },
    /// The file of authorities cannot be used.
    #[error("the certificate file {} cannot be used ({why})", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("tls cannot be set up")]
    Tls(#[source] rustls::Error),
}

impl Pin {
    /// The pin of a certificate (DER).
    ///
    /// # Errors
    /// When it is none.
    pub fn of_certificate(der: &[u8]) -> Result<Self, PinError> {
        let der = CertificateDer::from(der);
        let certificate =
            webpki::EndEntityCert::try_from(&der).map_err(|error| PinError::Certificate { why: error.to_string() })?;
        Ok(Self(Sha256::digest(certificate.subject_public_key_info()).into()))
    }
}

impl FromStr for Pin {
    type Err = PinError;
    fn from_str(text: &str) -> Result<Self, PinError> {
        let wrong = || PinError::Text {
            text: text.chars().take(80).collect(),
        };
        let hex = text.strip_prefix("sha256:").ok_or_else(wrong)?;
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = hex.get(at * 2..at * 2 + 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// How connections to the nexus are secured. A pin replaces every other trust: the chain, the name and the dates of the
/// certificate are not looked at, that the other end holds the key is. Without one: the public authorities, and those of the file.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn tls_config(pin: Option<Pin>, ca_file: Option<&Path>) -> Result<ClientConfig, PinError> {
    // its own provider, so that nothing depends on which one the process installed
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(PinError::Tls)?;
    let config = match pin {
        Some(pin) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned { pin, provider }))
            .with_no_client_auth(),
        None => builder.with_root_certificates(roots(ca_file)?).with_no_client_auth(),
    };
    Ok(config)
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, PinError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let Some(path) = ca_file else {
        return Ok(roots);
    };
    let wrong = |why: String| PinError::CaFile {
        path: path.to_owned(),
        why,
    };
    let mut found = false;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        found = true;
    }
    if found {
        Ok(roots)
    } else {
        Err(wrong("it holds no certificate".to_owned()))
    }
}

/// Trusts one key.
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Pin::of_certificate(end_entity)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if shown == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(format!(
            "the nexus shows another key ({shown}) than the pinned one ({}): someone may stand in between, or the nexus has a new \
             key and the agent must be registered again",
            self.pin
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_written_and_read() {
        let pin = Pin([0xab; 32]);
        let text = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(pin.to_string(), text);
        assert_eq!(text.parse::<Pin>().unwrap(), pin);
        assert_eq!(
            text.to_uppercase().replace("SHA256", "sha256").parse::<Pin>().unwrap(),
            pin
        );
        for wrong in [
            "",
            "sha256:",
            "ab",
            &"ab".repeat(32),
            &format!("{text}0"),
            &text.replace('a', "g"),
            "sha256:ää",
        ] {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_pin_is_of_the_key_and_not_of_the_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pin_of = |name: &str| {
            let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            Pin::of_certificate(parameters.self_signed(&key).unwrap().der()).unwrap()
        };
        assert_eq!(pin_of("one"), pin_of("two"));
        let expected: [u8; 32] = Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key)).into();
        assert_eq!(pin_of("one"), Pin(expected));
        assert!(matches!(
            Pin::of_certificate(b"no certificate"),
            Err(PinError::Certificate { .. })
        ));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        assert!(tls_config(None, Some(&path)).is_err());
        std::fs::write(&path, "nothing").unwrap();
        let error = tls_config(None, Some(&path)).unwrap_err();
        assert!(error.to_string().contains("ca.pem"), "{error}");
        // a pin needs no authorities
        assert!(tls_config(Some(Pin([1; 32])), Some(&path)).is_ok());
    }
}
