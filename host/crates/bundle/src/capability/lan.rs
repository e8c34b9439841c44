//! What a skill may learn of the networks its machine is in. Each part is asked for, bounded and granted by itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One part of the `lan` interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lan {
    /// The machine's own addresses and gateways.
    Links,
    /// Its table of neighbours.
    Neighbours,
    /// Names of addresses, by its resolver.
    Reverse,
    /// Services announced by mDNS.
    Mdns,
    /// Devices that answer an SSDP search.
    Ssdp,
    /// TLS handshakes that judge nothing; the address and port need a net grant too.
    Tls,
    /// One `GET /` by HTTPS that judges no certificate; the address and port need a net grant too.
    Https,
}

impl Lan {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Links,
        Self::Neighbours,
        Self::Reverse,
        Self::Mdns,
        Self::Ssdp,
        Self::Tls,
        Self::Https,
    ];

    /// As documents write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Neighbours => "neighbours",
            Self::Reverse => "reverse",
            Self::Mdns => "mdns",
            Self::Ssdp => "ssdp",
            Self::Tls => "tls",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Lan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_is_said() {
        for part in Lan::ALL {
            assert_eq!(serde_json::to_string(&part).unwrap(), format!("\"{part}\""));
            assert_eq!(serde_json::from_str::<Lan>(&format!("\"{part}\"")).unwrap(), part);
        }
        assert!(serde_json::from_str::<Lan>("\"*\"").is_err());
    }
}
