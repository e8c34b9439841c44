//! The strict reading of JSON that every signed document goes through before it is parsed: valid UTF-8, one
//! value and nothing after it, no key twice, bounded depth, no number a double cannot hold exactly. It never
//! gives the value to anyone; it only says whether the text may be parsed at all.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of arrays and objects.
pub const MAX_JSON_DEPTH: usize = 16;
/// Largest magnitude of a number (2^53): above it, readers that use doubles see another number.
pub const MAX_JSON_NUMBER: u64 = 1 << 53;

/// Why a JSON text is refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("not valid UTF-8 at byte {at}")]
    Utf8 {
        /// Bytes before the fault.
        at: usize,
    },
    /// A key that occurs twice in one object.
    #[error("the key `{key}` occurs twice in one object")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// Nested too deeply.
    #[error("nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    /// A number over 2^53.
    #[error("holds a number larger than 2^53, which not every reader sees alike")]
    Number,
    /// Not JSON, or something after it.
    #[error("not a single JSON value: {0}")]
    Syntax(String),
}

/// Checks that `bytes` is one strict JSON value and returns it as text.
pub(crate) fn check(bytes: &[u8]) -> Result<&str, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::Utf8 {
        at: error.valid_up_to(),
    })?;
    let flaw = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Strict { depth: 0, flaw: &flaw }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| flaw.take().unwrap_or_else(|| JsonError::Syntax(error.to_string())))?;
    Ok(text)
}

/// Walks a value; what it finds wrong goes to `flaw`, since serde's errors carry only text.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    flaw: &'a Cell<Option<JsonError>>,
}

impl Strict<'_> {
    fn refuse<E: Error>(&self, flaw: JsonError) -> E {
        let error = E::custom(&flaw);
        self.flaw.set(Some(flaw));
        error
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_JSON_DEPTH {
            return Err(self.refuse(JsonError::TooDeep));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        if number > MAX_JSON_NUMBER {
            Err(self.refuse(JsonError::Number))
        } else {
            Ok(())
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_u64(number.unsigned_abs())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        // From 2^53 on the literal may have been rounded, so the limit itself is refused here.
        let exact = number.abs() < 9_007_199_254_740_992.0;
        if exact {
            Ok(())
        } else {
            Err(self.refuse(JsonError::Number))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(self.refuse(JsonError::DuplicateKey { key }));
            }
            seen.insert(key);
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> JsonError {
        check(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn ordinary_json_passes() {
        for text in [
            "null",
            r#"{"a":[1,-2,0.5,true,null,"x"],"b":{"a":{}}}"#,
            " [ ] ",
            "9007199254740992",
            "-9007199254740992",
        ] {
            assert_eq!(check(text.as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn a_key_twice_is_refused_at_any_depth_and_however_it_is_escaped() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"a":2}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(
                matches!(refusal(text), JsonError::DuplicateKey { key } if key == "a"),
                "{text}"
            );
        }
    }

    #[test]
    fn sixteen_levels_pass_and_seventeen_do_not() {
        let nest = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        check(nest(16).as_bytes()).unwrap();
        assert!(matches!(refusal(&nest(17)), JsonError::TooDeep));
        assert!(matches!(refusal(&"[".repeat(100_000)), JsonError::TooDeep));
        assert!(matches!(refusal(&r#"{"a":"#.repeat(17)), JsonError::TooDeep));
    }

    #[test]
    fn numbers_over_two_to_the_53_are_refused_however_they_are_written() {
        for text in [
            "9007199254740993",
            "-9007199254740993",
            "9007199254740993.0",
            "18446744073709551616",
            "1e300",
            "[1E16]",
            "-1e16",
        ] {
            assert!(
                matches!(refusal(text), JsonError::Number),
                "{text}: {:?}",
                refusal(text)
            );
        }
    }

    #[test]
    fn trailing_bytes_bad_utf8_and_non_json_are_refused() {
        for text in [
            "{} x",
            "{}{}",
            "",
            "{\"a\":1,}",
            "\"\\ud800\"",
            "NaN",
            "1e999",
            "\u{feff}{}",
            "{}\0",
        ] {
            let error = refusal(text);
            assert!(matches!(error, JsonError::Syntax(_)), "{text}: {error}");
        }
        assert!(matches!(check(b"{\"a\":\"\xff\"}"), Err(JsonError::Utf8 { at: 6 })));
        assert!(matches!(check(b"{} \xc0\x80"), Err(JsonError::Utf8 { at: 3 })));
    }
}
