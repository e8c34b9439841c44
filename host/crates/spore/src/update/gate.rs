//! Whether a version that is watched may stay: pure, from the health of its calls and of those before it.

use venom_runtime::Health;

/// What makes a watched version go back to the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// Crashes it may have (0): a trap, or a budget used up.
    pub max_traps: u64,
    /// Share of its calls that may fail (0.5), unless the version before failed as often.
    pub max_error_rate: f64,
    /// Calls before their share says anything (20).
    pub min_calls: u64,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            max_traps: 0,
            max_error_rate: 0.5,
            min_calls: 20,
        }
    }
}

impl Gate {
    /// Why it may not stay; `None`: nothing speaks against it so far. `before` is the version it replaced, over its whole
    /// life.
    pub(super) fn verdict(&self, now: &Health, before: &Health) -> Option<String> {
        let (traps, rate, rate_before) = (now.traps, share(now), share(before));
        if traps > self.max_traps && trap_share(now) > trap_share(before) {
            return Some(format!("it crashed {traps} times in {} calls", now.calls));
        }
        let enough = now.calls >= self.min_calls.max(1);
        (enough && rate > self.max_error_rate && rate > rate_before).then(|| {
            format!(
                "{:.0} % of its {} calls failed, of the version before {:.0} %",
                rate * 100.0,
                now.calls,
                rate_before * 100.0
            )
        })
    }
}

fn share(health: &Health) -> f64 {
    ratio(health.failures, health.calls)
}

fn trap_share(health: &Health) -> f64 {
    ratio(health.traps, health.calls)
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(calls: u64, failures: u64, traps: u64) -> Health {
        Health {
            calls,
            failures,
            traps,
            in_flight: 0,
        }
    }

    #[test]
    fn one_crash_is_enough_unless_some_are_allowed_or_it_was_no_better_before() {
        let good = health(100, 0, 0);
        assert!(Gate::default().verdict(&health(1, 1, 1), &good).is_some());
        let patient = Gate {
            max_traps: 2,
            ..Gate::default()
        };
        assert_eq!(patient.verdict(&health(9, 2, 2), &good), None);
        assert!(patient.verdict(&health(9, 3, 3), &good).is_some());
        assert_eq!(Gate::default().verdict(&health(10, 1, 1), &health(10, 1, 1)), None);
    }

    #[test]
    fn failures_count_when_there_are_enough_calls_and_it_got_worse() {
        let gate = Gate {
            max_error_rate: 0.2,
            min_calls: 10,
            ..Gate::default()
        };
        let good = health(100, 1, 0);
        assert_eq!(gate.verdict(&health(9, 9, 0), &good), None);
        assert_eq!(gate.verdict(&health(10, 2, 0), &good), None);
        assert!(gate.verdict(&health(10, 3, 0), &good).unwrap().contains("30 %"));
        assert_eq!(gate.verdict(&health(10, 3, 0), &health(10, 3, 0)), None);
        assert_eq!(gate.verdict(&health(0, 0, 0), &good), None);
    }
}
