//! What holds a program once it runs: decided and prepared here before the fork. Nothing here widens a grant.

#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod syscalls;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::process::Command;
use venom_bundle::capability::Confinement;

use super::CommandError;
use super::grants::{Job, proposal};
use super::path::Home;
use crate::capability::Refusal;

#[cfg(target_os = "linux")]
pub(crate) use kernel::ChildConfinement;
#[cfg(target_os = "linux")]
pub(super) use syscalls::Filters;

/// System call filters: there are none off Linux.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, Clone)]
pub(super) struct Filters;

#[cfg(not(target_os = "linux"))]
impl Filters {
    pub(super) fn for_grant(_: &venom_bundle::capability::CommandGrant) -> Self {
        Self
    }

    fn are_there(&self) -> bool {
        false
    }
}

/// What this machine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Support {
    landlock: bool,
    seccomp: bool,
}

impl Support {
    fn here(filters: &Filters) -> Self {
        #[cfg(target_os = "linux")]
        let (landlock, seccomp) = (files::supported(), syscalls::supported());
        #[cfg(not(target_os = "linux"))]
        let (landlock, seccomp) = (false, false);
        Self {
            landlock,
            seccomp: seccomp && filters.are_there(),
        }
    }

    /// What is not there, for people; none when nothing is missing.
    const fn missing(self) -> Option<&'static str> {
        match (self.landlock, self.seccomp) {
            (true, true) => None,
            (false, true) => Some("Landlock"),
            (true, false) => Some("seccomp"),
            (false, false) => Some("Landlock and seccomp"),
        }
    }

    /// Whether a program may run here, and what it then runs without.
    fn admits(self, wanted: Confinement) -> Result<Option<&'static str>, &'static str> {
        match (self.missing(), wanted) {
            (Some(missing), Confinement::Required) => Err(missing),
            (missing, _) => Ok(missing),
        }
    }
}

/// Confines the program that `command` is about to start.
pub(super) fn apply(command: &mut Command, job: &Job, home: &Home, allowed: Duration) -> Result<(), CommandError> {
    let program = &job.program;
    let support = Support::here(&program.filters);
    match support.admits(program.grant.confinement) {
        Err(missing) => return Err(unconfined(job, missing).into()),
        Ok(Some(missing)) if !program.warned.swap(true, Ordering::Relaxed) => {
            tracing::warn!(
                skill = job.skill,
                program = job.name(),
                "runs without {missing}, which this system lacks"
            );
        }
        Ok(_) => {}
    }
    #[cfg(target_os = "linux")]
    {
        let confinement = kernel::ChildConfinement::prepare(program, home, allowed, support.landlock, support.seccomp);
        let confinement = confinement.map_err(|source| CommandError::Start {
            program: job.name().to_owned(),
            binary: program.binary.path.display().to_string(),
            source,
        })?;
        crate::trusted::confine_child(command, confinement);
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (home, allowed);
        command.process_group(0);
    }
    Ok(())
}

fn unconfined(job: &Job, missing: &str) -> Refusal {
    let reason = format!("this system lacks {missing}, and the grant requires it");
    let grant = proposal(&job.skill, job.name(), "", vec![]) + "confinement = \"best-effort\"";
    Refusal {
        capability: "command",
        target: job.name().to_owned(),
        reason,
        missing_grant: grant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_confinement_is_all_or_nothing() {
        for (landlock, seccomp, missing) in [
            (true, true, None),
            (false, true, Some("Landlock")),
            (true, false, Some("seccomp")),
            (false, false, Some("Landlock and seccomp")),
        ] {
            let support = Support { landlock, seccomp };
            assert_eq!(support.admits(Confinement::BestEffort), Ok(missing));
            assert_eq!(support.admits(Confinement::Required), missing.map_or(Ok(None), Err));
        }
    }
}
