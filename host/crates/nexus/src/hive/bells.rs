//! Who waits for which task. A bell rings when one of its tasks has ended or said something; whoever waits then looks
//! at the broker, so a ring too many does no harm and a lost one only delays.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use venom_protocol::TaskId;

/// How often one looks without having heard anything: hints may be lost.
pub(crate) const LOOK_ANYWAY: Duration = Duration::from_secs(5);

/// All who wait.
#[derive(Default)]
pub(crate) struct Bells {
    by_task: Mutex<HashMap<TaskId, Vec<Arc<Inner>>>>,
}

#[derive(Default)]
struct Inner {
    rung: Mutex<BTreeSet<TaskId>>,
    notify: Notify,
}

/// One who waits for some tasks. Dropping it ends that.
pub(crate) struct Bell {
    bells: Arc<Bells>,
    tasks: Vec<TaskId>,
    inner: Arc<Inner>,
}

impl Bells {
    /// A bell for these tasks. Look at them once after this: what happened before does not ring.
    pub(crate) fn hang(self: &Arc<Self>, tasks: Vec<TaskId>) -> Bell {
        let inner = Arc::<Inner>::default();
        let mut by_task = self.lock();
        for task in &tasks {
            by_task.entry(*task).or_default().push(Arc::clone(&inner));
        }
        drop(by_task);
        Bell {
            bells: Arc::clone(self),
            tasks,
            inner,
        }
    }

    /// Something happened to these tasks.
    pub(crate) fn ring(&self, tasks: impl IntoIterator<Item = TaskId>) {
        let by_task = self.lock();
        if by_task.is_empty() {
            return;
        }
        for task in tasks {
            for inner in by_task.get(&task).into_iter().flatten() {
                inner.ring(task);
            }
        }
    }

    /// Something may have happened to any task.
    pub(crate) fn ring_all(&self) {
        let by_task = self.lock();
        for (task, waiting) in by_task.iter() {
            waiting.iter().for_each(|inner| inner.ring(*task));
        }
    }

    /// Tasks waited for.
    #[cfg(test)]
    fn waited_for(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, Vec<Arc<Inner>>>> {
        self.by_task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn ring(&self, task: TaskId) {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).insert(task);
        self.notify.notify_one();
    }
}

impl Bell {
    /// Tasks something happened to since the last time; all of them when nothing was heard for [`LOOK_ANYWAY`].
    pub(crate) async fn rung(&self) -> BTreeSet<TaskId> {
        loop {
            let heard = tokio::time::timeout(LOOK_ANYWAY, self.inner.notify.notified()).await;
            if heard.is_err() {
                return self.tasks.iter().copied().collect();
            }
            let mut rung = self.inner.rung.lock().unwrap_or_else(PoisonError::into_inner);
            if !rung.is_empty() {
                return std::mem::take(&mut *rung);
            }
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut by_task = self.bells.lock();
        for task in &self.tasks {
            if let Some(waiting) = by_task.get_mut(task) {
                waiting.retain(|inner| !Arc::ptr_eq(inner, &self.inner));
                if waiting.is_empty() {
                    by_task.remove(task);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bell_rings_for_its_own_tasks_once_each() {
        let bells = Arc::new(Bells::default());
        let (one, two, other) = (TaskId::next(), TaskId::next(), TaskId::next());
        let bell = bells.hang(vec![one, two]);
        bells.ring([one, other, one]);
        assert_eq!(bell.rung().await, BTreeSet::from([one]));
        bells.ring_all();
        assert_eq!(bell.rung().await, BTreeSet::from([one, two]));
        drop(bell);
        assert_eq!(bells.waited_for(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_ring_only_delays() {
        let bells = Arc::new(Bells::default());
        let task = TaskId::next();
        assert_eq!(bells.hang(vec![task]).rung().await, BTreeSet::from([task]));
    }
}
