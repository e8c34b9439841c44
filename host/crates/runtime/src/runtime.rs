//! The runtime: one engine, its ticker and its compiled-code cache.

use venom_bundle::VerifiedBundle;
use venom_bundle::capability::Grants;

use crate::{Backends, LoadError, RuntimeError, RuntimeSettings, Skill};

/// The sandbox of one process. Clones share everything.
#[derive(Debug, Clone)]
pub struct Runtime {}

impl Runtime {
    /// Builds the engine and starts its ticker.
    ///
    /// # Errors
    /// When a setting makes no sense, the pool does not fit, or the compiled-code directory is not private.
    pub fn new(settings: RuntimeSettings) -> Result<Self, RuntimeError> {
        let _ = settings;
        todo!()
    }

    /// Compiles (or takes from the cache), links and describes a skill. Blocks for as long as compiling takes.
    ///
    /// # Errors
    /// When the component is of the wrong kind, asks for unknown imports, does not compile, or does not
    /// describe itself under its bundle's name.
    pub fn load(&self, bundle: &VerifiedBundle, grants: Grants, backends: &Backends) -> Result<Skill, LoadError> {
        let _ = (bundle, grants, backends);
        todo!()
    }
}
