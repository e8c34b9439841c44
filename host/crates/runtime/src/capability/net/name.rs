//! Host names and the patterns that grant them. No look-up happens here.

use std::net::IpAddr;

/// `*` alone, or a name with at most one `*` at either end (`*.example.com`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamePattern {
    Any,
    Exact(String),
    EndsWith(String),
    StartsWith(String),
}

impl NamePattern {
    /// Reads a pattern; the error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let name = normalise(text);
        if name == "*" {
            return Ok(Self::Any);
        }
        let (pattern, bare): (fn(String) -> Self, &str) = if let Some(rest) = name.strip_prefix('*') {
            (Self::EndsWith, rest)
        } else if let Some(rest) = name.strip_suffix('*') {
            (Self::StartsWith, rest)
        } else {
            (Self::Exact, &name)
        };
        if !is_name(bare) {
            return Err("is neither an address, a CIDR nor a host name with at most one `*` at either end".to_owned());
        }
        Ok(pattern(bare.to_owned()))
    }

    /// Whether the name, as given by [`normalise`], is granted.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => name == exact,
            // `*.example.com` must not match `.example.com`
            Self::EndsWith(end) => name.len() > end.len() && name.ends_with(end.as_str()),
            Self::StartsWith(start) => name.len() > start.len() && name.starts_with(start.as_str()),
        }
    }
}

/// Lower case, without the root's dot: DNS makes no difference, so neither may a grant.
pub(crate) fn normalise(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    name.strip_suffix('.').map_or_else(|| name.clone(), str::to_owned)
}

/// Whether resolvers take the text for an address already, in any of its spellings (`127.0.0.1`, `[::1]`,
/// `0x7f000001`, `127.1`): then nobody is asked, and nothing is learned.
pub(super) fn is_literal(name: &str) -> bool {
    let name = normalise(name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let last = bare.rsplit('.').next().unwrap_or_default();
    // exactly what the URL standard calls "ends in a number": anything else would be asked of a name server
    let hexadecimal = last.strip_prefix("0x");
    let hexadecimal = hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    bare.parse::<IpAddr>().is_ok() || is_number(last) || hexadecimal
}

fn is_number(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let last = name.rsplit('.').next().unwrap_or_default();
    // a last label of digits is an address written wrongly (`10.0.0.300`), never a name
    let numeric = is_number(last);
    !name.is_empty() && name.len() <= 253 && name.chars().all(legal) && !name.contains("..") && !numeric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_grant_what_they_say() {
        for (pattern, name, granted) in [
            ("*", "anything.at.all", true),
            ("api.example.com", "api.example.com", true),
            ("api.example.com", "API.Example.com.", true),
            ("api.example.com", "api.example.com.evil.net", false),
            ("api.example.com", "xapi.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "aexample.com", false),
            ("db-*", "db-1", true),
            ("db-*", "db-", false),
            ("db-*", "xdb-1", false),
        ] {
            let parsed = NamePattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(&normalise(name)), granted, "{pattern} {name}");
        }
    }

    #[test]
    fn addresses_are_told_from_names_in_any_spelling() {
        for literal in [
            "127.0.0.1",
            "::1",
            "[::1]",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.0x1",
            "10.0.0.300",
        ] {
            assert!(is_literal(literal), "{literal}");
        }
        for name in ["example.com", "1.example", "x0x1", "a1", "secret.0xzz", "0x1.com"] {
            assert!(!is_literal(name), "{name}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for pattern in [
            "",
            "a*b",
            "**",
            "*.a.*",
            "10.0.0.300",
            "1.2.3",
            "a b",
            "http://x",
            "a..b",
            "10.0.0.0/33",
        ] {
            assert!(NamePattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
