//! HTTP hosts as requests and grants write them: a host or pattern, and perhaps a port. Pure; nothing is resolved.

use std::net::IpAddr;

use super::Peer;

/// `api.example.com`, `*.example.com:8443`, `127.0.0.1:8080`, `[::1]`, `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHost {
    /// Whom. Of addresses only single ones occur, never CIDRs.
    pub peer: Peer,
    /// The port; absent: 443 and 80.
    pub port: Option<u16>,
}

impl HttpHost {
    /// Reads a host, with or without a port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::of(&address.to_string(), None);
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        match (host.strip_prefix('['), text.ends_with(']')) {
            (Some(_), true) => Self::of(bracketed(text)?, None),
            (Some(_), false) => Self::of(bracketed(host)?, port),
            (None, _) => Self::of(host, port),
        }
    }

    fn of(host: &str, port: Option<&str>) -> Option<Self> {
        let port = match port {
            Some(text) => Some(
                text.parse()
                    .ok()
                    .filter(|&port: &u16| port != 0 && !text.starts_with('+'))?,
            ),
            None => None,
        };
        let peer = Peer::parse(host).filter(|_| !host.contains('/') && !host.contains(':') || is_v6(host))?;
        Some(Self { peer, port })
    }

    /// Whether a request for `self` includes everything of the grant `offer`. A bare `*` asks for every port.
    pub(super) fn includes(&self, offer: &Self) -> bool {
        let ports = match (self.port, offer.port) {
            (None, _) if self.peer == Peer::Anyone => true,
            (None, None) => true,
            (None, Some(port)) => matches!(port, 443 | 80),
            (Some(asked), offered) => offered == Some(asked),
        };
        ports && self.peer.covers(&offer.peer)
    }

    /// Whether the grant `self` holds everything of the request `asked`, so that it may be narrowed to it. An
    /// address is granted only by itself: `*` must not become a word for this machine.
    pub(super) fn holds(&self, asked: &Self) -> bool {
        let ports = match (self.port, asked.port) {
            (_, None) if asked.peer == Peer::Anyone => false,
            (None, None) => true,
            (None, Some(port)) => matches!(port, 443 | 80),
            (Some(offered), asked) => asked == Some(offered),
        };
        let address = matches!(asked.peer, Peer::Range(_));
        ports
            && if address {
                self.peer == asked.peer
            } else {
                self.peer.covers(&asked.peer)
            }
    }
}

fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']').filter(|inner| is_v6(inner))
}

fn is_v6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HttpHost {
        HttpHost::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn hosts_are_read_with_and_without_ports() {
        for (text, port) in [
            ("api.example.com", None),
            ("api.example.com:8443", Some(8443)),
            ("*.example.com", None),
            ("*", None),
            ("*:8080", Some(8080)),
            ("127.0.0.1:8080", Some(8080)),
            ("::1", None),
            ("[::1]", None),
            ("[::1]:8080", Some(8080)),
        ] {
            assert_eq!(host(text).port, port, "{text}");
        }
        assert_eq!(host("[::1]").peer, host("::1").peer);
        for bad in [
            "",
            ":80",
            "a:0",
            "a:+1",
            "a:x",
            "a:65536",
            "http://a",
            "a/b",
            "10.0.0.0/8",
            "A.com",
            "[a]:1",
            "a b",
            "[::1]x",
        ] {
            assert_eq!(HttpHost::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn without_a_port_443_and_80_are_meant_but_a_bare_star_asks_for_all() {
        for (asked, offer, includes, holds) in [
            ("*", "api.example.com:8443", true, false),
            ("*.example.com", "api.example.com", true, false),
            ("api.example.com", "*.example.com", false, true),
            ("api.example.com:8443", "*.example.com", false, false),
            ("api.example.com:443", "*.example.com", false, true),
            ("api.example.com", "api.example.com:80", true, false),
            ("api.example.com", "api.example.com:81", false, false),
            ("*", "*", true, false),
            ("127.0.0.1", "*", false, false),
            ("127.0.0.1", "127.0.0.1", true, true),
        ] {
            assert_eq!(host(asked).includes(&host(offer)), includes, "{asked} includes {offer}");
            assert_eq!(host(offer).holds(&host(asked)), holds, "{offer} holds {asked}");
        }
    }
}
