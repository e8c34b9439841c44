//! When to try again: exponential backoff with full jitter up to a cap, for ever. Pure; the caller sleeps.

use std::time::Duration;

use rand::{Rng, RngExt as _};

/// Bounds of the waits between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, at most.
    pub base: Duration,
    /// Every wait, at most; unless the nexus asks for more.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(300),
        }
    }
}

impl Backoff {
    /// The wait after so many failures: anything up to a bound that doubles.
    pub(crate) fn wait(self, failures: u32, rng: &mut impl Rng) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let bound = self.base.saturating_mul(factor).min(self.cap);
        bound.mul_f64(rng.random_range(0.0..=1.0))
    }

    /// The upper half of the cap: for failures that only people can mend.
    pub(crate) fn wait_at_cap(self, rng: &mut impl Rng) -> Duration {
        self.cap.mul_f64(rng.random_range(0.5..=1.0))
    }
}

/// Failures in a row.
#[derive(Debug)]
pub(crate) struct Tries {
    backoff: Backoff,
    failures: u32,
}

impl Tries {
    pub(crate) const fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: 0 }
    }

    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn wait(&mut self) -> Duration {
        let wait = self.backoff.wait(self.failures, &mut rand::rng());
        self.failures = self.failures.saturating_add(1);
        wait
    }

    pub(crate) fn wait_at_cap(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.wait_at_cap(&mut rand::rng())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_stay_there() {
        let mut rng = SmallRng::seed_from_u64(7);
        let backoff = Backoff::default();
        for failures in [0_u32, 1, 5, 8, 9, 31, 32, 1_000_000] {
            let bound = 2_u64.saturating_pow(failures).min(300);
            let waits: Vec<Duration> = (0..500).map(|_| backoff.wait(failures, &mut rng)).collect();
            let most = waits.iter().max().unwrap().as_secs_f64();
            let least = waits.iter().min().unwrap().as_secs_f64();
            let bound = bound as f64;
            assert!(
                most <= bound && most > bound * 0.9 && least < bound * 0.1,
                "{failures}: {least}..{most}"
            );
        }
        for _ in 0..500 {
            assert!((150..=300).contains(&backoff.wait_at_cap(&mut rng).as_secs()));
        }
    }
}
