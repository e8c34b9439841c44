//! Hosts as grants and audiences write them, and hosts as requests name them. Nothing is resolved here.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;

use crate::capability::net::{NamePattern, normalise};

const HTTPS: u16 = 443;
const HTTP: u16 = 80;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) tls: bool,
    /// Lower case, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// Reads a request's URI; none when it names no host, or a user.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        // `https://granted@evil/`: no client needs it, and readers take it for the host
        if authority.as_str().contains('@') {
            return None;
        }
        // a port that is there and is none (`a:99999`) must not become the default one
        let port = match authority.as_str().strip_prefix(authority.host())?.strip_prefix(':') {
            None => {
                if tls {
                    HTTPS
                } else {
                    HTTP
                }
            }
            Some(port) => port.parse().ok()?,
        };
        let host = normalise(authority.host().trim_start_matches('[').trim_end_matches(']'));
        (!host.is_empty()).then_some(Self { tls, host, port })
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// `host`, or `host:port` where the port is not the scheme's: the Host header, and the `host` of a grant.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let usual = if self.tls { HTTPS } else { HTTP };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// `api.example.com`, `*.example.com`, `127.0.0.1:8080`, `[::1]:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPattern {
    name: Name,
    /// None: 443 and 80.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    Pattern(NamePattern),
}

impl HostPattern {
    /// Reads a pattern; the error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            let name = Name::Address(address);
            return Ok(Self { name, port: None });
        }
        let (name, port) = match text.rsplit_once(':') {
            None => (text, None),
            Some((name, port)) => (name, Some(port)),
        };
        let port = port
            .map(|port| port.parse::<u16>().map_err(|_| format!("port `{port}` is none")))
            .transpose()?;
        let name = match name.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(address) => Name::Address(address),
            Err(_) => Name::Pattern(
                NamePattern::parse(name)
                    .map_err(|_| "is no host (write api.example.com, *.example.com or 127.0.0.1:8080)".to_owned())?,
            ),
        };
        Ok(Self { name, port })
    }

    pub(super) fn matches(&self, target: &Target) -> bool {
        let port = match self.port {
            Some(port) => port == target.port,
            None => target.port == HTTPS || target.port == HTTP,
        };
        port && match &self.name {
            Name::Address(address) => target.ip() == Some(*address),
            // `*.0.0.1` means names; an address is granted as one, or by `*`
            Name::Pattern(pattern) => {
                (target.ip().is_none() || *pattern == NamePattern::Any) && pattern.matches(&target.host)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Option<Target> {
        Target::of(&uri.parse().unwrap())
    }

    #[test]
    fn hosts_match_with_their_ports() {
        for (pattern, uri, granted) in [
            ("api.example.com", "https://api.example.com/x", true),
            ("api.example.com", "https://API.example.com./x", true),
            ("api.example.com", "http://api.example.com/x", true),
            ("api.example.com", "https://api.example.com:8443/", false),
            ("api.example.com:8443", "https://api.example.com:8443/", true),
            ("api.example.com:8443", "https://api.example.com/", false),
            ("*.example.com", "https://a.example.com/", true),
            ("*.example.com", "https://example.com/", false),
            ("*.example.com", "https://a.example.com.evil.net/", false),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/", true),
            ("127.0.0.1:8080", "http://127.0.0.2:8080/", false),
            ("[::1]:8080", "http://[::1]:8080/", true),
            ("::1", "http://[::1]/", true),
            ("*.1", "http://127.0.0.1/", false),
            ("*", "https://anything/", true),
            ("*", "https://anything:444/", false),
            ("*:444", "https://anything:444/", true),
        ] {
            // a last label of digits is refused as a pattern altogether
            let granting = HostPattern::parse(pattern).is_ok_and(|host| host.matches(&target(uri).unwrap()));
            assert_eq!(granting, granted, "{pattern} {uri}");
        }
    }

    #[test]
    fn odd_requests_have_no_target() {
        for uri in [
            "https://user@api.example.com/",
            "https://granted:x@evil/",
            "/path",
            "ftp://a/",
            "http://a:99999/",
        ] {
            let parsed: Result<Uri, _> = uri.parse();
            assert!(parsed.is_err() || target(uri).is_none(), "{uri}");
        }
        assert_eq!(target("https://a.b:443/").unwrap().authority(), "a.b");
        assert_eq!(target("http://[::1]:81/").unwrap().authority(), "[::1]:81");
    }

    #[test]
    fn nonsense_is_refused() {
        for pattern in ["", "https://a", "a:b", "a:70000", "a*b", "a b", "a/b"] {
            assert!(HostPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
