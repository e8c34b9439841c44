//! How fast connections are opened: evenly, at most so many a second. It knows no clock but what it is told.

use std::time::Duration;

/// What may be opened at once after a pause: as much as two hundredths of a second hold, but at least one. A scheduler that
/// wakes late is made up for within this, and no more.
const BURST: Duration = Duration::from_millis(20);

/// When the next connection may be opened.
#[derive(Debug)]
pub(crate) struct Pace {
    step: Duration,
    next: Duration,
}

impl Pace {
    /// `rate` a second, from `now` on; times count from any one moment.
    pub(crate) fn new(rate: u32, now: Duration) -> Self {
        Self {
            step: Duration::from_secs(1) / rate.max(1),
            next: now,
        }
    }

    /// Takes one turn, if there is one now.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        if now < self.next {
            return false;
        }
        self.next = self.next.max(now.saturating_sub(BURST)) + self.step;
        true
    }

    /// When the next turn is.
    pub(crate) fn next(&self) -> Duration {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn taken(pace: &mut Pace, now: Duration) -> u32 {
        (0..10_000).take_while(|_| pace.take(now)).count().try_into().unwrap()
    }

    #[test]
    fn no_second_has_more_than_the_rate_and_a_burst() {
        let mut pace = Pace::new(500, Duration::ZERO);
        let each: Vec<u32> = (0..5_000).map(|at| taken(&mut pace, MILLISECOND * at)).collect();
        assert!(each.windows(1_000).all(|second| second.iter().sum::<u32>() <= 511));
        assert!((2_490..=2_512).contains(&each.iter().sum::<u32>()), "and no fewer");
    }

    #[test]
    fn a_pause_is_made_up_for_by_a_burst_only() {
        let mut pace = Pace::new(500, Duration::ZERO);
        assert_eq!(taken(&mut pace, Duration::ZERO), 1);
        assert_eq!(taken(&mut pace, Duration::from_secs(60)), 11);
        assert!(!pace.take(Duration::from_secs(60)));
        assert!(pace.next() > Duration::from_secs(60));
    }

    #[test]
    fn slow_is_slow() {
        let mut pace = Pace::new(1, Duration::ZERO);
        assert_eq!(taken(&mut pace, Duration::ZERO), 1);
        assert_eq!(taken(&mut pace, MILLISECOND * 979), 0);
        assert_eq!(taken(&mut pace, Duration::from_secs(1)), 1);
    }
}
