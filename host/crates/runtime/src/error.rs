//! Why a runtime could not be built or a skill could not be loaded. Failures of calls are `CallError`.

use std::path::PathBuf;

use venom_bundle::UndeclaredImport;

use crate::capability::GrantError;

/// Why the runtime could not be built.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A setting makes no sense.
    #[error("setting `{setting}` {problem}")]
    BadSetting {
        /// Its name.
        setting: &'static str,
        /// What is wrong and what to write.
        problem: String,
    },
    /// Wasmtime refused the configuration.
    #[error("the sandbox engine could not be built for {slots} slots (fewer slots may fit: lower `slots`)")]
    Engine {
        /// As asked.
        slots: u32,
        /// Wasmtime's words.
        #[source]
        source: EngineFailure,
    },
    /// The compiled-code directory is not private or not usable.
    #[error("compiled-code directory {path}: {problem}")]
    CompiledCache {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built: {0}")]
    Http(String),
    /// The epoch thread could not be started.
    #[error("the epoch thread could not be started")]
    Ticker(#[source] std::io::Error),
}

/// A failure inside wasmtime, with its causes in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EngineFailure(pub(crate) String);

impl From<wasmtime::Error> for EngineFailure {
    fn from(error: wasmtime::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

/// Why a skill could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The component is not one the sandbox takes.
    #[error("{skill}: {problem}")]
    Shape {
        /// The skill.
        skill: String,
        /// What it is, and what was expected.
        problem: String,
    },
    /// It imports what no host offers.
    #[error("{skill}: imports {}, which this host does not offer (offered: WASI 0.2 and venom:skill@0.1)", .imports.join(", "))]
    UnknownImports {
        /// The skill.
        skill: String,
        /// The interfaces.
        imports: Vec<String>,
    },
    /// It imports what its manifest does not account for.
    #[error("{skill}: {}", .imports.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    UndeclaredImports {
        /// The skill.
        skill: String,
        /// Each with the capability that is missing.
        imports: Vec<UndeclaredImport>,
    },
    /// It did not compile or link.
    #[error("{skill}: {step} failed")]
    Engine {
        /// The skill.
        skill: String,
        /// `compiling` or `linking`.
        step: &'static str,
        /// Wasmtime's words.
        #[source]
        source: EngineFailure,
    },
    /// It needs more than the pool was made for.
    #[error("{skill}: {problem}")]
    TooLarge {
        /// The skill.
        skill: String,
        /// What, how much, and the limit.
        problem: String,
    },
    /// Grants of the policy cannot be used on this machine.
    #[error("{skill}: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Grants {
        /// The skill.
        skill: String,
        /// Each names its grant and says what to do.
        problems: Vec<GrantError>,
    },
    /// `describe` failed.
    #[error("{skill}: describe failed: {problem}")]
    Describe {
        /// The skill.
        skill: String,
        /// Why.
        problem: String,
    },
    /// It calls itself something else than its bundle.
    #[error("{skill}: the component calls itself `{described}`; name and bundle must be equal")]
    NameMismatch {
        /// The bundle's name.
        skill: String,
        /// The component's.
        described: String,
    },
}
