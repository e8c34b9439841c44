//! What the fleet can be told.

use std::time::Duration;

use bytesize::ByteSize;

/// What the fleet can be told.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// An agent silent for longer is stale (5 min).
    pub stale_after: Duration,
    /// An agent silent for longer is offline (15 min).
    pub offline_after: Duration,
    /// After a rotation the token before stays good until the new one is used, and for this long after that (10 min).
    pub rotation_overlap: Duration,
    /// Complete scans in a row that must miss a thing before it is gone (3).
    pub misses_until_gone: u32,
    /// Commands that may wait for one agent (100).
    pub max_pending_commands: u32,
    /// Time after which a command nobody fetched has failed (7 days).
    pub command_lifetime: Duration,
    /// Keys of batches are remembered for this long (30 days): longer than an outbox is likely to wait.
    pub batch_memory: Duration,
    /// Changes, ended findings, scans and ended commands are kept for this long (400 days).
    pub history: Duration,
    /// Assets in one batch (4,096).
    pub max_assets_per_batch: usize,
    /// Things of one site (100,000); more are refused, so that no agent fills the disk.
    pub max_assets_per_site: u64,
    /// Agents (100,000).
    pub max_agents: u64,
    /// Of an agent's own words about itself (16 KiB).
    pub max_metadata: ByteSize,
}

impl Default for FleetSettings {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            stale_after: Duration::from_secs(300),
            offline_after: Duration::from_secs(900),
            rotation_overlap: Duration::from_secs(600),
            misses_until_gone: 3,
            max_pending_commands: 100,
            command_lifetime: Duration::from_secs(7 * DAY),
            batch_memory: Duration::from_secs(30 * DAY),
            history: Duration::from_secs(400 * DAY),
            max_assets_per_batch: 4_096,
            max_assets_per_site: 100_000,
            max_agents: 100_000,
            max_metadata: ByteSize::kib(16),
        }
    }
}
