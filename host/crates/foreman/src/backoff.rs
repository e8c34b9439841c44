//! How long a task waits before its next run. Spread, so that tasks that failed together do not come back together;
//! without chance, so that the same task waits the same time on every nexus.

use std::time::Duration;

use venom_protocol::{Backoff, TaskId};

/// The wait after `failed_runs` runs (from 1): `base * factor^(failed_runs-1)`, at most `max`, a quarter more or less.
/// Which, is a hash of the task and the run. Numbers that are none wait not at all.
pub(crate) fn wait(backoff: &Backoff, task: TaskId, failed_runs: u32) -> Duration {
    let exponent = i32::try_from(failed_runs.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = (backoff.base * backoff.factor.powi(exponent)).min(backoff.max);
    let spread = 0.75 + 0.5 * share_of(task, failed_runs);
    Duration::try_from_secs_f64(seconds * spread).unwrap_or_default()
}

/// 0 to 1, evenly spread over tasks and runs.
#[expect(clippy::cast_precision_loss, reason = "of 64 random bits, 53 are plenty")]
fn share_of(task: TaskId, run: u32) -> f64 {
    let (high, low) = task.0.as_u64_pair();
    mixed(mixed(high ^ u64::from(run)) ^ low) as f64 / u64::MAX as f64
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): every bit of the input changes half the bits of the output.
const fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn task(id: u128) -> TaskId {
        TaskId(Uuid::from_u128(id))
    }

    #[test]
    fn waits_grow_to_the_cap_and_stay_within_a_quarter() {
        let backoff = Backoff {
            base: 1.0,
            factor: 2.0,
            max: 10.0,
        };
        for (runs, middle) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (u32::MAX, 10.0)] {
            for id in 0..100 {
                let waited = wait(&backoff, task(id), runs).as_secs_f64();
                assert!(
                    (middle * 0.75..=middle * 1.25).contains(&waited),
                    "run {runs}: {waited} s"
                );
            }
        }
    }

    #[test]
    fn tasks_that_fail_together_come_back_spread_and_always_at_the_same_time() {
        let waits = |runs| (0..1_000).map(move |id| wait(&Backoff::default(), task(id), runs).as_secs_f64());
        let early = waits(1).filter(|waited| *waited < 1.0).count();
        assert!((400..600).contains(&early), "{early} of 1000 below the middle");
        assert!(waits(1).eq(waits(1)));
        assert_ne!(
            wait(&Backoff::default(), task(1), 1) * 2,
            wait(&Backoff::default(), task(1), 2)
        );
    }

    #[test]
    fn numbers_that_are_none_wait_not_at_all() {
        for wrong in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            let backoff = Backoff {
                base: wrong,
                factor: 2.0,
                max: 300.0,
            };
            assert!(wait(&backoff, task(1), 1) <= Duration::from_secs(375));
        }
        let endless = Backoff {
            base: f64::INFINITY,
            factor: 2.0,
            max: 300.0,
        };
        assert!(wait(&endless, task(1), 1) <= Duration::from_secs(375));
    }
}
