//! `{{name}}`: a sandboxed skill. `venom-host skill build` builds and packs it.

use venom_sdk::Result;

/// The skill.
pub struct {{name}};

/// Says hello.
#[venom_sdk::skill]
impl {{name}} {
    /// Greets someone.
    fn hello(
        &self,
        /// Whom to greet.
        #[default("world")]
        name: String,
    ) -> Result<String> {
        if name.is_empty() {
            return Err(venom_sdk::Error::invalid_params("parameter `name`: expected a name, got nothing"));
        }
        Ok(format!("hello, {name}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use venom_sdk::{Error, call};

    use super::*;

    #[test]
    fn greets() {
        assert_eq!(call::<{{name}}>("hello", json!({})), Ok(json!("hello, world")));
        assert_eq!(call::<{{name}}>("hello", json!({ "name": "Ada" })), Ok(json!("hello, Ada")));
    }

    #[test]
    fn refuses_what_it_cannot_greet() {
        let refused = call::<{{name}}>("hello", json!({ "name": "" }));
        assert!(matches!(refused, Err(Error::InvalidParams(_))));
    }
}
