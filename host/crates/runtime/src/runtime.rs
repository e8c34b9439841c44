//! The runtime: one engine, its ticker, everything that can be imported, and the cache of compiled code. It holds
//! no skill.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use venom_bundle::VerifiedBundle;
use venom_bundle::capability::Grants;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::capability::fs::Quotas;
use crate::capability::http::HttpClient;
use crate::compiled::CompiledCache;
use crate::error::EngineFailure;
use crate::rights::Ground;
use crate::state::CallState;
use crate::ticker::Ticker;
use crate::trusted::deserialize_compiled;
use crate::{Backends, LoadError, RuntimeError, RuntimeSettings, Skill, engine, linker, load};

/// The sandbox of one process. Clones share everything; the last of them and of the skills it loaded stops the
/// ticker.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<CallState>,
    pub(crate) settings: RuntimeSettings,
    pub(crate) slots: Semaphore,
    /// Loaded skills that are not freed yet.
    pub(crate) generations: AtomicUsize,
    quotas: Quotas,
    http: HttpClient,
    compiled: Option<CompiledCache>,
    /// One at a time: the compiler uses all cores already, and takes much memory.
    compiling: Mutex<()>,
    _ticker: Ticker,
}

impl Runtime {
    /// Builds the engine and starts its ticker.
    ///
    /// # Errors
    /// When a setting makes no sense, the pool does not fit, or the compiled-code directory is not private.
    pub fn new(settings: RuntimeSettings) -> Result<Self, RuntimeError> {
        let engine = engine::build(&settings)?;
        let linker = linker::build(&engine).map_err(|source| RuntimeError::Engine {
            slots: settings.slots,
            source: EngineFailure::from(source),
        })?;
        let compiled = settings
            .compiled_cache
            .as_deref()
            .map(|directory| CompiledCache::open(directory, &engine));
        Ok(Self {
            inner: Arc::new(Inner {
                slots: Semaphore::new(usize::try_from(settings.slots).unwrap_or(Semaphore::MAX_PERMITS)),
                generations: AtomicUsize::new(0),
                quotas: Quotas::default(),
                http: HttpClient::new(&[]).map_err(|error| RuntimeError::Http(error.to_string()))?,
                compiled: compiled.transpose()?,
                compiling: Mutex::new(()),
                _ticker: Ticker::start(&engine, settings.epoch_tick)?,
                linker,
                engine,
                settings,
            }),
        })
    }

    /// Compiles (or takes from the cache), links and describes a skill. Blocks for as long as compiling takes;
    /// from async code, call it on a blocking thread.
    ///
    /// # Errors
    /// When the component is of the wrong kind, asks for unknown imports, does not compile, or does not
    /// describe itself under its bundle's name; when a grant cannot be used on this machine.
    pub fn load(&self, bundle: &VerifiedBundle, grants: Grants, backends: &Backends) -> Result<Skill, LoadError> {
        load::load(self, bundle, grants, backends)
    }

    /// Skills this runtime loaded that are not freed yet: those in use, and replaced ones that still drain.
    #[must_use]
    pub fn generations(&self) -> usize {
        self.inner.generations.load(Ordering::Relaxed)
    }

    /// Calls that may begin now, of all skills together.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.inner.slots.available_permits()
    }
}

impl Inner {
    /// What all skills share.
    pub(crate) fn ground(&self) -> Ground<'_> {
        Ground {
            quotas: &self.quotas,
            http: &self.http,
            denied: &self.settings.denied_addresses,
        }
    }

    /// The compiled form of a verified bundle's component.
    pub(crate) fn compile(&self, bundle: &VerifiedBundle) -> wasmtime::Result<Component> {
        let _one = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = bundle.manifest().component.sha256;
        if let Some(known) = self.compiled.as_ref().and_then(|cache| cache.get(&self.engine, digest)) {
            return Ok(known);
        }
        let code = self.code_of(bundle.component())?;
        let component = deserialize_compiled(&self.engine, &code)?;
        if let Some(cache) = &self.compiled {
            cache.put(digest, &code);
        }
        Ok(component)
    }

    fn code_of(&self, component: &[u8]) -> wasmtime::Result<Vec<u8>> {
        let settings = &self.settings;
        match &settings.compiler {
            Some(process) => process
                .compile(component, settings.max_memory, settings.compile_within)
                .map_err(wasmtime::Error::new),
            None => unless_panicking(|| self.engine.precompile_component(component)),
        }
    }
}

/// A fault of the compiler must not take the process down: a signed component can still be an odd one.
fn unless_panicking<T>(compile: impl FnOnce() -> wasmtime::Result<T>) -> wasmtime::Result<T> {
    // what the closure borrows is only read, and a half-compiled component is dropped with the panic
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(compile)).unwrap_or_else(|_| {
        Err(wasmtime::Error::msg(
            "the compiler failed on this component; the log has its words",
        ))
    })
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_compiler_is_an_error() {
        let ended: wasmtime::Result<()> = unless_panicking(|| panic!("as a compiler would"));
        assert!(ended.unwrap_err().to_string().contains("failed on this component"));
        assert_eq!(unless_panicking(|| Ok(7)).unwrap(), 7);
    }
}
