//! What an operator hands to a new agent in one line: where the nexus is, a token to get in with, and the pin of the nexus's key.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::pin::Pin;
use crate::token::Token;

/// Port of a nexus when none is written.
const DEFAULT_PORT: u16 = 8000;

/// `venom://HOST:PORT/?token=T&tls=1&pin=sha256:HEX`. `Display` shows the token: it is what is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolString {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub nexus_url: String,
    /// An enrolment token, or the shared registration token.
    pub token: Token,
    /// The only key to trust there.
    pub pin: Option<Pin>,
}

/// A text that is no enrol string. Never names the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no enrol string: {why} (expected venom://HOST:PORT/?token=T, and &tls=1&pin=sha256:HEX for TLS)")]
pub struct InvalidEnrolString {
    /// What is wrong.
    pub why: &'static str,
}

impl FromStr for EnrolString {
    type Err = InvalidEnrolString;

    fn from_str(text: &str) -> Result<Self, InvalidEnrolString> {
        let wrong = |why| InvalidEnrolString { why };
        let url = Url::parse(text.trim()).map_err(|_| wrong("it cannot be read as a url"))?;
        if url.scheme() != "venom" {
            return Err(wrong("it does not begin with venom://"));
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(wrong("it names no host"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it carries a user name"));
        }
        let (mut token, mut tls, mut pin) = (None, None, None);
        for (name, value) in url.query_pairs() {
            let again = match name.as_ref() {
                "token" => token
                    .replace(Token::new(&value).map_err(|_| wrong("its token is none"))?)
                    .is_some(),
                "tls" => tls
                    .replace(switch(&value).ok_or(wrong("its tls is neither 0 nor 1"))?)
                    .is_some(),
                "pin" => pin
                    .replace(value.parse().map_err(|_| wrong("its pin is none"))?)
                    .is_some(),
                // a newer nexus may say more
                _ => false,
            };
            if again {
                return Err(wrong("it says something twice"));
            }
        }
        if pin.is_some() && tls == Some(false) {
            return Err(wrong("a pin needs tls"));
        }
        let scheme = if tls == Some(true) || pin.is_some() {
            "https"
        } else {
            "http"
        };
        Ok(Self {
            nexus_url: format!("{scheme}://{host}:{}", url.port().unwrap_or(DEFAULT_PORT)),
            token: token.ok_or(wrong("it has no token"))?,
            pin,
        })
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

impl fmt::Display for EnrolString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.nexus_url.split_once("://").unwrap_or(("http", &self.nexus_url));
        let authority = rest.split('/').next().unwrap_or_default();
        write!(f, "venom://{authority}/?token=")?;
        for byte in self.token.reveal().bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        if scheme == "https" {
            f.write_str("&tls=1")?;
        }
        match self.pin {
            Some(pin) => write!(f, "&pin={pin}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let pin = format!("sha256:{}", "0f".repeat(32));
        for (text, url) in [
            ("venom://hub:8000/?token=abc_-1".to_owned(), "http://hub:8000"),
            (
                format!("venom://hub:8443/?token=abc&tls=1&pin={pin}"),
                "https://hub:8443",
            ),
            ("venom://[::1]:9/?token=a%2Bb%26c&tls=1".to_owned(), "https://[::1]:9"),
            ("venom://192.0.2.1:443/?token=x".to_owned(), "http://192.0.2.1:443"),
        ] {
            let enrol: EnrolString = text.parse().unwrap();
            assert_eq!(enrol.nexus_url, url);
            assert_eq!(enrol.to_string(), text);
            assert!(!format!("{enrol:?}").contains("abc"));
        }
        let short: EnrolString = "  venom://hub?token=t&later=thing\n".parse().unwrap();
        assert_eq!(short.nexus_url, "http://hub:8000");
        // a pin says that it is TLS
        let pinned: EnrolString = format!("venom://hub/?token=t&pin={pin}").parse().unwrap();
        assert_eq!(
            (pinned.nexus_url.as_str(), pinned.pin.is_some()),
            ("https://hub:8000", true)
        );
    }

    #[test]
    fn what_is_wrong_is_named_without_the_token() {
        let pin = format!("sha256:{}", "0f".repeat(32));
        for (text, why) in [
            ("", "url"),
            ("http://hub:8000/?token=secret", "venom://"),
            ("venom:///?token=secret", "no host"),
            ("venom://hub:8000/", "no token"),
            ("venom://hub:8000/?token=", "its token is none"),
            ("venom://hub:8000/?token=secret&token=secret", "twice"),
            ("venom://hub:8000/?token=secret&pin=sha256:00", "its pin"),
            ("venom://hub:8000/?token=secret&tls=yes", "its tls"),
            (&format!("venom://hub:8000/?token=secret&tls=0&pin={pin}"), "needs tls"),
            ("venom://me:secret@hub:8000/?token=secret", "user name"),
        ] {
            let error = text.parse::<EnrolString>().unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
