//! Waiting for tasks in slices, so that whoever watches sees how far it is, and each value is asked for once.

use std::time::{Duration, Instant};

use venom_sdk::hive::{self, Outcome, Status};
use venom_sdk::{Error, Result, progress};

use crate::has_ended;
use crate::result::ItemResult;

/// One wait; progress is reported after each.
const SLICE: Duration = Duration::from_secs(1);

/// Between looks where less than a slice is left: the hive waits in whole seconds, and a wait must not outlast the call.
const LAST_LOOKS: Duration = Duration::from_millis(50);

/// Unanswered questions in a row that are asked again.
const PATIENCE: u32 = 3;

/// Bytes of results sent ahead as partial results. They count to the same budget as the answer (`output_bytes`, 4 MiB
/// unless the operator says otherwise), which must keep room for all of them once more.
const MOST_AHEAD: usize = 1024 * 1024;

/// Outcomes of tasks that end until then, in the order of the tasks; `None` for the others.
pub(crate) fn gather(task_ids: &[String], until: Instant) -> Result<Vec<Option<Outcome>>> {
    let mut watch = Watch::new(task_ids.len());
    let mut open: Vec<usize> = (0..task_ids.len()).collect();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; task_ids.len()];
    watch.report();
    loop {
        let ids: Vec<String> = open.iter().filter_map(|index| task_ids.get(*index)).cloned().collect();
        let left = until.saturating_duration_since(Instant::now());
        for (index, outcome) in open.iter().zip(look(&ids, left)?) {
            if let (true, Some(place)) = (has_ended(&outcome), outcomes.get_mut(*index)) {
                watch.ended(*index, &outcome)?;
                *place = Some(outcome);
            }
        }
        open.retain(|index| outcomes.get(*index).is_some_and(Option::is_none));
        if open.is_empty() || left.is_zero() {
            return Ok(outcomes);
        }
    }
}

/// The outcome of a single task, when it ends until then. Nobody watches it.
pub(crate) fn wait_for_one(task_ids: &[String], until: Instant) -> Result<Option<Outcome>> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let outcome = look(task_ids, left)?.pop().filter(has_ended);
        if outcome.is_some() || left.is_zero() {
            return Ok(outcome);
        }
    }
}

/// Waits for one slice, or what is left, and says where the tasks are. A caller that went away ends it.
fn look(task_ids: &[String], left: Duration) -> Result<Vec<Outcome>> {
    let mut tries = 1;
    loop {
        progress::check()?;
        let slice = if left >= SLICE { SLICE } else { Duration::ZERO };
        if slice.is_zero() {
            std::thread::sleep(left.min(LAST_LOOKS));
        }
        match hive::await_tasks(task_ids, slice) {
            Err(Error::Unavailable(_)) if tries < PATIENCE && !slice.is_zero() => {
                tries += 1;
                std::thread::sleep(LAST_LOOKS);
            }
            answered => return answered,
        }
    }
}

/// What whoever watches is told.
struct Watch {
    total: u32,
    done: u32,
    failed: u32,
    /// Bytes that may still be sent ahead.
    ahead: usize,
}

impl Watch {
    fn new(total: usize) -> Self {
        Self {
            total: u32::try_from(total).unwrap_or(u32::MAX),
            done: 0,
            failed: 0,
            ahead: MOST_AHEAD,
        }
    }

    fn report(&self) {
        let note = match self.failed {
            0 => "items".to_owned(),
            failed => format!("items, {failed} failed"),
        };
        progress::report(self.done, self.total, &note);
    }

    fn ended(&mut self, index: usize, outcome: &Outcome) -> Result<()> {
        self.done += 1;
        self.failed += u32::from(outcome.status != Status::Completed);
        self.report();
        let size = outcome.value.as_ref().map_or(0, String::len) + outcome.reason.as_ref().map_or(0, String::len);
        if let Some(ahead) = self.ahead.checked_sub(size) {
            self.ahead = ahead;
            progress::emit(&ItemResult::of(index, outcome.clone())?)?;
        }
        Ok(())
    }
}
