//! Patterns of names: `*` is anything, otherwise one `*` at either end stands for any run of characters. No
//! regular expressions, no escapes: an operator reads them at a glance.

/// Whether `text` fits `pattern`. Case matters. A malformed pattern (a `*` elsewhere) fits nothing.
#[must_use]
pub fn pattern_matches(pattern: &str, text: &str) -> bool {
    match Parts::of(pattern) {
        Some(Parts::Anything) => true,
        Some(Parts::Exactly(name)) => text == name,
        Some(Parts::BeginsWith(prefix)) => text.starts_with(prefix),
        Some(Parts::EndsWith(suffix)) => text.ends_with(suffix),
        None => false,
    }
}

/// Whether a host name fits a host pattern, whatever the case; a final dot of the name is dropped.
#[must_use]
pub fn host_pattern_matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    pattern_matches(&pattern.to_ascii_lowercase(), &host.to_ascii_lowercase())
}

/// Whether everything that fits `inner` fits `outer` too.
pub(super) fn pattern_covers(outer: &str, inner: &str) -> bool {
    let (Some(outer), Some(inner)) = (Parts::of(outer), Parts::of(inner)) else {
        return false;
    };
    match (outer, inner) {
        (Parts::Anything, _) => true,
        (Parts::Exactly(outer), Parts::Exactly(inner)) => outer == inner,
        (Parts::BeginsWith(prefix), Parts::Exactly(inner) | Parts::BeginsWith(inner)) => inner.starts_with(prefix),
        (Parts::EndsWith(suffix), Parts::Exactly(inner) | Parts::EndsWith(inner)) => inner.ends_with(suffix),
        _ => false,
    }
}

/// Whether it is a pattern at all.
pub(super) fn is_well_formed(pattern: &str) -> bool {
    !pattern.is_empty()
        && !pattern
            .chars()
            .any(|character| character.is_whitespace() || character.is_control())
        && Parts::of(pattern).is_some()
}

enum Parts<'a> {
    Anything,
    Exactly(&'a str),
    BeginsWith(&'a str),
    EndsWith(&'a str),
}

impl<'a> Parts<'a> {
    fn of(pattern: &'a str) -> Option<Self> {
        let parts = match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(""), _) => Self::Anything,
            (Some(suffix), _) => Self::EndsWith(suffix),
            (None, Some(prefix)) => Self::BeginsWith(prefix),
            (None, None) => Self::Exactly(pattern),
        };
        let fixed = match parts {
            Self::Anything => "",
            Self::Exactly(text) | Self::BeginsWith(text) | Self::EndsWith(text) => text,
        };
        (!fixed.contains('*')).then_some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_at_either_end_stands_for_any_run() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "anything", true),
            ("ls", "ls", true),
            ("ls", "lsof", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("EchoSkill.*", "EchoSkill.say", true),
            ("EchoSkill.*", "EchoSkillX.say", false),
            ("a*b", "a*b", false),
            ("*a*", "xax", false),
            ("**", "x", false),
            ("LS", "ls", false),
        ] {
            assert_eq!(pattern_matches(pattern, text), fits, "{pattern} {text}");
        }
        assert!(host_pattern_matches("*.example.com", "API.Example.COM."));
        assert!(!host_pattern_matches("*.example.com", "example.com.evil"));
    }

    #[test]
    fn a_pattern_covers_another_only_when_all_of_it_fits() {
        for (outer, inner, covers) in [
            ("*", "a*", true),
            ("*", "*", true),
            ("a*", "ab*", true),
            ("ab*", "a*", false),
            ("*.com", "*.example.com", true),
            ("*.com", "x.com", true),
            ("x.com", "*.com", false),
            ("a*", "*a", false),
            ("a", "a", true),
            ("a*", "*", false),
        ] {
            assert_eq!(pattern_covers(outer, inner), covers, "{outer} {inner}");
        }
    }

    #[test]
    fn only_plain_patterns_are_well_formed() {
        for good in ["*", "a", "a*", "*a", "a.b"] {
            assert!(is_well_formed(good), "{good}");
        }
        for bad in ["", "**", "a*b", "*a*", "a b", "a\n", " "] {
            assert!(!is_well_formed(bad), "{bad:?}");
        }
    }
}
