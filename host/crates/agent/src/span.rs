//! Spans of time as people write them: `250ms`, `30s`, `15m`, `1h`, `1d`, `2w`, also one after the other (`1h30m`).

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Units, the larger first.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no span of time (write 30s, 15m, 1h, 1d or 1h30m)")]
pub struct InvalidSpan {
    /// What came, cut to 64 characters.
    pub text: String,
}

/// Reads a span; `0` needs no unit.
///
/// # Errors
/// When it is none, or longer than ten years.
pub fn parse_span(text: &str) -> Result<Duration, InvalidSpan> {
    read(text.trim()).ok_or_else(|| InvalidSpan {
        text: text.chars().take(64).collect(),
    })
}

fn read(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = tail;
    }
    (total <= 3_653 * 86_400_000).then(|| Duration::from_millis(total))
}

/// Writes a span as [`parse_span`] reads it, to the millisecond.
#[must_use]
pub fn write_span(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, factor) in UNITS {
        if let Some(count) = rest.checked_div(factor).filter(|count| *count > 0) {
            // a String takes everything
            let _ = write!(text, "{count}{name}");
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

pub(crate) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&write_span(*span))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_span(&text).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, seconds) in [
            ("15m", 900),
            ("1h", 3_600),
            ("1d", 86_400),
            ("1h30m", 5_400),
            ("2w", 1_209_600),
            ("0", 0),
        ] {
            assert_eq!(parse_span(text).unwrap(), Duration::from_secs(seconds), "{text}");
            assert_eq!(
                parse_span(&write_span(Duration::from_secs(seconds))).unwrap().as_secs(),
                seconds
            );
        }
        assert_eq!(write_span(Duration::from_millis(90_250)), "1m30s250ms");
        for wrong in [
            "",
            "m",
            "15",
            "15 m",
            "1y",
            "-1h",
            "1h30",
            "99999999999999999999d",
            "11000d",
        ] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }
}
