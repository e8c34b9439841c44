//! What people write after `run` and `exec`: `SKILL.METHOD` and parameters in one of four forms. Pure, apart
//! from reading the file or stdin it is told to read.

use std::io::Read;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::failure::{Explain as _, Failure};

/// Most bytes read from a file or stdin; the nexus takes no more.
const MAX_PARAMS: u64 = 16 * 1024 * 1024;

const FORMS: &str = "write a JSON object ('{\"path\":\"a.txt\"}'), pairs (path=a.txt count:=3), @FILE, or - for stdin";

/// A skill and one of its methods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// For example `FileSkill`.
    pub skill: String,
    /// For example `read_file`.
    pub method: String,
}

impl Target {
    /// Reads `SKILL.METHOD`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        match text.split_once('.') {
            Some((skill, method)) if !skill.is_empty() && !method.is_empty() => Ok(Self {
                skill: skill.to_owned(),
                method: method.to_owned(),
            }),
            _ => Err(Failure::usage(format!("`{text}` names no skill and method"))
                .help("write SKILL.METHOD, for example FileSkill.read_file")),
        }
    }
}

/// Reads the parameters from the words on the command line; `stdin` is read only when a word is `-`.
pub(crate) fn read(words: &[String], stdin: impl Read) -> Result<Box<RawValue>, Failure> {
    match words {
        [] => object("{}"),
        [word] if word == "-" => object(&read_all(stdin, "stdin")?),
        [word] if word.starts_with('@') => {
            let path = word.trim_start_matches('@');
            let file = std::fs::File::open(path).map_err(|error| {
                Failure::usage(format!("cannot read the parameters from {path}")).because(error.to_string())
            })?;
            object(&read_all(file, path)?)
        }
        [word] if word.trim_start().starts_with(['{', '[']) => object(word),
        pairs => from_pairs(pairs),
    }
}

fn read_all(source: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    source.take(MAX_PARAMS + 1).read_to_string(&mut text).map_err(|error| {
        Failure::usage(format!("cannot read the parameters from {name}")).because(error.to_string())
    })?;
    if text.len() as u64 > MAX_PARAMS {
        return Err(Failure::usage(format!(
            "the parameters in {name} are over {} MiB",
            MAX_PARAMS / (1024 * 1024)
        )));
    }
    Ok(text)
}

fn object(text: &str) -> Result<Box<RawValue>, Failure> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        Failure::usage("the parameters are no JSON")
            .because(error.to_string())
            .help(FORMS)
    })?;
    if !value.is_object() {
        return Err(Failure::usage(format!("the parameters are a JSON {}, not an object", kind(&value))).help(FORMS));
    }
    RawValue::from_string(text.trim().to_owned()).or_fail("cannot pass the parameters on")
}

fn from_pairs(pairs: &[String]) -> Result<Box<RawValue>, Failure> {
    let mut map = Map::new();
    for pair in pairs {
        let (name, value) = pair_of(pair)?;
        if map.insert(name.clone(), value).is_some() {
            return Err(Failure::usage(format!("the parameter `{name}` is given twice")));
        }
    }
    serde_json::value::to_raw_value(&map).or_fail("cannot pass the parameters on")
}

fn pair_of(pair: &str) -> Result<(String, Value), Failure> {
    let Some((name, text)) = pair.split_once('=') else {
        return Err(Failure::usage(format!("`{pair}` is no parameter")).help(FORMS));
    };
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => {
            let value = serde_json::from_str(text).map_err(|error| {
                Failure::usage(format!("`{text}`, the value of `{name}`, is no JSON"))
                    .because(error.to_string())
                    .help(format!("after := comes JSON; for plain text write {name}={text}"))
            })?;
            (name, value)
        }
        None => (name, Value::String(text.to_owned())),
    };
    if name.is_empty() {
        return Err(Failure::usage(format!("`{pair}` has no name before the =")).help(FORMS));
    }
    Ok((name.to_owned(), value))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str], stdin: &str) -> Result<String, Failure> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        read(&words, stdin.as_bytes()).map(|value| value.get().to_owned())
    }

    #[test]
    fn all_forms_are_read() {
        assert_eq!(of(&[], "").unwrap(), "{}");
        assert_eq!(of(&["{\"a\": 1}"], "").unwrap(), "{\"a\": 1}");
        assert_eq!(of(&["-"], "{\"a\":2}\n").unwrap(), "{\"a\":2}");
        assert_eq!(
            of(&["a=b=c", "n:=3", "l:=[1]"], "").unwrap(),
            r#"{"a":"b=c","l":[1],"n":3}"#
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"f\":true}").unwrap();
        assert_eq!(
            of(&[&format!("@{}", file.path().display())], "").unwrap(),
            "{\"f\":true}"
        );
    }

    #[test]
    fn everything_else_is_wrong_use() {
        for words in [
            &["[1]"][..],
            &["{"],
            &["word"],
            &["=x"],
            &["a:=nope"],
            &["a=1", "a=2"],
            &["@/nowhere"],
            &["{}", "a=1"],
        ] {
            assert_eq!(of(words, "").unwrap_err().exit_code(), 2, "{words:?}");
        }
        assert_eq!(of(&["-"], "3").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_target_has_two_parts() {
        let target = Target::parse("FileSkill.read_file").unwrap();
        assert_eq!(
            (target.skill.as_str(), target.method.as_str()),
            ("FileSkill", "read_file")
        );
        for text in ["FileSkill", ".run", "FileSkill.", ""] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
