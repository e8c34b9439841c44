//! Kinds of values settings have: times, switches, secrets. One way to write each, in flags, environment and file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use venom_protocol::Timestamp;

use super::SettingError;

/// A span of time: `30`, `1.5`, `250ms`, `30s`, `5m` or `2h`; over zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no time (write 30, 1.5, 250ms, 30s, 5m or 2h)");
        let text = text.trim();
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(split).ok_or_else(wrong)?;
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let scale = match unit {
            "ms" => 0.001,
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(wrong()),
        };
        Self::from_number(number * scale).ok_or_else(|| format!("`{text}` must be over zero and under 10 years"))
    }
}

impl Seconds {
    /// Ten years; more is a slip of the pen.
    const MOST: f64 = 10.0 * 365.0 * 86_400.0;

    fn from_number(seconds: f64) -> Option<Self> {
        (seconds > 0.0 && seconds < Self::MOST).then(|| Self(Duration::from_secs_f64(seconds)))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a time: 30, 1.5, \"250ms\", \"30s\", \"5m\" or \"2h\"")]
        enum Written {
            Number(f64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How long a document counts: `12h`, `90d` or `10y`, years of 365 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime(i64);

impl Lifetime {
    /// Roots are changed by hand: long enough to forget, short enough to be changed once in the life of a machine.
    pub(crate) const OF_A_ROOT: Self = Self(10 * Self::YEAR);
    /// Of a release, where nobody says.
    pub(crate) const OF_A_RELEASE: Self = Self(90 * Self::DAY);
    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * Self::HOUR;
    const YEAR: i64 = 365 * Self::DAY;
    const MOST: i64 = 100 * Self::YEAR;

    /// As seconds.
    pub(crate) fn seconds(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// When a document ends that is made now.
    pub(crate) fn after(self, now: Timestamp) -> Result<Timestamp, SettingError> {
        let end = now.0.checked_add(jiff::SignedDuration::from_secs(self.0));
        end.map(Timestamp)
            .map_err(|error| SettingError::Impossible(format!("no document ends then: {error}")))
    }
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no lifetime (write 12h, 90d or 10y, up to 100 years)");
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at_checked(split).ok_or_else(wrong)?;
        let number: i64 = number.parse().map_err(|_| wrong())?;
        let scale = match unit {
            "h" => Self::HOUR,
            "d" => Self::DAY,
            "y" => Self::YEAR,
            _ => return Err(wrong()),
        };
        let seconds = number
            .checked_mul(scale)
            .filter(|seconds| (1..=Self::MOST).contains(seconds));
        seconds.map(Self).ok_or_else(wrong)
    }
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switch(pub bool);

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => Ok(Self(true)),
            "off" | "false" | "no" | "0" => Ok(Self(false)),
            _ => Err(format!("`{text}` is neither on nor off")),
        }
    }
}

/// A text nobody must see in a log.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// Keeps `text` out of logs from here on.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_unit() {
        for (text, milliseconds) in [
            ("30", 30_000),
            ("1.5", 1_500),
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
        ] {
            assert_eq!(
                text.parse::<Seconds>().unwrap().0,
                Duration::from_millis(milliseconds),
                "{text}"
            );
        }
        for text in ["", "s", "-1", "0", "1d", "inf", "NaN", "1e300", "ten"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }

    #[test]
    fn lifetimes_are_hours_days_or_years() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        for (text, end) in [
            ("36h", "2026-01-02T12"),
            ("90d", "2026-04-01T00"),
            ("10y", "2035-12-30T00"),
        ] {
            let lifetime: Lifetime = text.parse().unwrap();
            assert_eq!(&lifetime.after(now).unwrap().to_string()[..13], end, "{text}");
        }
        for text in [
            "",
            "d",
            "0d",
            "-1d",
            "90",
            "1.5d",
            "101y",
            "5m",
            "99999999999999999999h",
            "9223372036854775807y",
        ] {
            assert!(text.parse::<Lifetime>().is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "<redacted>");
    }
}
