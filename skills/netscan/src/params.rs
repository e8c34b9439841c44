//! Parameters that can be written in more than one way, and what they may be.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};
use serde_json::Value;
use venom_sdk::{Error, Result};

use crate::ports;
use crate::sweep::Manner;

/// Most connections at one time: each takes up to five handles of the sandbox.
const MOST_AT_ONCE: u32 = 512;
/// Most connections a second.
const FASTEST: u32 = 10_000;
/// Longest wait for one connection.
const LONGEST: u32 = 10_000;

/// `top20`, `top100`, or a list of ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ports(pub(crate) Vec<u16>);

impl Default for Ports {
    fn default() -> Self {
        Self(ports::TOP_20.to_vec())
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self == &Self::default() {
            serializer.serialize_str("top20")
        } else {
            serializer.collect_seq(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom("expected `top20`, `top100` or a list of ports from 1 to 65535");
        match Value::deserialize(deserializer)? {
            Value::String(name) if name == "top20" => Ok(Self::default()),
            Value::String(name) if name == "top100" => Ok(Self(ports::top_100())),
            Value::Array(list) if !list.is_empty() => {
                let mut seen = BTreeSet::new();
                let ports = list.iter().map(|port| {
                    let port = port.as_u64().and_then(|port| u16::try_from(port).ok());
                    port.filter(|port| *port > 0).ok_or_else(wrong)
                });
                let mut ports = ports.collect::<Result<Vec<u16>, _>>()?;
                ports.retain(|port| seen.insert(*port));
                Ok(Self(ports))
            }
            _ => Err(wrong()),
        }
    }
}

impl JsonSchema for Ports {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ports".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": ["top20", "top100"] },
                { "type": "array", "minItems": 1, "items": { "type": "integer", "minimum": 1, "maximum": 65_535 } },
            ]
        })
    }
}

/// Checks how fast and how patiently to go.
pub(crate) fn manner(rate: u32, concurrency: u32, timeout_ms: u32, banners: bool) -> Result<Manner> {
    within("rate", rate, FASTEST)?;
    within("concurrency", concurrency, MOST_AT_ONCE)?;
    within("timeout_ms", timeout_ms, LONGEST)?;
    Ok(Manner {
        rate,
        concurrency: usize::try_from(concurrency)?,
        timeout: Duration::from_millis(timeout_ms.into()),
        banners,
    })
}

fn within(name: &str, value: u32, most: u32) -> Result<()> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid_params(format!(
        "parameter `{name}`: expected 1 to {most}, got {value}"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_names_or_lists() {
        let read = |value| serde_json::from_value::<Ports>(value).map(|ports| ports.0);
        assert_eq!(read(json!("top20")).unwrap().len(), 20);
        assert_eq!(read(json!("top100")).unwrap().len(), 100);
        assert_eq!(read(json!([22, 80, 22])).unwrap(), [22, 80]);
        for odd in [
            json!("all"),
            json!([]),
            json!([0]),
            json!([65_536]),
            json!(["22"]),
            json!(22),
            json!(null),
        ] {
            assert!(read(odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert!(manner(500, 128, 800, true).is_ok());
        for (rate, concurrency, timeout) in [
            (0, 1, 1),
            (1, 0, 1),
            (1, 1, 0),
            (10_001, 1, 1),
            (1, 513, 1),
            (1, 1, 10_001),
        ] {
            assert!(manner(rate, concurrency, timeout, false).is_err());
        }
    }
}
