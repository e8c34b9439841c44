//! Reading what v1 peers write: Python gives `4.0` or `null` where a count is meant, and `null` for what it
//! could not find out. Only for fields of peers' messages, never for REST or stored formats.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// `null` is the default.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A count as `4`, `4.7` (4) or `null` (0). Too large ones become the largest; negative ones are refused.
pub(crate) fn count<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64> + Saturating,
{
    let wide = deserializer.deserialize_any(Count)?;
    Ok(T::try_from(wide).unwrap_or(T::LARGEST))
}

/// Unsigned integers with a largest value.
pub(crate) trait Saturating {
    /// The largest.
    const LARGEST: Self;
}

impl Saturating for u32 {
    const LARGEST: Self = Self::MAX;
}

impl Saturating for u64 {
    const LARGEST: Self = Self::MAX;
}

struct Count;

impl Visitor<'_> for Count {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number that is not negative")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::custom(format!("{value} is negative")))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and the fraction is meant to go"
    )]
    fn visit_f64<E: Error>(self, value: f64) -> Result<u64, E> {
        if value < 0.0 {
            return Err(E::custom(format!("{value} is negative")));
        }
        Ok(value as u64)
    }

    fn visit_unit<E: Error>(self) -> Result<u64, E> {
        Ok(0)
    }
}
