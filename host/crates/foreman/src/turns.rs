//! Whose turn it is among priorities: strictly the highest that waits, but a share of all picks goes to lower ones, the
//! one passed over most often first, so that none starves. A pick is a task leased; the count is carried over plans, so
//! the share holds however few are picked at a time.

use venom_protocol::Priority;

const LEVELS: usize = 11;

/// The count.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Picks that went elsewhere while lower levels waited, less those due to them.
    since_low: i64,
    /// How often each level was passed over by a higher one since it was picked last.
    passed: [u64; LEVELS],
    /// Levels that waited at the last plan, a bit each.
    waiting: u16,
    /// Picks the last plan set aside, by level.
    reserved: [u32; LEVELS],
    period: i64,
}

impl Turns {
    /// Sets picks aside for lower levels that wait. `waiting` has a bit for each level with work, `most` the number of
    /// picks each level could use, `total` the picks to come. Gives levels in order, one entry a pick.
    pub(crate) fn reserve(&mut self, low_share: f64, waiting: u16, most: [u64; LEVELS], total: u64) -> Vec<usize> {
        self.waiting = waiting;
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
        let mut passed = self.passed;
        let mut picks = Vec::new();
        for _ in 0..due.min(total) {
            let open = (0..LEVELS).filter(|level| left.get(*level).is_some_and(|most| *most > 0));
            let Some(level) = open.max_by_key(|level| passed.get(*level).copied()) else {
                break;
            };
            count_down(&mut left, level);
            pick(&mut passed, waiting, level);
            if let Some(reserved) = self.reserved.get_mut(level) {
                *reserved += 1;
            }
            picks.push(level);
        }
        picks
    }

    /// A task was leased.
    pub(crate) fn picked(&mut self, priority: Priority) {
        let level = usize::from(priority.level());
        pick(&mut self.passed, self.waiting, level);
        match self.reserved.get_mut(level) {
            Some(reserved) if *reserved > 0 => {
                *reserved -= 1;
                self.since_low -= self.period - 1;
            }
            _ if self.waiting.count_ones() > 1 => self.since_low += 1,
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

fn count_down(left: &mut [u64; LEVELS], level: usize) {
    if let Some(left) = left.get_mut(level) {
        *left -= 1;
    }
}

fn pick(passed: &mut [u64; LEVELS], waiting: u16, level: usize) {
    for (other, passed) in passed.iter_mut().enumerate() {
        if other == level {
            *passed = 0;
        } else if other < level && waiting >> other & 1 == 1 {
            *passed += 1;
        }
    }
}
