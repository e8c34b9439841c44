//! When to try again: exponential backoff with full jitter. Pure; the caller sleeps.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::Backoff;

/// Counts failures in a row and turns them into waits.
#[derive(Debug)]
pub(crate) struct Tries {
    backoff: Backoff,
    failures: u32,
}

impl Tries {
    pub(crate) const fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: 0 }
    }

    /// The link held: the next failure is a first one again.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last reset.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Somewhere between nothing and the bound, so that a thousand spores do not come back as one.
    pub(crate) fn wait(&mut self, rng: &mut impl Rng) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(rng.random_range(0.0..=1.0))
    }

    /// The upper half of the cap: for failures that only people can mend.
    pub(crate) fn wait_at_cap(&mut self, rng: &mut impl Rng) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.cap.mul_f64(rng.random_range(0.5..=1.0))
    }

    fn bound(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.backoff.base.saturating_mul(factor).min(self.backoff.cap)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let mut tries = Tries::new(Backoff::default());
        let mut rng = SmallRng::seed_from_u64(7);
        let bounds: Vec<u128> = (0..9)
            .map(|_| {
                let bound = tries.bound().as_millis();
                tries.wait(&mut rng);
                bound
            })
            .collect();
        assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    }

    #[test]
    fn waits_fill_the_whole_range_and_never_leave_it() {
        let mut rng = SmallRng::seed_from_u64(7);
        let waits: Vec<Duration> = (0..1000)
            .map(|_| Tries::new(Backoff::default()).wait(&mut rng))
            .collect();
        let least = waits.iter().min().expect("a thousand");
        let most = waits.iter().max().expect("a thousand");
        assert!(*least < Duration::from_millis(10), "{least:?}");
        assert!((490..=500).contains(&most.as_millis()), "{most:?}");
    }

    #[test]
    fn a_thousand_failures_do_not_overflow() {
        let mut tries = Tries::new(Backoff::default());
        let mut rng = SmallRng::seed_from_u64(7);
        for _ in 0..1000 {
            assert!(tries.wait(&mut rng) <= Duration::from_secs(30));
        }
        assert_eq!(tries.failures(), 1000);
        tries.reset();
        assert!(tries.wait(&mut rng) <= Duration::from_millis(500));
    }

    #[test]
    fn a_refused_token_waits_near_the_cap() {
        let mut tries = Tries::new(Backoff::default());
        let wait = tries.wait_at_cap(&mut SmallRng::seed_from_u64(7));
        assert!((15..=30).contains(&wait.as_secs()), "{wait:?}");
    }
}
