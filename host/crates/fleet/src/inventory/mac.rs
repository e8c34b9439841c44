//! Hardware addresses.

use std::fmt;

/// The hardware address of one thing, `aa:bb:cc:dd:ee:ff`. A made-up one (locally administered) is as good as any: it stays the same in
/// one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Mac([u8; 6]);

impl Mac {
    /// Reads any usual spelling: colons, dashes, dots, nothing between, or without leading zeros. What is no address of one thing (zeros, groups,
    /// everyone) is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > 17 {
            return None;
        }
        let separator = [':', '-'].into_iter().find(|sign| text.contains(*sign));
        let digits = match separator {
            Some(sign) => padded(text, sign)?,
            None => text.replace('.', ""),
        };
        if digits.len() != 12 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let number = u64::from_str_radix(&digits, 16).ok()?;
        let [_, _, bytes @ ..] = number.to_be_bytes();
        let is_group = bytes.first().is_some_and(|first| first & 1 == 1);
        (number != 0 && !is_group).then_some(Self(bytes))
    }
}

/// `0:1a:…` as `001a…`.
fn padded(text: &str, sign: char) -> Option<String> {
    let mut digits = String::with_capacity(12);
    let mut groups = 0;
    for group in text.split(sign) {
        match group.len() {
            1 => digits.push('0'),
            2 => {}
            _ => return None,
        }
        digits.push_str(group);
        groups += 1;
    }
    (groups == 6).then_some(digits)
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn any_usual_spelling_is_read() {
        for text in [
            "00:1A:2b:3c:4d:5e",
            "00-1a-2b-3c-4d-5e",
            "001a.2b3c.4d5e",
            "001A2B3C4D5E",
            "0:1a:2b:3c:4d:5e",
            " 00:1a:2b:3c:4d:5e\n",
        ] {
            assert_eq!(Mac::parse(text).unwrap().to_string(), "00:1a:2b:3c:4d:5e", "{text}");
        }
        // locally administered
        assert!(Mac::parse("02:00:00:00:00:01").is_some());
    }

    #[test]
    fn what_is_no_address_of_one_thing_is_none() {
        for text in [
            "",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "01:00:5e:00:00:fb",
            "33:33:00:00:00:01",
            "00:1a:2b:3c:4d",
            "00:1a:2b:3c:4d:5e:6f",
            "00:1a:2b:3c:4d:5g",
            "001a:2b3c:4d5e",
            "+01a2b3c4d5e",
            "ää:1a:2b:3c:4d:5e",
            "unknown",
        ] {
            assert_eq!(Mac::parse(text), None, "{text}");
        }
        assert_eq!(Mac::parse(&"a".repeat(1_000_000)), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_stumble_and_what_is_written_is_read(text in any::<String>()) {
            if let Some(mac) = Mac::parse(&text) {
                prop_assert_eq!(Mac::parse(&mac.to_string()), Some(mac));
            }
        }
    }
}
