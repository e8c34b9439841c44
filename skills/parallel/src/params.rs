//! Parameters that can be written in more than one way: lists as lists or as text, priorities as names or numbers.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Deserialize as DeserializeDerive, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Characters of a wrong value that are repeated.
const EXCERPT: usize = 60;

/// A list of anything, given as such or as its JSON text. The items stay as they were written.
pub(crate) struct Items(pub(crate) Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Box::<RawValue>::deserialize(deserializer)?;
        let list = match serde_json::from_str::<String>(given.get()) {
            Ok(text) => serde_json::from_str(&text),
            Err(_) => serde_json::from_str(given.get()),
        };
        list.map(Self).map_err(|_| {
            let excerpt: String = given.get().chars().take(EXCERPT).collect();
            D::Error::custom(format!("expected a list or the JSON text of a list, got {excerpt}"))
        })
    }
}

impl JsonSchema for Items {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Items".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "string"] })
    }
}

/// How urgent: `high_priority`, `background` or 0 to 10.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Priority(String);

impl Priority {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Value::deserialize(deserializer)?;
        let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
        let is_level = || text.parse::<u8>().is_ok_and(|level| level <= 10);
        if matches!(text.as_str(), "high_priority" | "background") || is_level() {
            return Ok(Self(text));
        }
        let excerpt: String = text.chars().take(EXCERPT).collect();
        Err(D::Error::custom(format!(
            "`{excerpt}` is no priority; give 0 to 10, `high_priority` or `background`"
        )))
    }
}

impl JsonSchema for Priority {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Priority".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "enum": ["high_priority", "background"] },
                { "type": "integer", "minimum": 0, "maximum": 10 },
            ],
        })
    }
}

/// A method that is given all results.
#[derive(DeserializeDerive, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Reduce {
    /// Skill to run.
    pub(crate) skill_name: String,
    /// Its method.
    pub(crate) method_name: String,
    /// Name of the parameter that gets the list of results.
    #[serde(default = "results")]
    pub(crate) param: String,
}

fn results() -> String {
    "results".to_owned()
}
