//! What an operator may set about tasks.

use std::time::Duration;

use bytesize::ByteSize;

/// What an operator may set about tasks.
#[derive(Debug, Clone)]
pub struct HiveSettings {
    /// Longest a run takes when its submitter does not say (`HIVE_TASK_TIMEOUT`, 300 s).
    pub task_timeout: Duration,
    /// Runs after the first when the submitter does not say (`HIVE_MAX_RETRIES`, 3).
    pub max_retries: u32,
    /// Longest timeout a task may ask for (`HIVE_ZOMBIE_TASK_TIMEOUT`, 600 s): whatever runs longer is a zombie.
    pub zombie_task_timeout: Duration,
    /// Longest chain of skills that submit skills (8).
    pub max_depth: u32,
    /// Tasks one call or run may submit through the sandbox (10,000).
    pub max_children: u32,
    /// Tasks of one request (50,000).
    pub max_batch: usize,
    /// Parameters of one task (1 MiB).
    pub max_parameters: ByteSize,
    /// Result of one task that is kept (4 MiB); a task that answers more fails.
    pub max_result: ByteSize,
}

impl Default for HiveSettings {
    fn default() -> Self {
        Self {
            task_timeout: Duration::from_secs(300),
            max_retries: 3,
            zombie_task_timeout: Duration::from_secs(600),
            max_depth: 8,
            max_children: 10_000,
            max_batch: 50_000,
            max_parameters: ByteSize::mib(1),
            max_result: ByteSize::mib(4),
        }
    }
}
