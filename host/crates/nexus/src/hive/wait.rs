//! Waiting for tasks to end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use venom_broker::{BrokerError, StoredTask};
use venom_protocol::TaskId;

use super::Hive;

/// Records asked for at one time.
const CHUNK: usize = 500;

impl Hive {
    /// A task as it is stored, waited for until it has ended or the time is up. `None`: there is none.
    pub(crate) async fn task(
        self: &Arc<Self>,
        task: TaskId,
        wait: Duration,
    ) -> Result<Option<StoredTask>, BrokerError> {
        let deadline = Instant::now() + wait;
        let bell = self.bells.hang(vec![task]);
        loop {
            let found = self.look(&[task]).await?.pop().flatten();
            let is_over = found.as_ref().is_none_or(|found| found.state.has_ended());
            if is_over || Instant::now() >= deadline {
                return Ok(found);
            }
            tokio::select! {
                _ = timeout_at(deadline, bell.rung()) => {}
                () = self.stopping.cancelled() => return Ok(found),
            }
        }
    }

    /// Waits until all have ended or the time is up. Gives those that are known, ended or not.
    pub(crate) async fn all(
        self: &Arc<Self>,
        tasks: &[TaskId],
        wait: Duration,
    ) -> Result<HashMap<TaskId, StoredTask>, BrokerError> {
        let deadline = Instant::now() + wait;
        let bell = self.bells.hang(tasks.to_vec());
        let mut known = HashMap::with_capacity(tasks.len());
        let mut open = tasks.len();
        let mut look_at = tasks.to_vec();
        loop {
            for found in self.look(&look_at).await?.into_iter().flatten() {
                let before = known
                    .get(&found.id)
                    .is_some_and(|task: &StoredTask| task.state.has_ended());
                if found.state.has_ended() && !before {
                    open = open.saturating_sub(1);
                }
                known.insert(found.id, found);
            }
            if open == 0 || Instant::now() >= deadline || self.stopping.is_cancelled() {
                return Ok(known);
            }
            look_at = tokio::select! {
                rung = timeout_at(deadline, bell.rung()) => rung.map(Vec::from_iter).unwrap_or_default(),
                () = self.stopping.cancelled() => Vec::new(),
            };
            look_at.retain(|task| known.get(task).is_none_or(|task| !task.state.has_ended()));
        }
    }

    async fn look(&self, tasks: &[TaskId]) -> Result<Vec<Option<StoredTask>>, BrokerError> {
        let mut found = Vec::with_capacity(tasks.len());
        for chunk in tasks.chunks(CHUNK) {
            found.extend(
                self.broker
                    .tasks(chunk.to_vec())
                    .await
                    .inspect_err(|error| self.unwell(error))?,
            );
        }
        for task in found.iter_mut().flatten() {
            self.driver.assigned(task);
        }
        Ok(found)
    }
}
