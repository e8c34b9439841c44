//! How a node has done lately: how often it failed and how late its answers were. Both are shares of 0 to 1 that fade
//! with time and with calls that go well, so that no node is shut out for good.

use std::time::Duration;

use venom_protocol::ErrorCode;

use crate::Moment;

/// Weight of the last call; five calls in a row move a share by two thirds.
const LATEST: f64 = 0.2;
/// A share that nothing feeds halves in this time: about a heartbeat interval.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// Below this a share is nothing, so that the load score of a sound node is the plain formula.
const NOTHING: f64 = 0.005;
/// An answer is late from twice the hive's fastest and this, in seconds: less is scheduling noise.
const SLACK: f64 = 0.010;
/// The fastest is forgotten by a hundredth with each slower call, so that it follows a hive that grows slower.
const FORGETTING: f64 = 1.01;
/// In seconds: what the fastest is at least, so that it can grow.
const LEAST: f64 = 0.000_1;

/// Whether a failure tells of the node and not of the skill.
pub(crate) const fn is_of_the_node(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NodeLost | ErrorCode::Trapped | ErrorCode::TimedOut | ErrorCode::Unavailable | ErrorCode::Busy
    )
}

/// Failures and lateness of one node.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Health {
    pub(crate) failures: f64,
    pub(crate) lateness: f64,
    /// When the shares were last brought up to date.
    at: Moment,
}

impl Health {
    /// Lets time pass.
    pub(crate) fn fade(&mut self, now: Moment) {
        let halves = now.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.at = self.at.max(now);
        if self.failures > 0.0 || self.lateness > 0.0 {
            let left = 0.5_f64.powf(halves);
            self.failures = faded(self.failures * left);
            self.lateness = faded(self.lateness * left);
        }
    }

    /// A call ended; `late` when it was answered.
    pub(crate) fn note(&mut self, now: Moment, failed: bool, late: Option<f64>) {
        self.fade(now);
        self.failures = moved(self.failures, if failed { 1.0 } else { 0.0 });
        if let Some(late) = late {
            self.lateness = moved(self.lateness, late);
        }
    }
}

fn moved(share: f64, sample: f64) -> f64 {
    faded(share + (sample - share) * LATEST)
}

fn faded(share: f64) -> f64 {
    if share < NOTHING { 0.0 } else { share }
}

/// The fastest answers of the hive, beside the time the skills themselves took, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace(Option<f64>);

impl Pace {
    /// How late an answer was that took `whole`, of which the skill took `skill` seconds: 0 to 1.
    pub(crate) fn lateness(&mut self, whole: Duration, skill: f64) -> f64 {
        let skill = if skill.is_finite() { skill.max(0.0) } else { 0.0 };
        let taken = (whole.as_secs_f64() - skill).max(LEAST);
        let fastest = self.0.map_or(taken, |fastest| (fastest * FORGETTING).min(taken));
        self.0 = Some(fastest);
        let in_time = 2.0 * fastest + SLACK;
        if taken <= in_time { 0.0 } else { 1.0 - in_time / taken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn failures_add_up_and_fade_with_successes_and_with_time() {
        let mut health = Health::default();
        health.note(at(0), false, Some(0.0));
        assert_eq!((health.failures, health.lateness), (0.0, 0.0));
        for _ in 0..100 {
            health.note(at(0), true, None);
        }
        assert!(health.failures > 0.99 && health.failures <= 1.0);
        let mut idle = health;
        idle.fade(at(30));
        assert!((idle.failures - health.failures / 2.0).abs() < 1e-9);
        idle.fade(at(3_000));
        assert_eq!(idle.failures, 0.0, "nothing is left of it");
        for _ in 0..30 {
            health.note(at(0), false, None);
        }
        assert_eq!(health.failures, 0.0);
    }

    #[test]
    fn late_is_what_is_slower_than_the_fastest_by_more_than_noise() {
        let mut pace = Pace::default();
        let ms = Duration::from_millis;
        assert_eq!(pace.lateness(ms(5), 0.0), 0.0, "the first sets the pace");
        assert_eq!(pace.lateness(ms(19), 0.0), 0.0);
        assert_eq!(
            pace.lateness(ms(2_005), 2.0),
            0.0,
            "the skill's own time does not count"
        );
        let late = pace.lateness(ms(500), 0.0);
        assert!(late > 0.9 && late < 1.0, "{late}");
        assert!(pace.lateness(ms(500), f64::NAN) > 0.9);
        let mut last = 1.0;
        for _ in 0..1_000 {
            last = pace.lateness(ms(500), 0.0);
        }
        assert_eq!(last, 0.0, "a hive where all are slow has no late nodes");
    }
}
