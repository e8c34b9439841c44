//! Socket peers as requests and grants write them: whom (`to`) and which ports. Pure; nothing is resolved here.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::pattern;

/// The `to` of a net request or grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// `*`.
    Anyone,
    /// An address or a CIDR.
    Range(IpNet),
    /// A host name, or a pattern of host names, in lower case.
    Name(String),
}

impl Peer {
    /// Reads `*`, an address, a CIDR, a host name or `*.name`. None for anything else, and for IPv4 addresses
    /// dressed up as IPv6 (write the IPv4 form).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Anyone);
        }
        let range = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match range {
            Ok(IpNet::V6(range)) if range.addr().to_ipv4_mapped().is_some() => None,
            Ok(range) => Some(Self::Range(range.trunc())),
            Err(_) => is_host_pattern(text).then(|| Self::Name(text.to_owned())),
        }
    }

    /// Whether every peer of `inner` is one of `self`. A name and a range are never compared: what a name
    /// resolves to is known only at the time of a call.
    #[must_use]
    pub fn covers(&self, inner: &Self) -> bool {
        match (self, inner) {
            (Self::Anyone, _) => true,
            (Self::Range(outer), Self::Range(inner)) => outer.contains(inner),
            (Self::Name(outer), Self::Name(inner)) => pattern::pattern_covers(outer, inner),
            _ => false,
        }
    }
}

/// An exact host name, or `*.` and one; lower case, so that there is one way to write it. A star at the
/// end (`api.*`) would match hosts of anyone's domain.
pub(super) fn is_host_pattern(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && !is_number(last) && name.split('.').all(is_label)
}

/// What ends in a number is an address in disguise to many a resolver: `127.1`, `0x7f000001`.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(hex) => hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(allowed) && !label.starts_with('-') && !label.ends_with('-')
}

/// A range of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// Lowest.
    pub first: u16,
    /// Highest.
    pub last: u16,
}

impl PortRange {
    /// Every port but 0.
    pub const ALL: Self = Self {
        first: 1,
        last: u16::MAX,
    };

    /// Reads `22`, `8000-9000` or `*`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::ALL);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self {
            first: port(first)?,
            last: port(last)?,
        };
        (range.first <= range.last).then_some(range)
    }

    /// Whether `port` is in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// The ports in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        let both = Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        };
        (both.first <= both.last).then_some(both)
    }
}

/// All that can be read of a list of ports.
pub(super) fn ranges(ports: &[String]) -> impl Iterator<Item = PortRange> {
    ports.iter().filter_map(|text| PortRange::parse(text))
}

fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port: &u16| digits && port != 0)
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => f.write_str("*"),
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn containment_is_per_kind() {
        for (outer, inner, covers) in [
            ("*", "10.0.0.0/8", true),
            ("*", "db.example.com", true),
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.9.9.9", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("0.0.0.0/0", "::1", false),
            ("0.0.0.0/0", "*", false),
            ("::/0", "fd00::/8", true),
            ("0.0.0.0/0", "db.example.com", false),
            ("*.example.com", "db.example.com", true),
            ("db.example.com", "*.example.com", false),
            ("10.1.2.3/8", "10.200.0.0/16", true),
        ] {
            assert_eq!(peer(outer).covers(&peer(inner)), covers, "{outer} {inner}");
        }
    }

    #[test]
    fn odd_peers_are_refused() {
        for bad in [
            "",
            "api.*",
            "*example.com",
            "a..b",
            "-a.com",
            "Example.com",
            "10.0.0.0/33",
            "10.0.0.256",
            "::ffff:10.0.0.1",
            "::ffff:0:0/96",
            "a b",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "a.0x",
            "2130706433",
            "[::1]",
            "**",
            "a/b",
        ] {
            assert_eq!(Peer::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ports_are_single_ranges_or_all() {
        assert_eq!(PortRange::parse("22"), Some(PortRange { first: 22, last: 22 }));
        assert_eq!(PortRange::parse("8000-9000").unwrap().to_string(), "8000-9000");
        assert_eq!(PortRange::parse("*").unwrap().to_string(), "*");
        for bad in ["", "0", "65536", "9000-8000", "-1", "1-", "+22", "1-2-3", "http", " 22"] {
            assert_eq!(PortRange::parse(bad), None, "{bad}");
        }
        let range = PortRange { first: 10, last: 20 };
        assert_eq!(
            range.intersection(PortRange { first: 15, last: 30 }),
            Some(PortRange { first: 15, last: 20 })
        );
        assert_eq!(range.intersection(PortRange { first: 21, last: 30 }), None);
        assert!(range.contains(10) && range.contains(20) && !range.contains(21));
    }
}
