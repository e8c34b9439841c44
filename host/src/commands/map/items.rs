//! The items of a map, as people write them: a JSON array, or lines. Pure.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use crate::failure::{Explain as _, Failure};

const FORMS: &str = "write a JSON array, or one item a line: JSON, or plain text";

/// Reads the items. A line is JSON when it reads as JSON, else text.
pub(super) fn read(text: &str) -> Result<Vec<Box<RawValue>>, Failure> {
    let trimmed = text.trim_start();
    let lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    if trimmed.starts_with('[') {
        let whole: Result<Vec<Box<RawValue>>, _> = serde_json::from_str(trimmed);
        return match whole {
            Ok(items) => Ok(items),
            // Lines that are arrays each are a list too; anything else was meant to be one.
            Err(_) if lines.iter().all(|(_, line)| is_json(line)) => {
                lines.iter().map(|line| item(*line, true)).collect()
            }
            Err(error) => Err(Failure::usage("the items begin like a JSON array and are none")
                .because(error.to_string())
                .help("repair the array; to pass lines of text that begin with [, write each as a JSON string")),
        };
    }
    if lines.len() > 1 && is_json(trimmed) {
        return Err(Failure::usage("the items are one JSON value over several lines, not a list").help(FORMS));
    }
    let is_structured = lines
        .first()
        .is_some_and(|(_, line)| line.starts_with('{') && is_json(line));
    lines.into_iter().map(|line| item(line, is_structured)).collect()
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// One line. Among objects, one that is cut short is a mistake and not a text.
fn item((number, line): (usize, &str), is_structured: bool) -> Result<Box<RawValue>, Failure> {
    match serde_json::from_str::<Box<RawValue>>(line) {
        Ok(json) => Ok(json),
        Err(error) if is_structured && line.starts_with(['{', '[']) => Err(Failure::usage(format!(
            "line {number} of the items begins like JSON and is none"
        ))
        .because(error.to_string())
        .help(FORMS)),
        Err(_) => to_raw_value(line).or_fail("cannot pass the item on"),
    }
}

/// An object is the parameters itself, anything else goes under `param` (CONTRACTS, hive).
pub(super) fn parameters(item: Box<RawValue>, param: &str) -> Result<Box<RawValue>, Failure> {
    if item.get().starts_with('{') {
        return Ok(item);
    }
    to_raw_value(&BTreeMap::from([(param, item)])).or_fail("cannot pass the item on")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let items = read(text).unwrap_or_else(|failure| panic!("{text}: {}", failure.summary()));
        items.iter().map(|item| item.get().to_owned()).collect()
    }

    #[test]
    fn all_forms_are_read() {
        assert_eq!(of("[1, {\"a\": 2},\n \"x\"]"), ["1", "{\"a\": 2}", "\"x\""]);
        assert_eq!(of("{\"a\": 1}\n{\"a\": 2}\n"), ["{\"a\": 1}", "{\"a\": 2}"]);
        assert_eq!(of("host-a\n\n  host b \n10\n"), ["\"host-a\"", "\"host b\"", "10"]);
        assert_eq!(of("[1]\n[2, 3]"), ["[1]", "[2, 3]"]);
        assert_eq!(of("say {this}\n{that}\r\n"), ["\"say {this}\"", "\"{that}\""]);
        assert_eq!(
            of("12345678901234567890123"),
            ["12345678901234567890123"],
            "digits are kept"
        );
        assert!(of("").is_empty() && of("[]").is_empty() && of("\n \n").is_empty());
    }

    #[test]
    fn what_was_meant_as_json_is_not_taken_as_text() {
        for text in [
            "[1, 2",
            "[1,\n2,\n]",
            "{\n\"a\": 1\n}",
            "{\"a\": 1}\n{\"a\": \n",
            "[info] started\n",
        ] {
            let failure = read(text).map(|_| ()).unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{text}");
        }
    }

    #[test]
    fn objects_are_parameters_and_the_rest_goes_under_a_name() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        assert_eq!(parameters(raw(r#"{"a":1}"#), "item").unwrap().get(), r#"{"a":1}"#);
        assert_eq!(parameters(raw("[1]"), "item").unwrap().get(), r#"{"item":[1]}"#);
        assert_eq!(parameters(raw("\"x\""), "host").unwrap().get(), r#"{"host":"x"}"#);
    }
}
