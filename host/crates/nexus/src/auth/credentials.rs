//! Where a token may be in a request. Never compares it and never logs it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// What a request presents.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// A token.
    Token(String),
    /// Something that is no token in any form we know.
    Unreadable,
}

/// `Authorization: Bearer TOKEN`, or `Basic` with the token as the password: browsers ask for that by
/// themselves, which is how `/docs` opens.
pub(crate) fn from_headers(headers: &HeaderMap) -> Credentials {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Credentials::None;
    };
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Credentials::Unreadable;
    };
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().to_owned()),
        "basic" => basic_password(rest.trim()),
        _ => None,
    };
    token.map_or(Credentials::Unreadable, Credentials::Token)
}

fn basic_password(encoded: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// `?access_token=TOKEN`, for the event routes only: a browser's `EventSource` and `WebSocket` cannot set
/// headers. Tokens are made of characters that need no escaping.
pub(crate) fn from_query(query: Option<&str>) -> Credentials {
    query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("access_token="))
        .map_or(Credentials::None, |token| Credentials::Token(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> Credentials {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        from_headers(&headers)
    }

    #[test]
    fn reads_bearer_and_basic() {
        assert_eq!(with("Bearer abc"), Credentials::Token("abc".into()));
        assert_eq!(with("bearer abc"), Credentials::Token("abc".into()));
        assert_eq!(with("Basic bWU6YWJj"), Credentials::Token("abc".into()));
        assert_eq!(from_headers(&HeaderMap::new()), Credentials::None);
    }

    #[test]
    fn refuses_other_forms() {
        for bad in ["abc", "Digest abc", "Basic !!!", "Basic bWU="] {
            assert_eq!(with(bad), Credentials::Unreadable, "{bad}");
        }
    }

    #[test]
    fn reads_the_query() {
        assert_eq!(
            from_query(Some("a=b&access_token=abc")),
            Credentials::Token("abc".into())
        );
        assert_eq!(from_query(Some("xaccess_token=abc")), Credentials::None);
        assert_eq!(from_query(None), Credentials::None);
    }
}
