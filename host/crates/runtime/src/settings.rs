//! What the operator decides about the sandbox as a whole. Plain data: it reads no environment and no file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use crate::CompilerProcess;

/// How the runtime is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// Calls that may run at one time. The pool of stacks and memories is made for this many.
    pub slots: u32,
    /// The largest linear memory any skill may have; a skill's own budget is at most this.
    pub max_memory: ByteSize,
    /// Whether memory is cleaned by scanning for dirty pages.
    pub dirty_page_scan: DirtyPageScan,
    /// Directory of compiled code, private to this user; absent: skills are compiled at every start.
    pub compiled_cache: Option<PathBuf>,
    /// The process that compiles; absent: this one does, and nothing bounds the time and memory a component takes it to
    /// compile. For tests and measurements, which know their components.
    pub compiler: Option<CompilerProcess>,
    /// Longest a component may take to compile in that process.
    pub compile_within: Duration,
    /// How often a running guest is looked at. Budgets of CPU time are counted in these.
    pub epoch_tick: Duration,
    /// Addresses no skill reaches unless a grant names exactly them: the nexus.
    pub denied_addresses: Vec<SocketAddr>,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            slots: 512,
            max_memory: ByteSize::gib(1),
            dirty_page_scan: DirtyPageScan::Off,
            compiled_cache: None,
            compiler: None,
            compile_within: Duration::from_secs(120),
            epoch_tick: Duration::from_millis(10),
            denied_addresses: Vec::new(),
        }
    }
}

/// Whether a used memory is cleaned by asking the kernel which of its pages were written (`PAGEMAP_SCAN`).
///
/// It makes a call two to three times faster. It is sound only while no page of the process is swapped
/// out: upstream has an open report (wasmtime #14357) of a swapped-out dirty page reaching the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirtyPageScan {
    /// Never.
    #[default]
    Off,
    /// Always; the operator answers for swap being off.
    On,
    /// When this machine has no swap at start.
    Auto,
}
