//! Write Venom skills in Rust: an `impl` block under [`macro@skill`] becomes a sandboxed component.
//!
//! ```
//! pub struct EchoSkill;
//!
//! /// Says things back.
//! #[venom_sdk::skill]
//! impl EchoSkill {
//!     /// Returns `text`, repeated.
//!     fn say(
//!         &self,
//!         /// What to say.
//!         text: String,
//!         #[default(1)] times: u32,
//!     ) -> venom_sdk::Result<String> {
//!         Ok(text.repeat(times as usize))
//!     }
//! }
//!
//! # fn main() {
//! // The same code runs natively, against a fake host, so `cargo test` needs no sandbox.
//! let answer = venom_sdk::call::<EchoSkill>("say", serde_json::json!({ "text": "ha", "times": 2 }));
//! assert_eq!(answer, Ok(serde_json::json!("haha")));
//! # }
//! ```
//!
//! The modules [`command`], [`cache`], [`hive`], [`settings`], [`http`], [`lan`], [`log`] and [`progress`] reach the host. Files
//! (see [`files`] for their paths), clocks and sockets are those of `std`. What any of them may touch is decided by the operator's grants.
//! This crate never widens them: a refusal arrives as [`Error::Denied`] and says which grant is missing.

mod answer;
pub mod cache;
pub mod command;
mod error;
pub mod files;
pub mod hive;
pub mod http;
pub mod lan;
pub mod log;
mod params;
pub mod progress;
mod schema;
pub mod settings;
mod skill;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
#[cfg(not(target_family = "wasm"))]
pub mod fake;
#[cfg(target_family = "wasm")]
mod guest;

/// The one place where the modules above meet the host: the real one in a sandbox, the fake one elsewhere.
#[cfg(not(target_family = "wasm"))]
use fake::calls as host;
#[cfg(target_family = "wasm")]
use guest as host;

pub use error::{Error, Refusal, Result};
pub use skill::{Description, Method, Skill, call};
/// Turns an `impl` block into a skill.
///
/// Every function of the block becomes a method callers can use, whatever its visibility; keep helpers in
/// another `impl` block or in free functions. The skill's name is the type's name, its summary the doc
/// comment of the block (else the package's `description`).
///
/// * `#[skill(name = "Other")]` gives another name; `#[skill(new = Type::new())]` says how to make the value
///   that `&self` methods get. Without it the type must be a unit struct.
/// * A method takes `&self` or no receiver, and owned parameters that are `serde::Deserialize` and
///   `schemars::JsonSchema`. `Option<T>` may be left out; `#[default(expression)]` gives a value to one that is.
///   Doc comments on parameters become their descriptions.
/// * It returns anything `serde::Serialize`, or a type named `Result` whose error converts into [`Error`]. When the
///   value is `JsonSchema` as well, its schema is published too.
pub use venom_sdk_macros::skill;

/// What the code made by `#[skill]` calls. Not for people; it changes without notice.
#[doc(hidden)]
pub mod private {
    pub use crate::answer::answer;
    pub use crate::params::Params;
    pub use crate::schema::{Maybe, ParamsSchema, Published, Unpublished};
}
