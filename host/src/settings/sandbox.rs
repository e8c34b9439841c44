//! Where skills, policy and trust come from, and how large the sandbox is: the same for every command that runs skills.

use std::path::PathBuf;

use bytesize::ByteSize;
use venom_runtime::{DirtyPageScan, RuntimeSettings};

use super::{PageScan, SettingError, Sources, env};
use crate::cli::SandboxArgs;

/// Settings of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SandboxSettings {
    /// Directory of bundles.
    pub skills: PathBuf,
    /// What skills may do.
    pub policy: PolicySource,
    /// Who may publish them.
    pub trust: PathBuf,
    /// Directory of compiled code.
    pub compiled: PathBuf,
    /// Largest linear memory.
    pub max_memory: ByteSize,
    /// Whether used memory is cleaned by scanning for dirty pages.
    pub dirty_page_scan: DirtyPageScan,
}

/// What skills may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PolicySource {
    /// What this file says.
    File(PathBuf),
    /// The development policy: a workspace for `FileSkill`, harmless commands for `ShellSkill`.
    Development,
}

/// Which environment variables and file keys a command reads its skills and policy from.
pub(crate) struct SandboxNames {
    /// Variable of the skills directory.
    pub skills: &'static str,
    /// Variable of the policy.
    pub policy: &'static str,
    /// The file's skills directory.
    pub file_skills: Option<PathBuf>,
    /// The file's policy.
    pub file_policy: Option<PathBuf>,
}

impl SandboxNames {
    /// Those of a spore; `run`, `skill` and the like look where a spore would.
    pub(crate) fn of_spore(sources: &Sources) -> Self {
        Self {
            skills: env::SPORE_SKILLS,
            policy: env::SPORE_POLICY,
            file_skills: sources.file.spore.skills.clone(),
            file_policy: sources.file.spore.policy.clone(),
        }
    }

    /// Those of a nexus.
    pub(crate) fn of_nexus(sources: &Sources) -> Self {
        Self {
            skills: env::NEXUS_SKILLS,
            policy: env::NEXUS_POLICY,
            file_skills: sources.file.nexus.skills.clone(),
            file_policy: sources.file.nexus.policy.clone(),
        }
    }
}

impl SandboxSettings {
    /// Merges flags, environment, file and defaults. With `dev`, the default policy is the development one.
    pub(crate) fn merge(
        args: SandboxArgs,
        dev: bool,
        names: SandboxNames,
        sources: &Sources,
    ) -> Result<Self, SettingError> {
        let built_in = RuntimeSettings::default();
        let file = &sources.file.runtime;
        let skills = sources.pick(args.skills, names.skills, names.file_skills)?;
        let trust = sources.pick(args.trust, env::TRUST, sources.file.trust.clone())?;
        // A policy in the file is the one for everyday; --dev asks for another unless a flag or variable names one.
        let file_policy = names.file_policy.filter(|_| !dev);
        let policy = match sources.pick(args.policy, names.policy, file_policy)? {
            Some(path) => PolicySource::File(path),
            None if dev => PolicySource::Development,
            None => PolicySource::File(sources.in_data_dir("policy.toml")),
        };
        let scan = sources.pick(None, env::RUNTIME_DIRTY_PAGE_SCAN, file.dirty_page_scan)?;
        Ok(Self {
            skills: skills.unwrap_or_else(|| sources.in_data_dir("skills")),
            policy,
            trust: trust.unwrap_or_else(|| sources.in_data_dir("trust.toml")),
            compiled: sources.in_data_dir("compiled"),
            max_memory: sources
                .pick(None, env::RUNTIME_MAX_MEMORY, file.max_memory)?
                .unwrap_or(built_in.max_memory),
            dirty_page_scan: scan.map_or(built_in.dirty_page_scan, PageScan::into),
        })
    }
}

impl From<PageScan> for DirtyPageScan {
    fn from(scan: PageScan) -> Self {
        match scan {
            PageScan::Off => Self::Off,
            PageScan::On => Self::On,
            PageScan::Auto => Self::Auto,
        }
    }
}
