//! The `settings` interface: plain settings by key, and placeholders for secrets. The secret itself is never
//! handed to a guest.

use wasmtime::Result;

use super::Refusal;
use super::refusal::policy_key;
use crate::bindings::GuestError;
use crate::bindings::venom::skill::settings::Host;
use crate::state::CallState;

impl Host for CallState {
    fn config(&mut self, key: String) -> Result<std::result::Result<Option<String>, GuestError>> {
        let found = self.rights.grants.config.get(&key).cloned();
        if found.is_some() {
            return Ok(Ok(found));
        }
        let skill = policy_key(&self.rights.skill);
        Ok(Err(GuestError::from(Refusal {
            capability: "config",
            reason: "the key is not granted".to_owned(),
            missing_grant: format!("[skills.{skill}.config]\n{key:?} = \"...\""),
            target: key,
        })))
    }

    fn secret(&mut self, name: String) -> Result<std::result::Result<String, GuestError>> {
        Ok(self.secret_placeholder(&name).map_err(GuestError::from))
    }
}
