//! Facts of one certificate, from its DER. A stranger wrote it: what cannot be read is an error, never a panic. No
//! signature is checked here; who is trusted is the caller's question.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo, X509Name};

use crate::check::evidence;
use crate::report::Moment;

/// Most names of a certificate that are kept, and their bytes together.
const NAMES: usize = 100;
const NAMES_BYTES: usize = 4096;

/// A key and how strong it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Rsa(usize),
    Dsa(usize),
    /// Name of the curve and its bits.
    Ec(String, usize),
    Ed25519,
    Other(String),
}

impl Key {
    /// `rsa 2048`, `ec p256`, `ed25519`.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Rsa(bits) => format!("rsa {bits}"),
            Self::Dsa(bits) => format!("dsa {bits}"),
            Self::Ec(curve, _) => format!("ec {curve}"),
            Self::Ed25519 => "ed25519".to_owned(),
            Self::Other(oid) => oid.clone(),
        }
    }
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) fingerprint: String,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) serial: String,
    /// DNS names and addresses it is for; of an old one without any, its common name.
    pub(crate) names: Vec<String>,
    pub(crate) not_before: Moment,
    pub(crate) not_after: Moment,
    pub(crate) key: Key,
    pub(crate) signature: String,
    /// Whether it names itself as its issuer.
    pub(crate) self_signed: bool,
    pub(crate) is_ca: bool,
}

/// Reads a certificate; what comes after it is ignored.
pub(crate) fn read(der: &[u8]) -> Result<Facts, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| evidence(error.to_string().as_bytes()))?;
    let validity = certificate.validity();
    Ok(Facts {
        fingerprint: hex(&Sha256::digest(der)),
        subject: name(certificate.subject()),
        issuer: name(certificate.issuer()),
        serial: hex(certificate.raw_serial().get(..64).unwrap_or(certificate.raw_serial())),
        names: names(&certificate),
        not_before: Moment(validity.not_before.timestamp()),
        not_after: Moment(validity.not_after.timestamp()),
        key: key(certificate.public_key()),
        signature: signature(&certificate.signature_algorithm),
        self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        is_ca: certificate.is_ca(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name(name: &X509Name<'_>) -> String {
    evidence(name.to_string().as_bytes())
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    // two of them, or one that cannot be read, count as none
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let Some(alternatives) = alternatives else {
        let common = certificate.subject().iter_common_name();
        return common
            .filter_map(|it| it.as_str().ok())
            .take(1)
            .map(|it| evidence(it.as_bytes()))
            .collect();
    };
    let mut room = NAMES_BYTES;
    let fits = |name: &String| {
        room = room.saturating_sub(name.len());
        room > 0
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(evidence(name.as_bytes())),
        GeneralName::IPAddress(bytes) => address(bytes).map(|ip| ip.to_string()),
        _ => None,
    };
    alternatives
        .value
        .general_names
        .iter()
        .filter_map(name)
        .take(NAMES)
        .take_while(fits)
        .collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|octets| Ipv6Addr::from(octets).into())
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> Key {
    let oid = key.algorithm.algorithm.to_id_string();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => Key::Rsa(bits(rsa.modulus)),
        Ok(PublicKey::DSA(y)) => Key::Dsa(bits(y)),
        Ok(PublicKey::EC(point)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            match curve.map(|oid| oid.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => Key::Ec("p256".to_owned(), 256),
                Some("1.3.132.0.34") => Key::Ec("p384".to_owned(), 384),
                Some("1.3.132.0.35") => Key::Ec("p521".to_owned(), 521),
                Some("1.3.132.0.10") => Key::Ec("secp256k1".to_owned(), 256),
                Some(other) => Key::Ec(other.to_owned(), point.key_size()),
                None => Key::Ec("of its own".to_owned(), point.key_size()),
            }
        }
        _ if oid == "1.3.101.112" => Key::Ed25519,
        _ => Key::Other(oid),
    }
}

/// Bits of a whole number, leading zeros not counted.
fn bits(number: &[u8]) -> usize {
    let number: &[u8] = number
        .iter()
        .position(|byte| *byte != 0)
        .and_then(|at| number.get(at..))
        .unwrap_or_default();
    let first = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() * 8).saturating_sub(first)
}

/// Names of signature algorithms as OpenSSL prints them.
fn signature(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let oid = algorithm.algorithm.to_id_string();
    let name = match oid.as_str() {
        "1.2.840.113549.1.1.2" => "md2WithRSAEncryption",
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.2.840.10040.4.3" => "dsa-with-SHA1",
        "2.16.840.1.101.3.4.3.2" => "dsa-with-SHA256",
        "1.3.101.112" => "ed25519",
        _ => return oid,
    };
    name.to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by OpenSSL 3.0.19: RSA 1024, SHA-1, 2015 to 2016, `CN=old.example` without alternative names.
    pub(crate) const OLD: &[u8] = include_bytes!("recorded/rsa1024-sha1.der");
    /// P-256 with `old.example`, `*.wild.example`, 192.0.2.7 and 2001:db8::7, issued by `CN=Test CA`.
    pub(crate) const LEAF: &[u8] = include_bytes!("recorded/p256-leaf.der");

    #[test]
    fn an_old_one_is_read() {
        let facts = read(OLD).unwrap();
        assert_eq!((facts.subject.as_str(), facts.self_signed), ("CN=old.example", true));
        assert_eq!(
            (facts.key, facts.signature.as_str()),
            (Key::Rsa(1024), "sha1WithRSAEncryption")
        );
        assert_eq!(facts.names, ["old.example"]);
        assert_eq!(
            (facts.not_before.date().as_str(), facts.not_after.date().as_str()),
            ("2015-01-01", "2016-01-01")
        );
        assert_eq!(facts.fingerprint, hex(&Sha256::digest(OLD)));
    }

    #[test]
    fn a_leaf_with_names_is_read() {
        let facts = read(LEAF).unwrap();
        assert_eq!(
            (facts.issuer.as_str(), facts.self_signed, facts.is_ca),
            ("CN=Test CA", false, false)
        );
        assert_eq!(facts.key.name(), "ec p256");
        assert_eq!(
            facts.names,
            ["leaf.example", "*.wild.example", "192.0.2.7", "2001:db8::7"]
        );
        assert_eq!(facts.serial, "1f00ab");
    }

    #[test]
    fn ed25519_is_known_by_its_name() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let facts = read(params.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!((facts.key, facts.signature.as_str()), (Key::Ed25519, "ed25519"));
    }

    #[test]
    fn bits_are_counted_without_leading_zeros() {
        assert_eq!(
            [bits(&[]), bits(&[0, 0]), bits(&[0, 1]), bits(&[0, 0x80, 0])],
            [0, 0, 1, 16]
        );
    }

    proptest! {
        #[test]
        fn malformed_certificates_are_refused(der in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(read(&der).is_err());
        }

        #[test]
        fn damaged_certificates_are_read_or_refused(
            pick: bool,
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
            whole: bool,
        ) {
            let mut der = if pick { OLD } else { LEAF }.to_vec();
            for (at, value) in damage {
                let at = at.index(der.len());
                der[at] = value;
            }
            if !whole {
                der.truncate(cut.index(der.len()));
            }
            if let Ok(facts) = read(&der) {
                prop_assert!(facts.names.len() <= NAMES && facts.subject.chars().count() <= 201);
            }
        }
    }
}
