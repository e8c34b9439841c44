//! What the driver hands to the hive and the other way round: endings to write down, what running tasks say, and the
//! word that there is room for more. Both sides only touch it for a moment.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use venom_broker::Ending;
use venom_protocol::{ProgressUpdate, TaskId};

/// Progress that waits to be written, over all tasks. Beyond it reports are dropped and partial results too, with a
/// count in the log: the broker is slower than the skills, and a full memory would help nobody.
const MAX_PROGRESS: usize = 10_000;

/// See the module.
#[derive(Default)]
pub(crate) struct Desk {
    /// Bounded by the tasks leased to this nexus: each ends once.
    endings: Mutex<Vec<Ending>>,
    progress: Mutex<Vec<(TaskId, ProgressUpdate)>>,
    /// There is something to write down.
    pub(crate) to_write: Notify,
    /// There is progress to write down.
    pub(crate) to_tell: Notify,
    /// There may be room for more tasks, or more tasks.
    pub(crate) to_claim: Notify,
}

impl Desk {
    /// A lease ended.
    pub(crate) fn end(&self, ending: Ending) {
        lock(&self.endings).push(ending);
        self.to_write.notify_one();
    }

    /// Endings since the last time.
    pub(crate) fn endings(&self) -> Vec<Ending> {
        std::mem::take(&mut *lock(&self.endings))
    }

    /// A running task said something. A report takes the place of the report before it when that is not written yet.
    /// False: there was no room.
    pub(crate) fn say(&self, task: TaskId, update: ProgressUpdate) -> bool {
        let mut progress = lock(&self.progress);
        if matches!(update, ProgressUpdate::Report { .. })
            && let Some((last, waiting @ ProgressUpdate::Report { .. })) = progress.last_mut()
            && *last == task
        {
            *waiting = update;
            return true;
        }
        if progress.len() >= MAX_PROGRESS {
            return false;
        }
        progress.push((task, update));
        self.to_tell.notify_one();
        true
    }

    /// What was said since the last time.
    pub(crate) fn said(&self) -> Vec<(TaskId, ProgressUpdate)> {
        std::mem::take(&mut *lock(&self.progress))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
