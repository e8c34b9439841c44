//! Whose turn it is among priorities: strictly the highest that waits, but a share of all picks goes to lower ones, the
//! one served longest ago first, so that none starves. A pick is a task leased; the count is carried over plans, so the
//! share holds however few are picked at a time.

use venom_protocol::Priority;

/// Priorities there are.
pub(crate) const LEVELS: usize = 11;

/// The count.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Picks that went elsewhere while lower levels waited, less those due to them.
    since_low: i64,
    picks: u64,
    /// When each level was served last, counted in picks.
    served: [u64; LEVELS],
    /// More than one level waited at the last plan.
    contended: bool,
    /// Picks the last plan set aside, by level.
    reserved: [u32; LEVELS],
    period: i64,
}

impl Turns {
    /// Sets picks aside for lower levels that wait. `waiting` has a bit for each level with work, `most` the number of
    /// picks each level could use, `total` the picks to come. Gives levels in order, one entry a pick.
    pub(crate) fn reserve(&mut self, low_share: f64, waiting: u16, most: [u64; LEVELS], total: u64) -> Vec<usize> {
        self.contended = waiting.count_ones() > 1;
        self.reserved = [0; LEVELS];
        self.period = period(low_share);
        if self.period == 0 {
            return Vec::new();
        }
        self.since_low = self.since_low.clamp(0, 2 * self.period);
        let total = i64::try_from(total).unwrap_or(i64::MAX / 2);
        let due = (self.since_low + total) / self.period;
        let mut left = most;
        // the highest that has any is served anyway
        if let Some(top) = left.iter_mut().rev().find(|most| **most > 0) {
            *top = 0;
        }
        let mut served = self.served;
        let mut levels = Vec::new();
        for pick in 0..u64::try_from(due.min(total)).unwrap_or(0) {
            let open = left.iter_mut().zip(&mut served).zip(&mut self.reserved).enumerate();
            let open = open.filter(|(_, ((left, _), _))| **left > 0);
            let longest_ago = open.min_by_key(|(_, ((_, served), _))| **served);
            let Some((level, ((left, served), reserved))) = longest_ago else {
                break;
            };
            *left -= 1;
            *served = self.picks + 1 + pick;
            *reserved += 1;
            levels.push(level);
        }
        levels
    }

    /// A task was leased.
    pub(crate) fn picked(&mut self, priority: Priority) {
        let level = usize::from(priority.level());
        self.picks += 1;
        if let Some(served) = self.served.get_mut(level) {
            *served = self.picks;
        }
        match self.reserved.get_mut(level) {
            Some(reserved) if *reserved > 0 => {
                *reserved -= 1;
                self.since_low -= self.period - 1;
            }
            _ if self.contended => self.since_low += 1,
            _ => {}
        }
    }
}

/// Of how many picks one goes to a lower level; 0: none.
#[expect(clippy::cast_possible_truncation, reason = "bounded by the clamp")]
fn period(low_share: f64) -> i64 {
    if low_share > 0.0 {
        (1.0 / low_share).clamp(1.0, 1e9) as i64
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{FileFailurePersistence, RngSeed};

    use super::*;

    /// Leases as a broker would: what is set aside first, then from the highest level down.
    fn serve(turns: &mut Turns, share: f64, left: &mut [u64; LEVELS], batch: u64) -> Vec<usize> {
        let waiting = (0..LEVELS).filter(|&level| left[level] > 0);
        let waiting = waiting.fold(0, |levels, level| levels | 1 << level);
        let total = batch.min(left.iter().sum());
        let mut picks = turns.reserve(share, waiting, *left, total);
        for &level in &picks {
            left[level] -= 1;
        }
        for level in (0..LEVELS).rev() {
            while left[level] > 0 && (picks.len() as u64) < total {
                left[level] -= 1;
                picks.push(level);
            }
        }
        for &level in &picks {
            turns.picked(Priority::new(level as u8).unwrap());
        }
        picks
    }

    #[test]
    fn a_share_of_one_in_ten_goes_to_the_low_however_few_are_picked_at_a_time() {
        for batch in [1, 3, 10, 64] {
            let mut turns = Turns::default();
            let mut low = 0;
            for _ in 0..1_000 / batch {
                let mut left = [0; LEVELS];
                (left[10], left[0]) = (1_000, 1_000);
                let picks = serve(&mut turns, 0.1, &mut left, batch);
                low += picks.iter().filter(|level| **level == 0).count();
            }
            let picked = 1_000 / batch * batch;
            assert!(low.abs_diff(picked as usize / 10) <= 2, "{low} of {picked} by {batch}");
        }
    }

    #[test]
    fn without_a_share_the_highest_takes_all_and_alone_a_level_takes_all() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            let mut left = [0; LEVELS];
            (left[10], left[0]) = (10, 10);
            assert_eq!(serve(&mut turns, 0.0, &mut left, 1), [10]);
            let mut left = [0; LEVELS];
            left[3] = 10;
            assert_eq!(serve(&mut turns, 0.1, &mut left, 2), [3, 3]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x7025),
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
                env!("CARGO_MANIFEST_DIR"), "/tests/turns.regressions"
            )))),
            ..ProptestConfig::with_cases(300)
        })]

        /// Whatever happened before, and however few are picked at a time.
        #[test]
        fn no_level_that_waits_is_passed_over_for_long(
            before in prop::collection::vec((prop::array::uniform11(0..4_u64), 1..30_u64), 0..20),
            lower in prop::collection::btree_set(0..10_usize, 1..10),
            share in prop_oneof![Just(0.1), Just(0.25), Just(0.5), Just(1.0)],
            batches in prop::collection::vec(1..4_u64, 1..10),
        ) {
            let mut turns = Turns::default();
            for (mut left, batch) in before {
                serve(&mut turns, share, &mut left, batch);
            }
            let bound = (1.0 / share) as usize * lower.len();
            let mut picked = 0;
            let mut unserved = lower.clone();
            for batch in batches.iter().cycle() {
                if unserved.is_empty() || picked > 10 * bound + 100 {
                    break;
                }
                let mut left = [0; LEVELS];
                left[10] = 1_000;
                for &level in &lower {
                    left[level] = 1_000;
                }
                for level in serve(&mut turns, share, &mut left, *batch) {
                    picked += 1;
                    if unserved.remove(&level) {
                        prop_assert!(picked <= bound, "level {level} waited {picked} picks of at most {bound}");
                    }
                }
            }
            prop_assert!(unserved.is_empty(), "{unserved:?} starve");
        }
    }
}
