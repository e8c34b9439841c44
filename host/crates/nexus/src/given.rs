//! Checks of what callers give, the same for a call and for a task. Pure.

use serde_json::value::RawValue;

/// Longest name of a skill, method, tag or group, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 128;

/// A name, or what is wrong with it.
pub(crate) fn name(field: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{field} is empty"));
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(format!("{field} is over {MAX_NAME_BYTES} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{field} has control characters"));
    }
    Ok(())
}

/// Parameters as a JSON object, `{}` when absent, or what is wrong with them.
pub(crate) fn object(parameters: Option<Box<RawValue>>) -> Result<Box<RawValue>, String> {
    match parameters {
        // serde_json gives raw values without the space around them
        Some(raw) if raw.get().starts_with('{') => Ok(raw),
        Some(_) => Err("parameters is no JSON object, give parameters by name: {\"name\": value}".to_owned()),
        None => RawValue::from_string("{}".to_owned()).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_an_object() {
        let raw = |text: &str| object(Some(RawValue::from_string(text.to_owned()).unwrap()));
        assert_eq!(raw("{\"a\":1}").unwrap().get(), "{\"a\":1}");
        assert_eq!(object(None).unwrap().get(), "{}");
        for bad in ["[]", "1", "null", "\"{}\""] {
            assert!(raw(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert!(name("skill_name", "EchoSkill").is_ok());
        assert!(name("skill_name", "").is_err());
        assert!(name("skill_name", "a\nb").is_err());
        assert!(name("skill_name", &"x".repeat(129)).is_err());
    }
}
