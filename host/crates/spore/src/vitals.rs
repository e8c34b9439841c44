//! How busy the machine is, sampled beside the link so that a heartbeat never waits for `/proc`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};
use tokio::time::{MissedTickBehavior, interval};

/// CPU use is an average over this time.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// The last sample; shared by the sampler and the heartbeats.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    cpu: AtomicU32,
    memory: AtomicU32,
}

impl Vitals {
    /// Shares of 0..1; what lies outside is cut.
    pub(crate) fn set(&self, cpu: f32, memory: f32) {
        self.cpu.store(share(cpu).to_bits(), Ordering::Relaxed);
        self.memory.store(share(memory).to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn cpu(&self) -> f64 {
        f32::from_bits(self.cpu.load(Ordering::Relaxed)).into()
    }

    pub(crate) fn memory(&self) -> f64 {
        f32::from_bits(self.memory.load(Ordering::Relaxed)).into()
    }
}

fn share(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

/// Samples until dropped.
pub(crate) async fn sample(vitals: &Vitals) {
    let kinds = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing().with_usage())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let mut ticks = interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut system = match System::new() {
        Ok(system) => system,
        Err(error) => {
            tracing::warn!(%error, "cpu and memory use cannot be read here; heartbeats say 0");
            return std::future::pending().await;
        }
    };
    loop {
        ticks.tick().await;
        let refreshed = tokio::task::spawn_blocking(move || {
            system.refresh_specifics(kinds);
            system
        });
        match refreshed.await {
            Ok(back) => system = back,
            // the blocking pool is gone: so is the runtime, and with it this future
            Err(_) => return,
        }
        let total = system.total_memory().max(1) as f64;
        let used = total - system.available_memory() as f64;
        vitals.set(system.global_cpu_usage() / 100.0, (used / total) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_between_none_and_all() {
        let vitals = Vitals::default();
        vitals.set(1.7, -0.2);
        assert_eq!((vitals.cpu(), vitals.memory()), (1.0, 0.0));
        vitals.set(f32::NAN, 0.25);
        assert_eq!((vitals.cpu(), vitals.memory()), (0.0, 0.25));
    }

    #[tokio::test]
    async fn the_sampler_sees_memory_in_use() {
        let vitals = Vitals::default();
        let seen = async {
            while vitals.memory() == 0.0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = sample(&vitals) => panic!("the sampler ended"),
            outcome = tokio::time::timeout(Duration::from_secs(10), seen) => outcome.expect("memory is in use"),
        }
        assert!(vitals.memory() > 0.0 && vitals.memory() <= 1.0);
        assert!((0.0..=1.0).contains(&vitals.cpu()));
    }
}
