//! Attempts to learn of the networks that the machine is in, and of what answers there.

use std::net::IpAddr;
use std::time::Duration;

use venom_sdk::{Error, lan};

use crate::attempt::Attempt;

pub(crate) fn links() -> Attempt {
    Attempt::of("saw", lan::links())
}

pub(crate) fn neighbours() -> Attempt {
    Attempt::of("saw", lan::neighbours())
}

pub(crate) fn reverse(address: &str) -> Attempt {
    let named = address.parse::<IpAddr>().map_err(Error::from).and_then(lan::reverse);
    Attempt::of("named", named)
}

pub(crate) fn browse(kinds: &[String], milliseconds: u32) -> Attempt {
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    Attempt::of("heard", lan::browse(&kinds, Duration::from_millis(milliseconds.into())))
}

pub(crate) fn discover(milliseconds: u32) -> Attempt {
    Attempt::of("heard", lan::discover(Duration::from_millis(milliseconds.into())))
}

/// As JSON-like text without the certificates' bytes, which nobody can read.
pub(crate) fn peek(address: &str, port: u16, name: &str, milliseconds: u32) -> Attempt {
    let time = Duration::from_millis(milliseconds.into());
    let address = address.parse::<IpAddr>().map_err(Error::from);
    let seen = address.and_then(|address| lan::peek_tls(address, port, name, time));
    let told = seen.map(|session| {
        let lan::TlsSession {
            version,
            cipher,
            alpn,
            chain,
        } = session;
        let bytes: Vec<usize> = chain.iter().map(Vec::len).collect();
        format!("{version} {cipher} alpn `{alpn}` chain {bytes:?}")
    });
    Attempt::of("saw", told)
}

/// Status, headers and the body as text, then how many bytes it had.
pub(crate) fn page(address: &str, port: u16, name: &str, body: u32, milliseconds: u32) -> Attempt {
    let time = Duration::from_millis(milliseconds.into());
    let address = address.parse::<IpAddr>().map_err(Error::from);
    let got = address.and_then(|address| lan::get_https(address, port, name, body, time));
    let told = got.map(|page| {
        let headers: Vec<String> = page
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect();
        let beginning: String = String::from_utf8_lossy(&page.body).chars().take(100).collect();
        format!(
            "{} [{}] `{beginning}` {} bytes",
            page.status,
            headers.join(", "),
            page.body.len()
        )
    });
    Attempt::of("got", told)
}

pub(crate) fn peek_flood(address: &str, port: u16, count: u32) -> Attempt {
    for had in 0..count {
        let attempt = peek(address, port, "", 0);
        if !attempt.escaped {
            return Attempt::counted(had, count, "handshakes", Some(attempt.detail));
        }
    }
    Attempt::counted(count, count, "handshakes", None::<String>)
}
