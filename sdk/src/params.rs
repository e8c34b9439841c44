//! Parameters on their way in: a JSON object, taken apart parameter by parameter so that an error can name
//! the one at fault. Values stay unparsed text until a method asks for them with a type.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// Longest excerpt of a caller's value repeated in an error.
const LONGEST_EXCERPT: usize = 240;

/// The parameters of one call.
pub struct Params<'a> {
    given: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Params<'a> {
    /// Reads a JSON object; refuses anything else, and parameters that are not in `known` or come twice.
    pub fn parse(text: &'a str, known: &[&str]) -> Result<Self> {
        let Given(given) = serde_json::from_str(text).map_err(|cause| {
            Error::InvalidParams(format!("the parameters must be one JSON object: {}", in_short(&cause)))
        })?;
        for (position, (name, _)) in given.iter().enumerate() {
            if !known.contains(&name.as_ref()) {
                return Err(unknown(name, known));
            }
            if given.iter().skip(position + 1).any(|(other, _)| other == name) {
                return Err(Error::InvalidParams(format!("parameter `{name}` is given twice")));
            }
        }
        Ok(Self { given })
    }

    /// A parameter that must be there.
    pub fn required<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        match self.raw(name) {
            Some(raw) => typed(name, raw),
            None => Err(Error::InvalidParams(format!("parameter `{name}` is missing"))),
        }
    }

    /// A parameter that may be left out or `null`.
    pub fn optional<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        self.raw(name).map_or(Ok(None), |raw| typed::<Option<T>>(name, raw))
    }

    /// A parameter with a value of its own when it is left out. An explicit `null` is a value like any other.
    pub fn defaulted<T: DeserializeOwned>(&self, name: &str, default: impl FnOnce() -> T) -> Result<T> {
        self.raw(name).map_or_else(|| Ok(default()), |raw| typed(name, raw))
    }

    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.given
            .iter()
            .find_map(|(given, raw)| (given == name).then_some(*raw))
    }
}

fn typed<T: DeserializeOwned>(name: &str, raw: &RawValue) -> Result<T> {
    serde_json::from_str(raw.get())
        .map_err(|cause| Error::InvalidParams(format!("parameter `{name}`: {}", in_short(&cause))))
}

#[cold]
fn unknown(name: &str, known: &[&str]) -> Error {
    let name = cut(name);
    Error::InvalidParams(if known.is_empty() {
        format!("unknown parameter `{name}`; this method takes none")
    } else {
        format!("unknown parameter `{name}`; known: {}", known.join(", "))
    })
}

/// `invalid type: A, expected B at line 1 column 2` becomes `expected B, got A`.
#[cold]
fn in_short(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    let text = match text.rfind(" at line ") {
        Some(end) if !cause.is_syntax() && !cause.is_eof() => text.split_at(end).0,
        _ => text.as_str(),
    };
    let mismatch = text
        .strip_prefix("invalid type: ")
        .or_else(|| text.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "));
    match mismatch {
        Some((got, expected)) => format!("expected {}, got {}", in_json_words(expected), cut(got)),
        None => cut(text).into_owned(),
    }
}

/// Rust's names of numbers mean nothing to a caller in another language.
fn in_json_words(expected: &str) -> Cow<'_, str> {
    let whole = |least: &str, most: String| Cow::Owned(format!("a whole number from {least} to {most}"));
    match expected {
        "u8" => whole("0", u8::MAX.to_string()),
        "u16" => whole("0", u16::MAX.to_string()),
        "u32" => whole("0", u32::MAX.to_string()),
        "i8" => whole("-128", i8::MAX.to_string()),
        "i16" => whole("-32768", i16::MAX.to_string()),
        "i32" => whole("-2147483648", i32::MAX.to_string()),
        "u64" | "usize" => Cow::Borrowed("a whole number from 0"),
        "i64" | "isize" => Cow::Borrowed("a whole number"),
        "f32" | "f64" => Cow::Borrowed("a number"),
        other => Cow::Borrowed(other),
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_EXCERPT) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.split_at(end).0)),
        None => Cow::Borrowed(text),
    }
}

/// The object as it came: names in order, values as unparsed text.
struct Given<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A name, borrowed when it holds no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Given<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Given<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut given = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            given.push((name, value));
        }
        Ok(Given(given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: DeserializeOwned + fmt::Debug>(text: &str, known: &[&str], name: &str) -> String {
        match Params::parse(text, known).and_then(|params| params.required::<T>(name)) {
            Err(Error::InvalidParams(text)) => text,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn values_are_typed() {
        let params = Params::parse(r#"{"a": "x\n", "b": 3, "d": null}"#, &["a", "b", "c", "d"]).unwrap();
        assert_eq!(params.required::<String>("a").unwrap(), "x\n");
        assert_eq!(params.required::<u32>("b").unwrap(), 3);
        assert_eq!(params.optional::<u32>("b").unwrap(), Some(3));
        assert_eq!(params.optional::<u32>("c").unwrap(), None);
        assert_eq!(params.optional::<u32>("d").unwrap(), None);
        assert_eq!(params.defaulted("c", || 7).unwrap(), 7);
        assert_eq!(params.defaulted("b", || 7).unwrap(), 3);
    }

    #[test]
    fn the_parameter_at_fault_is_named() {
        let known = &["text", "times"];
        assert_eq!(refused::<u32>("{}", known, "times"), "parameter `times` is missing");
        assert_eq!(
            refused::<u32>(r#"{"times": "3"}"#, known, "times"),
            "parameter `times`: expected a whole number from 0 to 4294967295, got string \"3\""
        );
        assert_eq!(
            refused::<u32>(r#"{"times": -1}"#, known, "times"),
            "parameter `times`: expected a whole number from 0 to 4294967295, got integer `-1`"
        );
        assert_eq!(
            refused::<String>(r#"{"text": null}"#, known, "text"),
            "parameter `text`: expected a string, got null"
        );
        assert_eq!(
            refused::<u32>(r#"{"tmies": 1}"#, known, "times"),
            "unknown parameter `tmies`; known: text, times"
        );
        assert_eq!(
            refused::<u32>(r#"{"a": 1}"#, &[], "a"),
            "unknown parameter `a`; this method takes none"
        );
        assert_eq!(
            refused::<u32>(r#"{"times": 1, "\u0074imes": 2}"#, known, "times"),
            "parameter `times` is given twice"
        );
    }

    #[test]
    fn only_one_object_will_do() {
        for (text, complaint) in [
            ("[1]", "expected an object, got sequence"),
            ("null", "expected an object, got null"),
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{} {}", "trailing characters at line 1 column 4"),
            ("{\"a\": }", "expected value at line 1 column 7"),
        ] {
            assert_eq!(
                refused::<u32>(text, &["a"], "a"),
                format!("the parameters must be one JSON object: {complaint}")
            );
        }
    }

    #[test]
    fn a_huge_value_is_not_repeated() {
        let text = format!("{{\"times\": \"{}\"}}", "é".repeat(100_000));
        assert!(refused::<u32>(&text, &["times"], "times").len() < 700);
    }
}
