//! What the nexus counts, and its text for Prometheus. Counting is an atomic add; nothing here waits.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use venom_foreman::Counts;

use crate::fleet::FleetMetrics;
use crate::hive::TaskMetrics;
use crate::releases::ReleaseMetrics;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum CallEnd {
    #[expect(non_camel_case_types, reason = "the name is the label's value")]
    succeeded,
    #[expect(non_camel_case_types, reason = "the name is the label's value")]
    failed,
    #[expect(non_camel_case_types, reason = "the name is the label's value")]
    rejected,
    #[expect(non_camel_case_types, reason = "the name is the label's value")]
    timed_out,
    #[expect(non_camel_case_types, reason = "the name is the label's value")]
    abandoned,
    #[expect(non_camel_case_types, reason = "the name is the label's value")]
    node_lost,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    outcome: CallEnd,
}

/// The counters. Fields are public to the crate: adding one is two lines.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Counter,
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) links: Gauge,
    pub(crate) frames_in: Counter,
    pub(crate) frames_out: Counter,
    pub(crate) frames_invalid: Counter,
    pub(crate) auth_failures: Counter,
    pub(crate) rate_limited: Counter,
    pub(crate) events_missed: Counter,
    pub(crate) local_calls: Counter,
    pub(crate) tasks: TaskMetrics,
    pub(crate) releases: ReleaseMetrics,
    pub(crate) fleet: FleetMetrics,
    calls: [(CallEnd, Counter); 6],
    call_seconds: Histogram,
    nodes_online: Gauge<u64, AtomicU64>,
    nodes_total: Gauge<u64, AtomicU64>,
    calls_in_flight: Gauge<u64, AtomicU64>,
    tasks_here: Gauge<u64, AtomicU64>,
    tasks_held: Gauge<u64, AtomicU64>,
    event_listeners: Gauge<u64, AtomicU64>,
    resident_bytes: Gauge<u64, AtomicU64>,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("venom_nexus");
        let r = &mut registry;
        let calls: Family<EndLabel, Counter> = register(r, "calls", "Calls ended, by outcome");
        let call_seconds = Histogram::new(exponential_buckets(0.000_25, 2.0, 18));
        r.register_with_unit(
            "call_duration",
            "From the request to its answer",
            Unit::Seconds,
            call_seconds.clone(),
        );
        let resident_bytes = Gauge::default();
        r.register_with_unit(
            "resident_memory",
            "Memory of this process",
            Unit::Bytes,
            resident_bytes.clone(),
        );
        Self {
            requests: register(r, "http_requests", "HTTP requests taken in"),
            connections: register(r, "connections", "Connections open, links included"),
            connections_refused: register(r, "connections_refused", "Connections closed at once: too many"),
            links: register(r, "links", "Links open, registered or not"),
            frames_in: register(r, "frames_in", "Text frames from spores"),
            frames_out: register(r, "frames_out", "Text frames to spores"),
            frames_invalid: register(r, "frames_invalid", "Frames from spores that were no valid message"),
            auth_failures: register(r, "auth_failures", "Wrong or missing tokens, HTTP and spores"),
            rate_limited: register(r, "rate_limited", "Requests refused for being too many"),
            events_missed: register(r, "events_missed", "Events that slow listeners missed"),
            local_calls: register(r, "local_calls", "Calls the nexus ran itself"),
            tasks: TaskMetrics::new(r),
            releases: ReleaseMetrics::new(r),
            fleet: FleetMetrics::new(r),
            calls: ENDS.map(|outcome| (outcome, calls.get_or_create_owned(&EndLabel { outcome }))),
            call_seconds,
            nodes_online: register(r, "nodes_online", "Nodes online"),
            nodes_total: register(r, "nodes", "Nodes listed, online or not"),
            calls_in_flight: register(r, "calls_in_flight", "Calls sent and not ended"),
            tasks_here: register(r, "tasks_on_nodes", "Tasks that nodes of this nexus run"),
            tasks_held: register(r, "tasks_held", "Leased tasks that wait for a free place"),
            event_listeners: register(r, "event_listeners", "Listeners of the event routes"),
            resident_bytes,
            registry,
        }
    }

    /// Counts the end of a call.
    pub(crate) fn call_ended(&self, end: CallEnd, seconds: f64) {
        if let Some((_, counter)) = self.calls.iter().find(|(label, _)| *label == end) {
            counter.inc();
        }
        self.call_seconds.observe(seconds);
    }

    /// OpenMetrics text. Gauges that mirror other state are set from `counts` first.
    pub(crate) fn text(&self, counts: Counts, listeners: usize) -> Result<String, std::fmt::Error> {
        self.nodes_online.set(counts.online as u64);
        self.nodes_total.set(counts.total as u64);
        self.calls_in_flight.set(counts.calls_in_flight as u64);
        self.tasks_here.set(counts.tasks_running as u64);
        self.tasks_held.set(counts.tasks_held as u64);
        self.event_listeners.set(listeners as u64);
        self.resident_bytes.set(resident_bytes().unwrap_or(0));
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

const ENDS: [CallEnd; 6] = [
    CallEnd::succeeded,
    CallEnd::failed,
    CallEnd::rejected,
    CallEnd::timed_out,
    CallEnd::abandoned,
    CallEnd::node_lost,
];

pub(crate) fn register<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: prometheus_client::registry::Metric + Clone + Default,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Resident set of this process; `None` where the system does not tell (only Linux does this way).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_every_outcome_and_the_mirrored_gauges() {
        let metrics = Metrics::new();
        metrics.call_ended(CallEnd::timed_out, 0.5);
        let counts = Counts {
            online: 2,
            total: 3,
            calls_in_flight: 4,
            tasks_running: 6,
            tasks_held: 7,
        };
        let text = metrics.text(counts, 5).unwrap();
        for line in [
            "venom_nexus_calls_total{outcome=\"timed_out\"} 1",
            "venom_nexus_calls_total{outcome=\"succeeded\"} 0",
            "venom_nexus_nodes_online 2",
            "venom_nexus_nodes 3",
            "venom_nexus_calls_in_flight 4",
            "venom_nexus_event_listeners 5",
            "venom_nexus_tasks_on_nodes 6",
            "venom_nexus_tasks_held 7",
            "venom_nexus_call_duration_seconds_count 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
    }
}
