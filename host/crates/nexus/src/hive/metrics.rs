//! What the hive counts. Clones count together.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use venom_broker::{Counts, EndingKind, State};
use venom_protocol::Priority;

use crate::metrics::register;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
enum TaskEnd {
    completed,
    failed,
    cancelled,
    retried,
    lost_node,
    returned,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    outcome: TaskEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
enum Queue {
    high_priority,
    background,
    delayed,
    blocked,
    running,
    dead,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: Queue,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct TaskMetrics {
    pub(super) submitted: Counter,
    pub(super) claimed: Counter,
    pub(super) stale: Counter,
    pub(super) questions: Counter,
    pub(super) broker_errors: Counter,
    pub(super) broker_corrupt: Counter,
    pub(super) claim_seconds: Histogram,
    pub(super) finish_seconds: Histogram,
    pub(crate) progress_dropped: Counter,
    ends: Family<EndLabel, Counter>,
    queues: Family<QueueLabel, Gauge<u64, AtomicU64>>,
    broker_up: Gauge<u64, AtomicU64>,
}

impl TaskMetrics {
    /// All at zero, in the registry.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let r = registry;
        let histogram = |r: &mut Registry, name: &str, help: &str| {
            let histogram = Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
            r.register_with_unit(name, help, Unit::Seconds, histogram.clone());
            histogram
        };
        Self {
            claim_seconds: histogram(r, "task_claim_duration", "Round trip of a claim to the broker"),
            finish_seconds: histogram(r, "task_finish_duration", "Round trip of writing endings to the broker"),
            submitted: register(r, "tasks_submitted", "Tasks taken in here"),
            claimed: register(r, "tasks_claimed", "Leases taken from the broker"),
            stale: register(r, "tasks_stale", "Endings dropped as the lease was no longer ours"),
            questions: register(r, "hive_questions", "Questions of running skills"),
            broker_errors: register(r, "broker_errors", "Requests the broker did not carry out"),
            broker_corrupt: register(r, "broker_corrupt", "Records that could not be read and were put aside"),
            progress_dropped: register(
                r,
                "task_progress_dropped",
                "Progress dropped as the broker was too slow",
            ),
            ends: register(r, "task_runs", "Leases ended, by outcome"),
            queues: register(r, "tasks", "Tasks in the hive, by where they are"),
            broker_up: register(r, "broker_up", "1 when the broker answers"),
        }
    }

    /// A lease ended.
    pub(super) fn settled(&self, state: State, kind: &EndingKind) {
        let outcome = match (state, kind) {
            (State::Cancelled, _) => TaskEnd::cancelled,
            (_, EndingKind::Completed { .. }) => TaskEnd::completed,
            (_, EndingKind::Failed { .. }) => TaskEnd::failed,
            (_, EndingKind::Cancelled { .. }) => TaskEnd::cancelled,
            (_, EndingKind::Retry { lost_node: true, .. }) => TaskEnd::lost_node,
            (_, EndingKind::Retry { .. }) => TaskEnd::retried,
            (_, EndingKind::Returned) => TaskEnd::returned,
        };
        self.ends.get_or_create(&EndLabel { outcome }).inc();
    }

    /// Sets the gauges from what the broker counted last.
    pub(crate) fn mirror(&self, counts: &Counts, broker_up: bool) {
        let high = usize::from(Priority::HIGH_QUEUE_FROM.level());
        let sum = |levels: Option<&[u64]>| levels.unwrap_or_default().iter().sum();
        let values = [
            (Queue::high_priority, sum(counts.pending.get(high..))),
            (Queue::background, sum(counts.pending.get(..high))),
            (Queue::delayed, counts.delayed),
            (Queue::blocked, counts.blocked),
            (Queue::running, counts.running),
            (Queue::dead, counts.dead),
        ];
        for (queue, value) in values {
            self.queues.get_or_create(&QueueLabel { queue }).set(value);
        }
        self.broker_up.set(u64::from(broker_up));
    }
}
