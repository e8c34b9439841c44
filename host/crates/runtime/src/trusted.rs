//! The only module with `unsafe`: what it does is sound because of checks made by its callers, each named.
//! It decides nothing itself.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Turns compiled code back into a component.
///
/// Wasmtime runs these bytes as they are, so they must be what this engine's own compiler made. There are two callers:
/// [`crate::compiled`] reads them from a directory only this user can write, under a name that holds the
/// component's digest and the engine's compatibility hash, and has compared their SHA-256 with the one stored
/// when they were written; [`crate::runtime`] has them from the compiler itself, in this process or through a pipe from
/// a child of it that runs the same program.
#[expect(unsafe_code, reason = "bytes from our own compiler; see above")]
pub(crate) fn deserialize_compiled(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the caller vouches for the bytes as written above; wasmtime itself refuses another version or
    // other settings than the engine's.
    unsafe { Component::deserialize(engine, code) }
}

/// Lets a child confine itself between fork and exec.
///
/// In a child forked from a process with threads, locks may be held for ever: only what needs none may run.
/// [`crate::capability::command::ChildConfinement::apply`] makes system calls on what was prepared before, and
/// neither allocates nor formats; the descriptors it closes on exec are no one's in the child.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "only system calls after fork; see above")]
pub(crate) fn confine_child(
    command: &mut tokio::process::Command,
    mut confinement: crate::capability::command::ChildConfinement,
) {
    // SAFETY: the closure is async-signal-safe as written above.
    unsafe {
        command.pre_exec(move || {
            // whatever the spore itself inherited open, without the flag: its children get none of it. Older
            // kernels than 5.11 refuse the flag, and then rely on the flag that std sets on all it opens.
            libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            confinement.apply()
        });
    }
}

/// Watches a process handle for the end of its process.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the descriptor is owned by what watches it; see below")]
pub(crate) fn watch(handle: std::os::fd::OwnedFd) -> std::io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    use tokio::io::unix::AsyncFd;
    // SAFETY: an `OwnedFd` is open and ours, and nothing replaces or closes it inside the `AsyncFd`.
    let watched = unsafe { AsyncFd::register_with_interest(handle, tokio::io::Interest::READABLE) };
    watched.map_err(std::io::Error::from)
}
