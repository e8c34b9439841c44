//! Resource limits of a child. Each is lowered only: where the spore itself has less, the child has less.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit};
use venom_bundle::capability::CommandGrant;

/// Open files of a program. Filters and converters need a dozen.
const OPEN_FILES: u64 = 256;
/// Processes of the spore's user, threads of the spore included, while a program that may start some runs.
/// (The kernel counts by user, and not for root; what ends a fork bomb is the time limit.)
const PROCESSES: u64 = 4_096;

pub(super) type Limits = [(Resource, Rlimit); 6];

pub(super) fn of(grant: &CommandGrant, allowed: Duration) -> Limits {
    let processes = if grant.subprocesses { PROCESSES } else { 0 };
    // a program that computes all the time reaches the time limit first
    let seconds = allowed.as_secs().saturating_add(1);
    [
        (Resource::As, grant.memory.as_u64()),
        (Resource::Fsize, grant.file_size.as_u64()),
        (Resource::Cpu, seconds),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Core, 0),
        (Resource::Nproc, processes),
    ]
    .map(|(resource, wanted)| (resource, lowered(resource, wanted)))
}

fn lowered(resource: Resource, wanted: u64) -> Rlimit {
    let most = getrlimit(resource).maximum.map_or(wanted, |most| most.min(wanted));
    Rlimit {
        current: Some(most),
        maximum: Some(most),
    }
}
