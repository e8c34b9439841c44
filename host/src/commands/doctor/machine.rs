//! The machine: its clock, its kernel, its swap, and whether the sandbox starts on it.

use landlock::{ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
use venom_runtime::DirtyPageScan;

use super::Check;
use crate::sandbox;
use crate::settings::SandboxSettings;

/// Enough for the connections a nexus takes by default.
const WANTED_FILES: u64 = 10_240;

/// Slots of the engine that is started for a look.
const SLOTS: u32 = 2;

/// No clock that is right shows an earlier time (seconds since 1970): this program was not written then.
const NOT_BEFORE: i64 = 1_767_225_600; // 2026-01-01

/// Nor a later one: certificates and releases have long expired.
const NOT_AFTER: i64 = NOT_BEFORE + 30 * 365 * 86_400;

/// What does not depend on settings.
pub(crate) fn check() -> Vec<Check> {
    vec![clock(), landlock(), seccomp(), open_files()]
}

/// What depends on how the sandbox is set up.
pub(crate) fn check_sandbox(settings: &SandboxSettings) -> Vec<Check> {
    vec![engine(settings), swap(settings.dirty_page_scan)]
}

fn clock() -> Check {
    let now = jiff::Timestamp::now();
    if (NOT_BEFORE..NOT_AFTER).contains(&now.as_second()) {
        return Check::ok("clock", format!("{now:.0}"));
    }
    Check::fail(
        "clock",
        format!("it shows {now:.0}"),
        "set it (chrony, systemd-timesyncd): certificates and releases depend on it",
    )
}

fn engine(settings: &SandboxSettings) -> Check {
    match sandbox::start_runtime(settings, SLOTS, Vec::new()) {
        Ok(_) => Check::ok(
            "sandbox",
            format!("wasmtime starts; memories of up to {}", settings.max_memory),
        ),
        Err(failure) => Check::fail(
            "sandbox",
            failure.summary(),
            "lower [runtime] max_memory, or raise this process's memory limit",
        ),
    }
}

/// Reused memory is cleaned quickest by asking the kernel for dirty pages, which is sound only without swap.
fn swap(scan: DirtyPageScan) -> Check {
    let name = "swap";
    let Ok(text) = std::fs::read_to_string("/proc/swaps") else {
        return Check::skip(name, "/proc/swaps cannot be read");
    };
    let has_swap = text.lines().count() > 1;
    match (has_swap, scan) {
        (true, DirtyPageScan::On) => Check::fail(
            name,
            "this machine swaps and dirty_page_scan is on: a page swapped out could reach the next call",
            "set [runtime] dirty_page_scan = \"auto\" or \"off\", or turn swap off",
        ),
        (true, _) => Check::ok(name, "this machine swaps; the dirty page scan stays off"),
        (false, DirtyPageScan::Off) => Check::ok(
            name,
            "no swap; [runtime] dirty_page_scan = \"auto\" would make calls quicker",
        ),
        (false, _) => Check::ok(name, "no swap; the dirty page scan is on"),
    }
}

fn landlock() -> Check {
    let name = "landlock";
    let known = [ABI::V6, ABI::V5, ABI::V4, ABI::V3, ABI::V2, ABI::V1];
    match known.into_iter().find(|abi| offers(*abi)) {
        Some(abi) => Check::ok(
            name,
            format!("the kernel confines files of commands (ABI {abi} or newer)"),
        ),
        None => Check::warn(
            name,
            "the kernel has no Landlock: commands are refused unless their grant says confinement = \"best-effort\"",
            "use Linux 5.13 or newer with lsm=landlock; containers need a runtime that lets it through",
        ),
    }
}

/// A nexus holds one file for every spore and every caller.
fn open_files() -> Check {
    let name = "open files";
    let most = crate::limits::most_open_files();
    if most >= WANTED_FILES {
        return Check::ok(name, format!("a process may open {most}"));
    }
    Check::warn(
        name,
        format!("a process may open only {most}: a nexus takes fewer spores than that"),
        format!("raise the hard limit (`ulimit -Hn`, LimitNOFILE= of systemd) to {WANTED_FILES} or more"),
    )
}

/// Makes a rule set that needs all of `abi` and throws it away; nothing is restricted.
fn offers(abi: ABI) -> bool {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))
        .is_ok_and(|rules| rules.create().is_ok())
}

fn seccomp() -> Check {
    let name = "seccomp";
    match std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.split_whitespace().any(|action| action == "errno") => {
            Check::ok(name, "the kernel filters system calls of commands")
        }
        _ => Check::warn(
            name,
            "the kernel does not say that it filters system calls",
            "use a kernel with CONFIG_SECCOMP_FILTER; commands are refused unless their grant says confinement = \"best-effort\"",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Status;

    #[test]
    fn scanning_with_swap_is_a_failure_only_when_forced() {
        let swaps = std::fs::read_to_string("/proc/swaps").unwrap().lines().count() > 1;
        assert_eq!(
            swap(DirtyPageScan::On).status,
            if swaps { Status::Fail } else { Status::Ok }
        );
        assert_eq!(swap(DirtyPageScan::Auto).status, Status::Ok);
    }
}
