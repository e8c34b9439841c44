//! Whether a certificate is for a name (RFC 9525): a star stands for one whole label, the first.

use std::net::IpAddr;

/// Whether one of the certificate's names is this one.
pub(super) fn covers(names: &[String], wanted: &str) -> bool {
    let wanted = wanted.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = wanted.parse().ok();
    names.iter().any(|name| match address {
        Some(address) => name.parse() == Ok(address),
        None => matches(&name.trim_end_matches('.').to_ascii_lowercase(), &wanted),
    })
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some(rest) = pattern.strip_prefix("*.") else {
        return pattern == name;
    };
    name.split_once('.')
        .is_some_and(|(first, others)| !first.is_empty() && others == rest && rest.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_one_star() {
        let names = ["a.example", "*.wild.example", "192.0.2.7", "2001:db8::7", "*.com"].map(str::to_owned);
        for good in [
            "a.example",
            "A.EXAMPLE.",
            "x.wild.example",
            "192.0.2.7",
            "2001:DB8:0::7",
        ] {
            assert!(covers(&names, good), "{good}");
        }
        for bad in [
            "b.example",
            "wild.example",
            "x.y.wild.example",
            ".wild.example",
            "192.0.2.8",
            "x.com",
            "",
            "*",
        ] {
            assert!(!covers(&names, bad), "{bad}");
        }
    }
}
