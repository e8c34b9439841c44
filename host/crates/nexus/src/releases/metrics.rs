//! What is counted about releases. Clones count together.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use venom_protocol::RolloutCounts;

use crate::metrics::register;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabel {
    channel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SporesLabel {
    channel: String,
    state: String,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct ReleaseMetrics {
    pub(crate) published: Counter,
    pub(crate) asks: Counter,
    pub(crate) blob_bytes: Counter,
    pub(crate) downloads_refused: Counter,
    pub(crate) alarms: Counter,
    pub(crate) rollouts_signed: Counter,
    wave: Family<ChannelLabel, Gauge<u64, AtomicU64>>,
    spores: Family<SporesLabel, Gauge<u64, AtomicU64>>,
}

impl ReleaseMetrics {
    /// All at zero, in the registry.
    pub(crate) fn new(r: &mut Registry) -> Self {
        Self {
            published: register(r, "releases_published", "Releases taken in here"),
            asks: register(r, "release_asks", "Questions of spores for what they lack, answered"),
            blob_bytes: register(r, "bundle_bytes_served", "Bytes of bundles sent"),
            downloads_refused: register(r, "downloads_refused", "Downloads told to come back: too many"),
            alarms: register(
                r,
                "trust_alarms",
                "Documents that should not exist, found here or by spores",
            ),
            rollouts_signed: register(r, "rollouts_signed", "Rollouts signed here"),
            wave: register(r, "rollout_wave", "Waves begun, by channel"),
            spores: register(r, "rollout_spores", "Spores the current release is for, by state"),
        }
    }

    /// Sets the gauges of a channel.
    pub(super) fn mirror(&self, channel: &str, wave: usize, counts: &RolloutCounts) {
        let channel = channel.to_owned();
        let label = ChannelLabel {
            channel: channel.clone(),
        };
        self.wave.get_or_create(&label).set(wave as u64);
        let states = [
            ("targeted", counts.targeted),
            ("in_wave", counts.in_wave),
            ("committed", counts.committed),
            ("soaking", counts.soaking),
            ("failed", counts.failed),
            ("held", counts.held),
            ("reverted", counts.reverted),
            ("silent", counts.silent),
        ];
        for (state, count) in states {
            let (channel, state) = (channel.clone(), state.to_owned());
            self.spores
                .get_or_create(&SporesLabel { channel, state })
                .set(count as u64);
        }
    }
}
