//! Schedules that people on this machine want to run now.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Has schedules of an agent run now. Clones ask the same agent.
#[derive(Debug, Clone, Default)]
pub struct RunNow(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    names: Mutex<BTreeSet<String>>,
    bell: Notify,
}

impl RunNow {
    /// Has a schedule run now. One that runs already does not run twice; a name that is none's does nothing. However often it is asked
    /// before that, it is one run.
    pub fn ask(&self, schedule: &str) {
        let mut names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(schedule.to_owned());
        drop(names);
        self.0.bell.notify_one();
    }

    /// What was asked for since the last time.
    pub(super) fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.0.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something was asked for.
    pub(super) async fn rung(&self) {
        self.0.bell.notified().await;
    }
}
