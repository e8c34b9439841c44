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
    /// A node that holds tasks and is silent for this long has lost them (`HIVE_LEASE_TTL`, 4 s).
    pub lease_ttl: Duration,
    /// Lost nodes that park a task (`HIVE_POISON_LOSSES`, 5).
    pub poison_losses: u32,
    /// Share of all runs, 0 to 1, that goes to lower priorities while they wait (`HIVE_LOW_SHARE`, 0.1).
    pub low_share: f64,
}

impl Default for HiveSettings {
    fn default() -> Self {
        let foreman = venom_foreman::Settings::default();
        Self {
            task_timeout: Duration::from_secs(300),
            max_retries: 3,
            zombie_task_timeout: Duration::from_secs(600),
            max_depth: 8,
            max_children: 10_000,
            max_batch: 50_000,
            max_parameters: ByteSize::mib(1),
            max_result: ByteSize::mib(4),
            lease_ttl: foreman.lease_ttl,
            poison_losses: foreman.poison_losses,
            low_share: foreman.low_share,
        }
    }
}
