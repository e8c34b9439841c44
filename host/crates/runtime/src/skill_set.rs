//! The skills of a process by name. Replacing one is one pointer; calls in flight keep the old.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use semver::Version;
use tokio::time::Instant;
use venom_bundle::capability::Policy;
use venom_bundle::{Trust, UnverifiedBundle};
use venom_protocol::{CallError, ErrorCode, with_causes};

use crate::{Backends, Call, Outcome, Runtime, Skill, Usage};

/// Name to skill. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct SkillSet {
    skills: Arc<RwLock<BTreeMap<String, Skill>>>,
}

/// What came of loading a directory.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// Names of the skills now in the set.
    pub loaded: Vec<String>,
    /// Bundles that were not loaded.
    pub refused: Vec<RefusedBundle>,
}

/// A bundle that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedBundle {
    /// The file.
    pub path: PathBuf,
    /// Why, for people.
    pub reason: String,
}

impl SkillSet {
    /// No skills.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds or replaces a skill; answers the one it replaced. Every call that begins from now on is one of the new;
    /// those that began before are counted in flight by the old, and finish there.
    pub fn insert(&self, skill: Skill) -> Option<Skill> {
        let mut skills = self.skills.write().unwrap_or_else(PoisonError::into_inner);
        skills.insert(skill.name().to_owned(), skill)
    }

    /// Takes a skill away; calls in flight finish on it.
    pub fn remove(&self, name: &str) -> Option<Skill> {
        let mut skills = self.skills.write().unwrap_or_else(PoisonError::into_inner);
        skills.remove(name)
    }

    /// All names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// One skill.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Skill> {
        self.read().get(name).cloned()
    }

    /// Verifies and loads every `*.venom` of a directory, in the order of their names; of two bundles of one skill
    /// the higher version stays. Blocks for as long as compiling takes.
    #[must_use]
    pub fn load_directory(
        &self,
        runtime: &Runtime,
        directory: &Path,
        trust: &Trust,
        policy: &Policy,
        backends: &Backends,
    ) -> LoadReport {
        let mut report = LoadReport::default();
        let files = match bundle_files(directory) {
            Ok(files) => files,
            Err(error) => {
                report.refuse(directory.to_owned(), format!("directory cannot be read: {error}"));
                return report;
            }
        };
        for path in files {
            match load_file(runtime, &path, trust, policy, backends) {
                Ok(skill) => self.keep_newer(skill, path, &mut report),
                Err(reason) => report.refuse(path, reason),
            }
        }
        report.loaded.sort();
        report
    }

    fn keep_newer(&self, skill: Skill, path: PathBuf, report: &mut LoadReport) {
        let name = skill.name().to_owned();
        let seen = report.loaded.contains(&name);
        let other = self.get(&name).filter(|_| seen);
        if let Some(other) = other.filter(|other| other.version() >= skill.version()) {
            let reason = format!(
                "{name} {} is loaded already; this is {}",
                other.version(),
                skill.version()
            );
            report.refuse(path, reason);
            return;
        }
        self.insert(skill);
        if !seen {
            report.loaded.push(name);
        }
    }

    /// Calls a skill by name.
    pub async fn call(&self, skill: &str, call: Call) -> Outcome {
        let started = Instant::now();
        // counted while the lock is held: whoever replaces this skill then sees the call, and waits for it
        let entered = self.read().get(skill).map(Skill::enter);
        match entered {
            Some(entered) => entered.invoke(call).await,
            None => Outcome {
                result: Err(self.unknown(skill)),
                elapsed: started.elapsed(),
                usage: Usage::default(),
            },
        }
    }

    fn unknown(&self, skill: &str) -> CallError {
        let names = self.names();
        let known = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        CallError::new(
            ErrorCode::UnknownSkill,
            format!("no skill `{skill}` here (known: {known})"),
        )
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Skill>> {
        self.skills.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoadReport {
    fn refuse(&mut self, path: PathBuf, reason: String) {
        self.refused.push(RefusedBundle { path, reason });
    }
}

fn bundle_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "venom") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn load_file(
    runtime: &Runtime,
    path: &Path,
    trust: &Trust,
    policy: &Policy,
    backends: &Backends,
) -> Result<Skill, String> {
    let host = Version::parse(env!("CARGO_PKG_VERSION")).map_err(|error| error.to_string())?;
    let bundle = UnverifiedBundle::read(path).map_err(|error| with_causes(&error))?;
    let bundle = bundle.verify(trust, &host).map_err(|error| with_causes(&error))?;
    let (grants, _) = bundle.rights_under(policy);
    runtime
        .load(&bundle, grants, backends)
        .map_err(|error| with_causes(&error))
}
