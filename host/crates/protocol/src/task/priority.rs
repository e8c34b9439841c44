//! How urgent a task is.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// 0 to 10, higher first. Written as `high_priority` (8), `background` (2) or the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String))]
pub struct Priority(u8);

/// A text or number that is no priority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no priority; give 0 to 10, `high_priority` or `background`")]
pub struct InvalidPriority(pub String);

impl Priority {
    /// `high_priority`.
    pub const HIGH: Self = Self(8);
    /// `background`, and the default.
    pub const BACKGROUND: Self = Self(2);
    /// The most urgent.
    pub const HIGHEST: Self = Self(10);
    /// The least urgent.
    pub const LOWEST: Self = Self(0);
    /// Lowest level that counts to the high priority queue in statistics and in names of keys.
    pub const HIGH_QUEUE_FROM: Self = Self(6);

    /// A level of 0 to 10.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level <= Self::HIGHEST.0 {
            Some(Self(level))
        } else {
            None
        }
    }

    /// 0 to 10.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }

    /// Whether it belongs to the high priority queue.
    #[must_use]
    pub fn is_high(self) -> bool {
        self >= Self::HIGH_QUEUE_FROM
    }

    /// All levels, the most urgent first.
    pub fn descending() -> impl Iterator<Item = Self> {
        (0..=Self::HIGHEST.0).rev().map(Self)
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::BACKGROUND
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::HIGH => f.write_str("high_priority"),
            Self::BACKGROUND => f.write_str("background"),
            Self(level) => level.fmt(f),
        }
    }
}

impl FromStr for Priority {
    type Err = InvalidPriority;

    fn from_str(text: &str) -> Result<Self, InvalidPriority> {
        match text {
            "high_priority" => Ok(Self::HIGH),
            "background" => Ok(Self::BACKGROUND),
            number => {
                let level = number.parse().ok().and_then(Self::new);
                level.ok_or_else(|| InvalidPriority(number.chars().take(64).collect()))
            }
        }
    }
}

impl Serialize for Priority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::HIGH => serializer.serialize_str("high_priority"),
            Self::BACKGROUND => serializer.serialize_str("background"),
            Self(level) => serializer.serialize_u8(level),
        }
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Level)
    }
}

struct Level;

impl Visitor<'_> for Level {
    type Value = Priority;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a priority: 0 to 10, `high_priority` or `background`")
    }

    fn visit_u64<E: Error>(self, level: u64) -> Result<Priority, E> {
        let known = u8::try_from(level).ok().and_then(Priority::new);
        known.ok_or_else(|| E::custom(InvalidPriority(level.to_string())))
    }

    fn visit_i64<E: Error>(self, level: i64) -> Result<Priority, E> {
        let known = u8::try_from(level).ok().and_then(Priority::new);
        known.ok_or_else(|| E::custom(InvalidPriority(level.to_string())))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Priority, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_and_anything_else_is_told() {
        let read = |json: &str| serde_json::from_str::<Priority>(json).map_err(|error| error.to_string());
        assert_eq!(read("\"high_priority\""), Ok(Priority::HIGH));
        assert_eq!(read("\"background\""), Ok(Priority::BACKGROUND));
        assert_eq!(read("10"), Ok(Priority::HIGHEST));
        assert_eq!(read("\"0\""), Ok(Priority::LOWEST));
        for wrong in ["11", "-1", "\"urgent\"", "\"\"", "1.5", "null", "[]", "\"11\""] {
            let why = read(wrong).unwrap_err();
            assert!(why.contains("0 to 10"), "{wrong}: {why}");
        }
    }

    #[test]
    fn writing_and_reading_agree() {
        for priority in Priority::descending() {
            let json = serde_json::to_string(&priority).unwrap();
            assert_eq!(serde_json::from_str::<Priority>(&json).unwrap(), priority);
            assert_eq!(priority.to_string().parse(), Ok(priority));
        }
        assert_eq!(serde_json::to_string(&Priority::HIGH).unwrap(), "\"high_priority\"");
    }
}
