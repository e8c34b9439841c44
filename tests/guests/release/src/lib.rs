//! `VersionedSkill`: answers with its variant, and behaves as the variant says. Tests make versions of it by writing
//! another variant into the built component, so that one build serves for good and bad releases alike. It is a test's
//! tool: nothing here is ever packed for use. Outside a sandbox it is empty.
//!
//! What a variant may contain: `trap-describe`, `trap-probe`, `trap-call` (panics there), `fail-call` (an error there).

#![cfg(target_family = "wasm")]

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use venom_sdk::{Error, Result};

/// Between the two marks, filled up with spaces.
static VARIANT: [u8; 64] = *b"@@VENOM-VARIANT:good                                          @@";

/// The text between the marks. Read at run time: the compiler must not take it for a constant.
fn variant() -> String {
    let bytes = std::hint::black_box(&VARIANT);
    let text = String::from_utf8_lossy(&bytes[16..62]);
    text.trim_end().to_owned()
}

fn trap_if(word: &str) {
    assert!(!variant().contains(word), "the variant says {word}");
}

/// A time, whose description can trap.
#[derive(Deserialize)]
struct Milliseconds(u32);

impl JsonSchema for Milliseconds {
    fn schema_name() -> Cow<'static, str> {
        "Milliseconds".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        trap_if("trap-describe");
        u32::json_schema(generator)
    }
}

/// The skill.
pub struct VersionedSkill;

/// Answers with its variant.
#[venom_sdk::skill]
impl VersionedSkill {
    /// Answers with the variant.
    fn variant() -> Result<String> {
        trap_if("trap-call");
        let variant = variant();
        if variant.contains("fail-call") {
            return Err(Error::failed("the variant says fail-call"));
        }
        Ok(variant)
    }

    /// Waits, then answers with the variant.
    fn wait(milliseconds: Milliseconds) -> Result<String> {
        std::thread::sleep(Duration::from_millis(milliseconds.0.into()));
        Self::variant()
    }

    /// Answers with a variable of its environment.
    fn environment(key: String) -> Option<String> {
        std::env::var(key).ok()
    }

    /// What a new version is asked before it takes over.
    fn probe() -> bool {
        trap_if("trap-probe");
        true
    }
}
