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
    /// A node that holds tasks and is silent for this long has lost them. It is asked for a sign of life each third of it.
    pub lease_ttl: Duration,
    /// Time beyond a task's own that its node has to answer, or to stop when it is cancelled.
    pub grace: Duration,
    /// A leased task that finds no room goes back after this.
    pub hold: Duration,
    /// A node that answered `busy` or `draining` is given no task for this long.
    pub pause: Duration,
    /// Lost nodes that park a task.
    pub poison_losses: u32,
    /// Most tasks at one time on a node that does not say how many it takes (v1).
    pub tasks_without_credits: u32,
    /// Share of all picks, 0 to 1, that goes to lower priorities while they wait.
    pub low_share: f64,
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
            lease_ttl: Duration::from_secs(4),
            grace: Duration::from_secs(2),
            hold: Duration::from_secs(1),
            pause: Duration::from_secs(1),
            poison_losses: 5,
            tasks_without_credits: 10,
            low_share: 0.1,
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
    /// Of calls that failed lately through the node's fault, in percent.
    pub failures: f64,
    /// Of answers that came later than the hive's fastest, in percent.
    pub latency: f64,
}

impl Default for LoadWeights {
    fn default() -> Self {
        Self {
            cpu: 0.4,
            memory: 0.3,
            tasks: 0.3,
            normalization: 10.0,
            failures: 0.2,
            latency: 0.1,
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

    /// What failures and late answers add to the score. Takes shares 0..1; zero for a node that had neither. Never
    /// negative, never NaN.
    #[must_use]
    pub fn penalty(&self, failures: f64, lateness: f64) -> f64 {
        (100.0 * (failures * self.failures + lateness * self.latency)).max(0.0)
    }
}
