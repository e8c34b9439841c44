//! Parameters that refer to results of other tasks: `{"$result": "<task id>", "path": "/json/pointer"}` anywhere
//! inside is replaced by the result, or the part of it the pointer names (RFC 6901).

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use venom_protocol::TaskId;

/// The key that makes an object a reference.
const RESULT: &str = "$result";
const PATH: &str = "path";

/// Whether there may be a reference inside; saves reading the rest.
pub(crate) fn mentions_results(parameters: &str) -> bool {
    parameters.contains("\"$result\"")
}

/// Replaces names of tasks by what `resolve` makes of them, for storing.
///
/// # Errors
/// What is wrong with a reference.
pub(crate) fn rename(
    parameters: &RawValue,
    mut resolve: impl FnMut(&str) -> Result<TaskId, String>,
) -> Result<Box<RawValue>, String> {
    replace(parameters, &mut |name, path| {
        let mut reference = Map::new();
        reference.insert(RESULT.to_owned(), resolve(name)?.to_string().into());
        if let Some(path) = path {
            reference.insert(PATH.to_owned(), path.into());
        }
        Ok(Value::Object(reference))
    })
}

/// Replaces references by results, for running.
///
/// # Errors
/// The reference that names no result, or no part of it.
pub(crate) fn fill(parameters: &RawValue, results: &HashMap<TaskId, String>) -> Result<Box<RawValue>, String> {
    replace(parameters, &mut |name, path| {
        let found = name.parse().ok().and_then(|id: TaskId| results.get(&id));
        let text = found.ok_or_else(|| format!("result of task {name} is no longer kept"))?;
        let value: Value = serde_json::from_str(text).map_err(|error| format!("result of task {name}: {error}"))?;
        match path {
            None => Ok(value),
            Some(path) => {
                let part = value.pointer(path).cloned();
                part.ok_or_else(|| format!("result of task {name} has nothing at `{path}`"))
            }
        }
    })
}

type Replace<'a> = dyn FnMut(&str, Option<&str>) -> Result<Value, String> + 'a;

fn replace(parameters: &RawValue, with: &mut Replace<'_>) -> Result<Box<RawValue>, String> {
    let mut value: Value = serde_json::from_str(parameters.get()).map_err(|error| error.to_string())?;
    walk(&mut value, with)?;
    serde_json::value::to_raw_value(&value).map_err(|error| error.to_string())
}

/// JSON depth is bounded by the reader (128), so this recursion is too.
fn walk(value: &mut Value, with: &mut Replace<'_>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(item, with)),
        Value::Object(fields) if fields.contains_key(RESULT) => {
            let (name, path) = reference(fields)?;
            *value = with(&name, path.as_deref())?;
            Ok(())
        }
        Value::Object(fields) => fields.values_mut().try_for_each(|field| walk(field, with)),
        _ => Ok(()),
    }
}

fn reference(fields: &Map<String, Value>) -> Result<(String, Option<String>), String> {
    let wrong =
        || format!("a reference is {{\"{RESULT}\": \"<task>\", \"{PATH}\": \"/json/pointer\"}}, with {PATH} optional");
    let name = fields.get(RESULT).and_then(Value::as_str).ok_or_else(wrong)?;
    let path = match fields.get(PATH) {
        None => None,
        Some(Value::String(path)) if path.is_empty() || path.starts_with('/') => Some(path.clone()),
        Some(_) => return Err(wrong()),
    };
    let known = 1 + usize::from(path.is_some());
    if fields.len() == known {
        Ok((name.to_owned(), path))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn references_become_results_or_parts_of_them() {
        let id = TaskId::next();
        let results = HashMap::from([(id, r#"{"rows":[{"n":7}],"a/b":1}"#.to_owned())]);
        let filled = |json: String| fill(&raw(&json), &results).map(|raw| raw.get().to_owned());
        assert_eq!(
            filled(format!(r#"{{"x":[{{"$result":"{id}","path":"/rows/0/n"}}],"y":1}}"#)).unwrap(),
            r#"{"x":[7],"y":1}"#
        );
        assert_eq!(
            filled(format!(r#"{{"all":{{"$result":"{id}"}}}}"#)).unwrap(),
            r#"{"all":{"a/b":1,"rows":[{"n":7}]}}"#
        );
        assert_eq!(
            filled(format!(r#"{{"x":{{"$result":"{id}","path":"/a~1b"}}}}"#)).unwrap(),
            r#"{"x":1}"#
        );
        let why = filled(format!(r#"{{"x":{{"$result":"{id}","path":"/none"}}}}"#)).unwrap_err();
        assert!(why.contains("nothing at `/none`"), "{why}");
        let other = TaskId::next();
        let why = filled(format!(r#"{{"x":{{"$result":"{other}"}}}}"#)).unwrap_err();
        assert!(why.contains("no longer kept"), "{why}");
    }

    #[test]
    fn a_result_that_looks_like_a_reference_stays_as_it_is() {
        let id = TaskId::next();
        let results = HashMap::from([(id, r#"{"$result":"x"}"#.to_owned())]);
        let filled = fill(&raw(&format!(r#"{{"x":{{"$result":"{id}"}}}}"#)), &results).unwrap();
        assert_eq!(filled.get(), r#"{"x":{"$result":"x"}}"#);
    }

    #[test]
    fn malformed_references_are_told() {
        for wrong in [
            r#"{"x":{"$result":7}}"#,
            r#"{"x":{"$result":"a","path":"rows"}}"#,
            r#"{"x":{"$result":"a","path":3}}"#,
            r#"{"x":{"$result":"a","extra":3}}"#,
        ] {
            let why = rename(&raw(wrong), |_| Ok(TaskId::next())).unwrap_err();
            assert!(why.contains("json/pointer"), "{wrong}: {why}");
        }
        assert!(!mentions_results(r#"{"x":1}"#) && mentions_results(r#"{"x":{"$result":"a"}}"#));
    }

    #[test]
    fn names_become_ids() {
        let id = TaskId::next();
        let renamed = rename(&raw(r#"{"x":{"$result":"first","path":"/n"}}"#), |name| {
            assert_eq!(name, "first");
            Ok(id)
        });
        assert_eq!(
            renamed.unwrap().get(),
            format!(r#"{{"x":{{"$result":"{id}","path":"/n"}}}}"#)
        );
    }
}
