//! Where the nexus is: turns what people write into one WebSocket URL. Looks nothing up.

use tokio_tungstenite::tungstenite::http::Uri;

use crate::SporeError;

/// Path of the swarm protocol.
const NODES_PATH: &str = "/ws/nodes";

/// Port of a nexus written without a scheme and without a port.
const DEFAULT_PORT: u16 = 8000;

/// One WebSocket endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `ws://host:port/ws/nodes`.
    pub(crate) url: String,
    /// Name or address, without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl Endpoint {
    pub(crate) fn parse(written: &str) -> Result<Self, SporeError> {
        let wrong = |why| SporeError::Address {
            address: written.to_owned(),
            why,
        };
        let (scheme, rest) = written.trim().split_once("://").unwrap_or(("", written.trim()));
        let (tls, standard_port) = match scheme.to_ascii_lowercase().as_str() {
            "" => (false, DEFAULT_PORT),
            "ws" | "http" => (false, 80),
            "wss" | "https" => (true, 443),
            _ => return Err(wrong("its scheme is none of ws, wss, http, https")),
        };
        let plain: Uri = format!("ws://{rest}")
            .parse()
            .map_err(|_| wrong("it cannot be read as a url"))?;
        let authority = plain.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it carries a user name; the token is a setting of its own"));
        }
        if plain.query().is_some() {
            return Err(wrong("it carries a query"));
        }
        if authority.host().is_empty() {
            return Err(wrong("it names no host"));
        }
        let port =
            port_of(authority.as_str(), authority.host(), standard_port).ok_or_else(|| wrong("its port is none"))?;
        let scheme = if tls { "wss" } else { "ws" };
        Ok(Self {
            url: format!("{scheme}://{}:{port}{}", authority.host(), path_of(plain.path())),
            host: authority
                .host()
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port,
            tls,
        })
    }

    /// `http://host:port`, with whatever path stands before the swarm protocol's.
    pub(crate) fn http_base(&self) -> String {
        let plain = self.url.trim_end_matches(NODES_PATH);
        plain.replacen("ws", "http", 1)
    }

    /// `host:port`, for messages.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether what is sent there can be read on the way.
    pub(crate) fn is_exposed(&self) -> bool {
        let loopback = self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        !self.tls && !loopback && self.host != "localhost"
    }
}

/// Port written behind the host; `None` when there is one that is no port.
fn port_of(authority: &str, host: &str, otherwise: u16) -> Option<u16> {
    match authority.strip_prefix(host)? {
        "" => Some(otherwise),
        written => written.strip_prefix(':')?.parse().ok().filter(|port| *port != 0),
    }
}

fn path_of(path: &str) -> String {
    let path = path.trim_end_matches('/');
    if path.ends_with(NODES_PATH) {
        path.to_owned()
    } else {
        format!("{path}{NODES_PATH}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_where_the_websocket_is() {
        for (written, base) in [
            ("10.0.0.1:9000", "http://10.0.0.1:9000"),
            ("wss://hub/venom/ws/nodes", "https://hub:443/venom"),
            ("ws://[::1]:7", "http://[::1]:7"),
        ] {
            assert_eq!(Endpoint::parse(written).unwrap().http_base(), base);
        }
    }

    #[test]
    fn every_way_to_write_a_nexus_gives_its_websocket() {
        let cases = [
            ("localhost", "ws://localhost:8000/ws/nodes"),
            ("10.0.0.1:9000", "ws://10.0.0.1:9000/ws/nodes"),
            ("http://hub:8000", "ws://hub:8000/ws/nodes"),
            ("https://hub", "wss://hub:443/ws/nodes"),
            ("HTTPS://hub:8443/", "wss://hub:8443/ws/nodes"),
            ("ws://hub", "ws://hub:80/ws/nodes"),
            ("wss://hub/venom/", "wss://hub:443/venom/ws/nodes"),
            ("wss://hub/ws/nodes", "wss://hub:443/ws/nodes"),
            ("ws://[::1]:8000", "ws://[::1]:8000/ws/nodes"),
        ];
        for (written, url) in cases {
            let endpoint = Endpoint::parse(written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(endpoint.url, url, "{written}");
        }
    }

    #[test]
    fn the_brackets_of_ipv6_are_only_in_the_url() {
        let endpoint = Endpoint::parse("ws://[::1]:8000").expect("an address");
        assert_eq!(endpoint.host, "::1");
        assert_eq!(endpoint.authority(), "[::1]:8000");
        assert!(!endpoint.is_exposed());
    }

    #[test]
    fn plain_text_to_another_machine_is_exposed() {
        assert!(Endpoint::parse("ws://hub:8000").expect("an address").is_exposed());
        assert!(!Endpoint::parse("wss://hub:8000").expect("an address").is_exposed());
        assert!(!Endpoint::parse("127.0.0.1:8000").expect("an address").is_exposed());
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        let cases = [
            ("ftp://hub", "scheme"),
            ("", "cannot be read"),
            ("ws://user@hub", "user name"),
            ("ws://hub?token=x", "query"),
            ("ws://hub:99999", "port"),
            ("hub:0", "port"),
            ("ws:// hub", "cannot be read"),
        ];
        for (written, why) in cases {
            let error = Endpoint::parse(written).expect_err(written).to_string();
            assert!(error.contains(why), "{written}: {error}");
        }
    }
}
