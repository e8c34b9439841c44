//! Requests that a web page made a browser send: refused unless the page is ours.
//!
//! A browser attaches `Origin`; another site's page, or one whose name was rebound to this address, shows
//! there or in `Host`.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// `Origin` names another place than the one asked.
    Origin(String),
    /// Development mode answers to loopback names only.
    Host(String),
}

/// The place a request asks for: the authority of HTTP/2, else `Host`.
fn asked<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| headers.get(HOST)?.to_str().ok())
}

/// Checks that a page, if any, was served by this nexus.
pub(crate) fn check_origin(uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or("unreadable");
    let same = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
        .zip(asked(uri, headers))
        .is_some_and(|(from, to)| from.eq_ignore_ascii_case(to));
    if same {
        Ok(())
    } else {
        Err(Foreign::Origin(cut(origin)))
    }
}

/// Checks that the request asks for a loopback name, as everything does that was not rebound.
pub(crate) fn check_loopback_host(uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
    match asked(uri, headers) {
        Some(host) if is_loopback_name(host) => Ok(()),
        other => Err(Foreign::Host(cut(other.unwrap_or("nothing")))),
    }
}

fn is_loopback_name(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<http::uri::Authority>() else {
        return false;
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, origin: Option<&str>) -> (Uri, HeaderMap) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        (Uri::from_static("/api/v1/nodes"), headers)
    }

    fn origin(host: &str, origin: Option<&str>) -> bool {
        let (uri, headers) = request(host, origin);
        check_origin(&uri, &headers).is_ok()
    }

    #[test]
    fn own_pages_and_programs_pass_and_other_pages_do_not() {
        assert!(origin("127.0.0.1:8000", None));
        assert!(origin("127.0.0.1:8000", Some("http://127.0.0.1:8000")));
        assert!(origin("nexus.example", Some("https://Nexus.example")));
        for foreign in [
            "https://evil.example",
            "null",
            "http://127.0.0.1:8001",
            "http://127.0.0.1:8000.evil.example",
        ] {
            assert!(!origin("127.0.0.1:8000", Some(foreign)), "{foreign}");
        }
    }

    #[test]
    fn rebound_names_are_not_loopback() {
        for good in ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "127.9.9.9"] {
            let (uri, headers) = request(good, None);
            assert_eq!(check_loopback_host(&uri, &headers), Ok(()), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "user@evil.example:80",
            "",
        ] {
            let (uri, headers) = request(bad, None);
            assert!(check_loopback_host(&uri, &headers).is_err(), "{bad}");
        }
    }
}
