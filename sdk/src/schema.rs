//! JSON Schemas of parameters and results, made from Rust types when `describe` is called. Nothing here is
//! reached by `invoke`.

use std::marker::PhantomData;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of one method's parameters object, built parameter by parameter.
#[derive(Default)]
pub struct ParamsSchema {
    generator: SchemaGenerator,
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl ParamsSchema {
    /// A parameter that must be given.
    #[must_use]
    pub fn required<T: JsonSchema>(mut self, name: &str, summary: &str) -> Self {
        self.required.push(name.into());
        self.optional::<T>(name, summary)
    }

    /// A parameter that may be left out.
    #[must_use]
    pub fn optional<T: JsonSchema>(mut self, name: &str, summary: &str) -> Self {
        let schema = schema_of::<T>(&mut self.generator);
        self.insert(name, schema, summary);
        self
    }

    /// A parameter with a value of its own when it is left out.
    #[must_use]
    pub fn defaulted<T: JsonSchema + Serialize>(mut self, name: &str, summary: &str, default: &T) -> Self {
        let mut schema = into_object(schema_of::<T>(&mut self.generator));
        if let Ok(default) = serde_json::to_value(default) {
            schema.insert("default".to_owned(), default);
        }
        self.insert(name, Value::Object(schema), summary);
        self
    }

    /// The schema as JSON text.
    #[must_use]
    pub fn finish(mut self) -> String {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), Value::Object(self.properties));
        schema.insert("required".to_owned(), Value::Array(self.required));
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        document(schema, self.generator.definitions_mut())
    }

    fn insert(&mut self, name: &str, schema: Value, summary: &str) {
        let mut schema = into_object(schema);
        if !summary.is_empty() {
            schema.insert("description".to_owned(), summary.into());
        }
        self.properties.insert(name.to_owned(), Value::Object(schema));
    }
}

/// The schema of a type, or a reference to its definition. A type that is always written out asks the generator for
/// nothing, so a skill with plain parameters carries none of the bookkeeping of definitions (30 KiB).
fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    if T::inline_schema() {
        T::json_schema(generator).to_value()
    } else {
        generator.subschema_for::<T>().to_value()
    }
}

/// A schema that stands alone: with its dialect and the definitions it refers to.
fn document(mut schema: Map<String, Value>, definitions: &mut Map<String, Value>) -> String {
    schema.insert("$schema".to_owned(), DIALECT.into());
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(std::mem::take(definitions)));
    }
    Value::Object(schema).to_string()
}

/// `true` and `false` are schemas too, but cannot carry a description.
fn into_object(schema: Value) -> Map<String, Value> {
    match schema {
        Value::Object(map) => map,
        Value::Bool(false) => Map::from_iter([("not".to_owned(), Value::Object(Map::new()))]),
        _ => Map::new(),
    }
}

/// Asks for the schema of a result type that may or may not have one: `(&Maybe::<T>::new()).result_schema()` finds
/// [`Published`] when `T` is [`JsonSchema`], and otherwise, one reference further, [`Unpublished`].
pub struct Maybe<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> Maybe<T> {
    /// Asks about `T`.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: ?Sized> Default for Maybe<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// See [`Maybe`].
pub trait Published {
    /// The schema as JSON text.
    fn result_schema(&self) -> String;
}

impl<T: JsonSchema> Published for Maybe<T> {
    fn result_schema(&self) -> String {
        let mut generator = SchemaGenerator::default();
        let schema = into_object(schema_of::<T>(&mut generator));
        document(schema, generator.definitions_mut())
    }
}

/// See [`Maybe`].
pub trait Unpublished {
    /// Empty: anything.
    fn result_schema(&self) -> String;
}

impl<T: ?Sized> Unpublished for &Maybe<T> {
    fn result_schema(&self) -> String {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Size {
        width: u32,
    }

    #[test]
    fn presence_defaults_and_docs_are_in_the_schema() {
        let text = ParamsSchema::default()
            .required::<String>("path", "Where.")
            .optional::<Option<bool>>("deep", "")
            .defaulted::<u32>("times", "How often.", &1)
            .required::<Size>("size", "How big.")
            .required::<Value>("any", "Anything.")
            .finish();
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            schema,
            json!({
                "$schema": DIALECT,
                "type": "object",
                "required": ["path", "size", "any"],
                "additionalProperties": false,
                "properties": {
                    "path": { "type": "string", "description": "Where." },
                    "deep": { "type": ["boolean", "null"] },
                    "times": { "type": "integer", "format": "uint32", "minimum": 0, "default": 1, "description": "How often." },
                    "size": { "$ref": "#/$defs/Size", "description": "How big." },
                    "any": { "description": "Anything." },
                },
                "$defs": { "Size": { "type": "object", "required": ["width"],
                    "properties": { "width": { "type": "integer", "format": "uint32", "minimum": 0 } } } },
            })
        );
    }

    #[test]
    #[expect(
        clippy::needless_borrow,
        reason = "asked the way the macro asks, which knows no types"
    )]
    fn a_result_without_a_schema_is_anything() {
        struct Opaque;
        assert_eq!((&Maybe::<Opaque>::new()).result_schema(), "");
        let known: Value = serde_json::from_str(&(&Maybe::<Vec<String>>::new()).result_schema()).unwrap();
        assert_eq!(known["type"], "array");
    }
}
