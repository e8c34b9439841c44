//! Timestamps as peers write them: ISO 8601, with or without a zone.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A point in time. Written as RFC 3339 in UTC; read with any offset, or without one (v1 peers), which is
/// taken as UTC. Nothing depends on a peer's clock: these are for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
pub struct Timestamp(pub jiff::Timestamp);

impl Timestamp {
    /// The wall clock of this machine.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now())
    }

    /// Reads ISO 8601, with or without a zone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Some(Self(instant));
        }
        let civil: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(civil).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `+00:00` and not `Z`: `datetime.fromisoformat` of Python before 3.11 does not know the latter
        write!(f, "{:.6}", self.0.display_with_offset(Offset::UTC))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no ISO 8601 timestamp")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_peers_write() {
        let noon = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
        for text in [
            "2026-03-01T12:00:00",
            "2026-03-01 12:00:00.000000",
            "2026-03-01T13:00:00+01:00",
        ] {
            assert_eq!(Timestamp::parse(text), Some(noon), "{text}");
        }
        for text in ["", "noon", "2026-13-01T12:00:00", "1772366400"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_what_old_pythons_read() {
        let noon = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
        assert_eq!(noon.to_string(), "2026-03-01T12:00:00.000000+00:00");
        let json = serde_json::to_string(&noon).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), noon);
    }
}
