//! From settings to a working sandbox: trust, policy, engine, skills. What a policy means is the bundle crate's
//! business, and enforcing it the runtime's.

mod bundles;
mod development;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use venom_bundle::capability::Policy;
use venom_bundle::{PublicKey, Trust};
use venom_runtime::{Backends, CompilerProcess, Runtime, RuntimeSettings, SkillSet};

pub(crate) use bundles::{bundles_in, find_bundle, host_version, near, verify};
use development::development_policy;

use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::settings::{PolicySource, SandboxSettings};

/// Who may publish skills and what skills may do.
pub(crate) struct Documents {
    /// Who may publish.
    pub trust: Trust,
    /// What skills may do.
    pub policy: Policy,
}

impl Documents {
    /// Reads both. With `dev`, the data directory's own publisher is trusted even where the trust file leaves it out.
    pub(crate) fn read(settings: &SandboxSettings, data: &DataDir, dev: bool) -> Result<Self, Failure> {
        let trust = if dev {
            development_trust(&settings.trust, data)?
        } else {
            read_trust(&settings.trust)?
        };
        Ok(Self {
            trust,
            policy: read_policy(&settings.policy, data)?,
        })
    }
}

/// Reads a trust file.
pub(crate) fn read_trust(path: &Path) -> Result<Trust, Failure> {
    if !path.exists() {
        return Err(Failure::new(format!("there is no trust file at {}", path.display()))
            .because("without one no publisher is trusted, so no skill can be loaded")
            .help("run `venom-host init` to make one, or name one with --trust FILE"));
    }
    Trust::load(path).or_advise(
        format!("the trust file {} cannot be used", path.display()),
        "repair it; `venom-host init --data-dir /tmp/example` writes a fresh one to compare with",
    )
}

fn development_trust(path: &Path, data: &DataDir) -> Result<Trust, Failure> {
    let public = data.publisher_public();
    let key = PublicKey::load(&public).or_fail(format!("the publisher key {} cannot be used", public.display()))?;
    let trust = read_trust(path)?;
    if trust.publishers().iter().any(|publisher| publisher.keys.contains(&key)) {
        return Ok(trust);
    }
    let text = std::fs::read_to_string(path).or_fail(format!("cannot read {}", path.display()))?;
    let text = format!(
        "{text}\n{}",
        crate::commands::init::publisher_entry("development", &key)
    );
    Trust::parse(&text).or_fail(format!(
        "the trust file {} cannot take the development key",
        path.display()
    ))
}

/// Reads a policy.
pub(crate) fn read_policy(source: &PolicySource, data: &DataDir) -> Result<Policy, Failure> {
    let path = match source {
        PolicySource::Development => return Ok(development_policy(&data.workspace())),
        PolicySource::File(path) => path,
    };
    let text = std::fs::read_to_string(path).or_advise(
        format!("cannot read the policy {}", path.display()),
        "run `venom-host init` to make one, or name one with --policy FILE",
    )?;
    toml::from_str(&text).or_fail(format!("the policy {} cannot be used", path.display()))
}

/// Starts the engine.
pub(crate) fn start_runtime(
    settings: &SandboxSettings,
    slots: u32,
    denied: Vec<SocketAddr>,
) -> Result<Runtime, Failure> {
    let compiled_cache = settings
        .compiled
        .parent()
        .filter(|parent| parent.is_dir())
        .map(|_| settings.compiled.clone());
    if let Some(directory) = &compiled_cache {
        crate::data_dir::make_directory(directory, crate::data_dir::PRIVATE_DIRECTORY)?;
    }
    let settings = runtime_settings(settings, slots, compiled_cache, denied);
    Runtime::new(settings).or_advise(
        "the sandbox cannot start",
        "run `venom-host doctor` for the state of this machine",
    )
}

/// This very program, even when its file was replaced by another version meanwhile.
fn compiler_process() -> Option<CompilerProcess> {
    let program = if cfg!(target_os = "linux") {
        Some(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe().ok()
    };
    program.map(|program| CompilerProcess {
        program,
        arguments: vec!["compile-worker".into()],
    })
}

fn runtime_settings(
    settings: &SandboxSettings,
    slots: u32,
    compiled_cache: Option<PathBuf>,
    denied: Vec<SocketAddr>,
) -> RuntimeSettings {
    RuntimeSettings {
        slots,
        max_memory: settings.max_memory,
        dirty_page_scan: settings.dirty_page_scan,
        compiled_cache,
        compiler: compiler_process(),
        denied_addresses: denied,
        ..RuntimeSettings::default()
    }
}

/// Loads every bundle of the skills directory into `skills`, but none of `switched_off`. Blocks while compiling;
/// a bundle that is refused is logged with the reason and does not keep the others out.
pub(crate) async fn load_skills(
    settings: &SandboxSettings,
    runtime: Runtime,
    documents: Arc<Documents>,
    backends: Backends,
    skills: SkillSet,
    switched_off: Vec<&'static str>,
) -> Result<usize, Failure> {
    let directory = settings.skills.clone();
    if !directory.is_dir() {
        tracing::warn!(directory = %directory.display(), "no skills directory: no skill is offered");
        return Ok(0);
    }
    let loading = tokio::task::spawn_blocking(move || {
        let found = SkillSet::empty();
        let report = found.load_directory(&runtime, &directory, &documents.trust, &documents.policy, &backends);
        for refused in report.refused {
            tracing::warn!(bundle = %refused.path.display(), reason = %refused.reason, "bundle refused");
        }
        let wanted = report
            .loaded
            .iter()
            .filter(|name| !switched_off.contains(&name.as_str()));
        let offered = wanted.filter_map(|name| found.get(name)).map(|skill| {
            tracing::info!(skill = skill.name(), version = %skill.version(), digest = %skill.digest(), "skill loaded");
            skills.insert(skill);
        });
        offered.count()
    });
    loading.await.or_fail("loading the skills broke off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_is_told_every_setting() {
        let settings = SandboxSettings {
            skills: "/s".into(),
            policy: PolicySource::Development,
            trust: "/t".into(),
            compiled: "/c".into(),
            max_memory: bytesize::ByteSize::mib(7),
            dirty_page_scan: venom_runtime::DirtyPageScan::Auto,
        };
        let denied = vec![SocketAddr::from(([10, 0, 0, 1], 8000))];
        let told = runtime_settings(&settings, 3, Some("/c".into()), denied.clone());
        let expected = RuntimeSettings {
            slots: 3,
            max_memory: bytesize::ByteSize::mib(7),
            dirty_page_scan: venom_runtime::DirtyPageScan::Auto,
            compiled_cache: Some("/c".into()),
            compiler: Some(CompilerProcess {
                program: "/proc/self/exe".into(),
                arguments: vec!["compile-worker".into()],
            }),
            compile_within: RuntimeSettings::default().compile_within,
            epoch_tick: RuntimeSettings::default().epoch_tick,
            denied_addresses: denied,
        };
        assert_eq!(told, expected);
    }
}
