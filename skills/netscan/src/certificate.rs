//! The names in a certificate. Nothing is judged, and nothing is taken for proof: whoever answers may show any.

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::banner::tame;

/// Most names told of one certificate.
const MOST: usize = 32;

/// The names of the first certificate of a chain: those it is for, else its common name.
pub(crate) fn names(chain: &[Vec<u8>]) -> Vec<String> {
    let Some(Ok((_, certificate))) = chain.first().map(|first| X509Certificate::from_der(first)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = Vec::new();
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        for name in &alternatives.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push(tame(name)),
                GeneralName::IPAddress(bytes) => names.extend(address(bytes)),
                _ => {}
            }
        }
    }
    if names.is_empty() {
        let common = certificate.subject().iter_common_name();
        names.extend(common.filter_map(|name| name.as_str().ok().map(tame)));
    }
    names.retain(|name| !name.is_empty());
    names.dedup();
    names.truncate(MOST);
    names
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    let sixteen = <[u8; 16]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    four.or(sixteen).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told() {
        let made = rcgen::generate_simple_self_signed(vec![
            "box.lan".to_owned(),
            "10.0.0.1".to_owned(),
            "*.box.lan".to_owned(),
        ]);
        let der = made.unwrap().cert.der().to_vec();
        assert_eq!(names(std::slice::from_ref(&der)), ["box.lan", "10.0.0.1", "*.box.lan"]);
        let mut plain = rcgen::CertificateParams::default();
        plain.distinguished_name.push(rcgen::DnType::CommonName, "printer");
        let key = rcgen::KeyPair::generate().unwrap();
        let common = plain.self_signed(&key).unwrap().der().to_vec();
        assert_eq!(names(&[common, der]), ["printer"]);
    }

    #[test]
    fn nonsense_has_no_names() {
        assert_eq!(names(&[]), [""; 0]);
        assert_eq!(names(&[vec![0x30, 0x82]]), [""; 0]);
    }
}
