//! From a verified bundle to a skill that can be called: shape, imports, code, grants, and its own description,
//! in this order, so that nothing is run before everything else is known to fit.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use venom_bundle::capability::{Budgets, Grants};
use venom_bundle::{Manifest, VerifiedBundle, inspect_component};
use venom_protocol::RequestId;
use wasmtime::component::Component;

use crate::admission::Admission;
use crate::bindings::{ApiDescription, SkillPre};
use crate::error::EngineFailure;
use crate::invoke::describe;
use crate::journal::Journal;
use crate::linker::unknown_imports;
use crate::meter::Meter;
use crate::record::Record;
use crate::rights::Rights;
use crate::skill::Loaded;
use crate::state::{CallState, TaskInfo};
use crate::{Backends, Description, LoadError, MethodDescription, Runtime, Skill};

/// Longest a skill may take to describe itself. A Python skill takes some milliseconds.
const DESCRIBE_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a page, the unit memories are declared in.
const WASM_PAGE: u64 = 64 << 10;

pub(crate) fn load(
    runtime: &Runtime,
    bundle: &VerifiedBundle,
    grants: Grants,
    backends: &Backends,
) -> Result<Skill, LoadError> {
    let manifest = bundle.manifest();
    let skill = manifest.name.as_str();
    check_imports(manifest, bundle.component())?;
    let inner = &runtime.inner;
    let component = inner
        .compile(bundle)
        .map_err(|error| engine_error(skill, "compiling", error))?;
    check_size(skill, &component, inner.settings.max_memory)?;
    let linked = inner.linker.instantiate_pre(&component).and_then(SkillPre::new);
    let pre = linked.map_err(|error| engine_error(skill, "linking", error))?;
    let grants = bounded(grants, inner.settings.max_memory);
    let described = describe_it(runtime, skill, &pre, &grants.budgets, backends)?;
    if described.name != skill {
        return Err(LoadError::NameMismatch {
            skill: skill.to_owned(),
            described: described.name,
        });
    }
    let description = read_description(described).map_err(|problem| LoadError::Describe {
        skill: skill.to_owned(),
        problem,
    })?;
    let rights = Rights::prepare(skill, grants, backends, &inner.ground()).map_err(|problems| LoadError::Grants {
        skill: skill.to_owned(),
        problems,
    })?;
    Ok(Skill::new(Loaded {
        runtime: Arc::clone(inner),
        version: manifest.version.clone(),
        digest: bundle.digest(),
        description,
        admission: Admission::new(rights.budgets().concurrency),
        record: Record::default(),
        rights: Arc::new(rights),
        pre,
    }))
}

/// What is imported must be offered here, and accounted for in the manifest.
fn check_imports(manifest: &Manifest, component: &[u8]) -> Result<(), LoadError> {
    let skill = || manifest.name.clone();
    let shape = inspect_component(component).map_err(|error| LoadError::Shape {
        skill: skill(),
        problem: error.to_string(),
    })?;
    let imports = unknown_imports(&shape.imports);
    if !imports.is_empty() {
        return Err(LoadError::UnknownImports {
            skill: skill(),
            imports,
        });
    }
    let imports = shape.undeclared(&manifest.capabilities, &manifest.unused_imports);
    if !imports.is_empty() {
        return Err(LoadError::UndeclaredImports {
            skill: skill(),
            imports,
        });
    }
    Ok(())
}

/// The pool refuses such a component at each call; saying so once, when it is loaded, is kinder.
fn check_size(skill: &str, component: &Component, max_memory: ByteSize) -> Result<(), LoadError> {
    let pages = component
        .resources_required()
        .and_then(|needed| needed.max_initial_memory_size)
        .unwrap_or(0);
    let needed = pages.saturating_mul(WASM_PAGE);
    if needed <= max_memory.as_u64() {
        return Ok(());
    }
    Err(LoadError::TooLarge {
        skill: skill.to_owned(),
        problem: format!(
            "it begins with a memory of {}, and this spore allows {max_memory} (setting `max_memory`)",
            ByteSize::b(needed)
        ),
    })
}

fn bounded(mut grants: Grants, max_memory: ByteSize) -> Grants {
    grants.budgets.memory = grants.budgets.memory.min(max_memory);
    grants
}

fn engine_error(skill: &str, step: &'static str, error: wasmtime::Error) -> LoadError {
    LoadError::Engine {
        skill: skill.to_owned(),
        step,
        source: EngineFailure::from(error),
    }
}

/// Runs `describe` with no rights at all. On a thread of its own: the caller may or may not be in a tokio runtime.
fn describe_it(
    runtime: &Runtime,
    skill: &str,
    pre: &SkillPre<CallState>,
    budgets: &Budgets,
    backends: &Backends,
) -> Result<ApiDescription, LoadError> {
    let failed = |problem: String| LoadError::Describe {
        skill: skill.to_owned(),
        problem,
    };
    let rights = Rights::none(skill, budgets.clone(), backends, &runtime.inner.ground());
    let rights = rights.map_err(|problems| LoadError::Grants {
        skill: skill.to_owned(),
        problems,
    })?;
    let work = || {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let executor = executor.map_err(|error| error.to_string())?;
        executor.block_on(async {
            let state = describing_state(skill, rights);
            describe(runtime, pre, state).await.map_err(|error| error.message)
        })
    };
    let described = thread::scope(|scope| scope.spawn(work).join());
    match described {
        Ok(described) => described.map_err(failed),
        Err(_) => Err(failed("the host failed while it ran; see the log".to_owned())),
    }
}

fn describing_state(skill: &str, rights: Rights) -> CallState {
    let now = Instant::now();
    let journal = Journal::new(skill.into(), "describe".to_owned(), None, rights.budgets().log_lines);
    let meter = Meter::new(now.into_std());
    let task = TaskInfo {
        request_id: RequestId::random(),
        attempt: 1,
        depth: 0,
        deadline: now + DESCRIBE_WITHIN.min(rights.budgets().wall),
        cancel: CancellationToken::new(),
        progress: None,
    };
    CallState::new(Arc::new(rights), Arc::new(journal), Arc::new(meter), task)
}

fn read_description(described: ApiDescription) -> Result<Description, String> {
    let mut methods = Vec::with_capacity(described.methods.len());
    for method in described.methods {
        let params_schema = schema(&method.name, "params-schema", &method.params_schema)?;
        let result_schema = schema(&method.name, "result-schema", &method.result_schema)?;
        methods.push(MethodDescription {
            name: method.name,
            summary: method.summary,
            params_schema,
            result_schema,
        });
    }
    Ok(Description {
        name: described.name,
        summary: described.summary,
        methods,
    })
}

/// Empty means anything, which JSON Schema writes as `true`.
fn schema(method: &str, field: &str, text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Bool(true));
    }
    serde_json::from_str(text).map_err(|error| format!("{field} of `{method}` is not JSON: {error}"))
}
