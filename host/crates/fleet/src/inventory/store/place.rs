//! One network of one site, and the keys by which things in it are found.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use crate::inventory::range::{self, Range};

/// One network of one site.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) site: String,
    pub(crate) network: String,
    /// 128 bits of both, in hexadecimal digits.
    digest: String,
}

impl Place {
    pub(crate) fn of(site: String, network: String) -> Self {
        let mut hash = Sha256::new();
        // names hold no NUL
        hash.update(site.as_bytes());
        hash.update([0]);
        hash.update(network.as_bytes());
        let digest = hash
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self { site, network, digest }
    }

    /// The key of a name in it; what has no name has no key.
    pub(crate) fn key_of(&self, name: Option<String>) -> String {
        name.map(|name| format!("{}{name}", self.digest)).unwrap_or_default()
    }

    /// The key of an address in it.
    pub(crate) fn key_at(&self, ip: IpAddr) -> String {
        format!("{}{}", self.digest, range::key(ip))
    }

    /// The key of an address or a name: names are behind all addresses, in any collation.
    pub(crate) fn key_at_text(&self, text: &str) -> String {
        match text.parse() {
            Ok(ip) => self.key_at(ip),
            Err(_) => format!("{}x{text}", self.digest),
        }
    }

    /// The keys of the first and the last address of a range.
    pub(crate) fn keys(&self, range: Range) -> (String, String) {
        let key = |order| format!("{}{}", self.digest, range::digits(order));
        (key(range.first), key(range.last))
    }

    /// Between these are the keys of all names.
    pub(crate) fn keys_of_names(&self) -> (String, String) {
        (format!("{}x", self.digest), format!("{}y", self.digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_network_are_no_other_s() {
        let place = |site: &str, network: &str| Place::of(site.into(), network.into());
        let (one, other) = (place("a", "bc"), place("ab", "c"));
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        assert_ne!(one.key_at(ip), other.key_at(ip));
        assert_eq!(one.key_at_text("10.0.0.1"), one.key_at(ip));
        let (first, last) = one.keys_of_names();
        for name in ["", "printer", "zz", "\u{10ffff}"] {
            let key = one.key_at_text(name);
            assert!(first <= key && key < last, "{name}");
        }
        assert!(one.key_at("ffff:ffff::".parse().unwrap()) < first);
        assert_eq!(one.key_of(None), "");
    }
}
