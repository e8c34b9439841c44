//! What a child does to itself between fork and exec. Everything is prepared before; [`ChildConfinement::apply`]
//! makes system calls and nothing else: no allocation, no lock, no formatting.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use landlock::RulesetCreated;
use rustix::process::{setrlimit, setsid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};
use seccompiler::BpfProgram;

use super::super::grants::Program;
use super::super::path::Home;
use super::{files, limits};

/// All that a root spore's program keeps: to use files of other owners inside what Landlock leaves it.
const KEPT_CAPABILITIES: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::FOWNER);

/// A child's confinement, ready to be put on once.
#[derive(Debug)]
pub(crate) struct ChildConfinement {
    limits: limits::Limits,
    capabilities: CapabilitySets,
    files: Option<RulesetCreated>,
    filters: Option<Arc<[BpfProgram]>>,
}

impl ChildConfinement {
    /// Prepares a program's confinement with what the kernel has.
    pub(in super::super) fn prepare(
        program: &Program,
        home: &Home,
        allowed: Duration,
        landlock: bool,
        seccomp: bool,
    ) -> io::Result<Self> {
        let now = capabilities(None)?;
        let files = if landlock {
            Some(files::ruleset(program, home)?)
        } else {
            None
        };
        Ok(Self {
            limits: limits::of(&program.grant, allowed),
            capabilities: CapabilitySets {
                effective: now.effective.intersection(KEPT_CAPABILITIES),
                permitted: now.permitted.intersection(KEPT_CAPABILITIES),
                inheritable: CapabilitySet::empty(),
            },
            files,
            filters: if seccomp { program.filters.programs() } else { None },
        })
    }

    /// Puts it on, for good. Only system calls: it runs in a forked child of a threaded process.
    pub(crate) fn apply(&mut self) -> io::Result<()> {
        // a session of its own: no terminal, and a process group that `Group` kills as a whole
        setsid()?;
        for (resource, limit) in self.limits {
            setrlimit(resource, limit)?;
        }
        set_capabilities(None, self.capabilities)?;
        set_no_new_privs(true)?;
        if let Some(files) = self.files.take() {
            files
                .restrict_self()
                .map_err(|_| io::Error::from_raw_os_error(rustix::io::Errno::PERM.raw_os_error()))?;
        }
        // last, since it refuses some of the calls above
        if let Some(filters) = &self.filters {
            for filter in filters.iter() {
                seccompiler::apply_filter(filter).map_err(errno)?;
            }
        }
        Ok(())
    }
}

fn errno(error: seccompiler::Error) -> io::Error {
    match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        _ => io::Error::from_raw_os_error(rustix::io::Errno::INVAL.raw_os_error()),
    }
}
