//! What an operator may set: time limits, weights of the load score, bounds.

use std::time::Duration;

/// Settings of the foreman.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// A node silent for this long is offline (`NEXUS_HEARTBEAT_TIMEOUT`).
    pub heartbeat_timeout: Duration,
    /// A live node heard within this time is not replaced by another process with the same id. Longer than
    /// the heartbeat interval, or a clone gets in between two heartbeats.
    pub clone_window: Duration,
    /// How nodes are compared.
    pub weights: LoadWeights,
    /// Most calls in flight on one node, whatever its credits: bounds what a v1 peer, which has none, piles up.
    pub max_in_flight_per_node: u32,
    /// Offline nodes kept in the list; beyond that the one longest offline is forgotten.
    pub max_offline_nodes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self::with_heartbeat_timeout(Duration::from_secs(60))
    }
}

impl Settings {
    /// The defaults for this heartbeat timeout. The clone window is three fifths of it: with the usual
    /// timeout of two heartbeat intervals, a little over one interval.
    #[must_use]
    pub fn with_heartbeat_timeout(heartbeat_timeout: Duration) -> Self {
        Self {
            heartbeat_timeout,
            clone_window: heartbeat_timeout.mul_f64(0.6),
            weights: LoadWeights::default(),
            max_in_flight_per_node: 4_096,
            max_offline_nodes: 10_000,
        }
    }
}

/// Weights of the load score (`FOREMAN_*_WEIGHT`, `FOREMAN_MAX_TASKS_NORMALIZATION`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadWeights {
    /// Of the processor, in percent.
    pub cpu: f64,
    /// Of memory, in percent.
    pub memory: f64,
    /// Of running calls, in percent of `normalization`.
    pub tasks: f64,
    /// Calls that count as full load.
    pub normalization: f64,
}

impl Default for LoadWeights {
    fn default() -> Self {
        Self {
            cpu: 0.4,
            memory: 0.3,
            tasks: 0.3,
            normalization: 10.0,
        }
    }
}

impl LoadWeights {
    /// Load score, lower is better: `cpu*0.4 + memory*0.3 + min(tasks/10,1)*100*0.3` with percentages
    /// 0..100 and the default weights (CONTRACTS, hive). Takes shares 0..1. Never negative, never NaN.
    #[must_use]
    pub fn score(&self, cpu: f64, memory: f64, tasks: u32) -> f64 {
        let busy = if self.normalization > 0.0 {
            (f64::from(tasks) / self.normalization).min(1.0)
        } else {
            1.0
        };
        let score = 100.0 * (cpu * self.cpu + memory * self.memory + busy * self.tasks);
        // `max` also turns a NaN (from a weight that is none) into zero
        score.max(0.0)
    }
}
