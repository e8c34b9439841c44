//! Writes endings down, in batches of whatever came meanwhile. What is not written is kept and tried again: the
//! number is bounded by the leases of this nexus, since it claims no more while it waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use venom_broker::{Dependent, Ending, EndingKind, Recorded, State};

use super::Hive;

/// Most endings of one batch.
const BATCH: usize = 512;
/// Between two looks at the end, while links close.
const SHORT: Duration = Duration::from_millis(10);
/// Wait after the broker did not answer.
const PAUSE: Duration = Duration::from_millis(200);

impl Hive {
    /// Writes until `ending`, and then what is left, as long as the broker answers.
    pub(super) async fn write_down(self: Arc<Self>, ending: CancellationToken) {
        let _written = self.written.clone().drop_guard();
        let mut left: Vec<Ending> = Vec::new();
        loop {
            left.extend(self.desk.endings());
            if left.is_empty() {
                // links that close hand in what ran on them
                if ending.is_cancelled() && self.driver.counts().tasks_running == 0 {
                    return;
                }
                tokio::select! {
                    () = self.desk.to_write.notified() => {}
                    () = ending.cancelled() => tokio::time::sleep(SHORT).await,
                }
                continue;
            }
            let rest = left.split_off(left.len().min(BATCH));
            if self.write(&left).await {
                left = rest;
                continue;
            }
            left.extend(rest);
            if ending.is_cancelled() {
                tracing::warn!(left = left.len(), "endings not written; their tasks will run again");
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// False: to be tried again. A batch that was written but whose answer was lost reads as stale the second time:
    /// harmless, as whoever waits looks at the records.
    async fn write(&self, endings: &[Ending]) -> bool {
        self.tell_all().await;
        let began = Instant::now();
        let settled = match self.broker.finish(self.session, endings.to_vec()).await {
            Ok(settled) => settled,
            Err(error) => {
                self.unwell(&error);
                return false;
            }
        };
        self.metrics.finish_seconds.observe(began.elapsed().as_secs_f64());
        for (ending, recorded) in endings.iter().zip(&settled.recorded) {
            self.after(ending, recorded);
        }
        self.bells.ring(endings.iter().map(|ending| ending.id));
        // a group with a limit on what runs may have room now
        self.ready.release_all();
        self.desk.to_claim.notify_one();
        self.after_dependents(&settled.dependents);
        true
    }

    fn after(&self, ending: &Ending, recorded: &Recorded) {
        match recorded {
            Recorded::Stale => {
                self.metrics.stale.inc();
                tracing::debug!(task = %ending.id, fence = ending.fence, "lease was no longer ours; ending dropped");
            }
            Recorded::Written(state) => {
                self.metrics.settled(*state, &ending.kind);
                self.tell_settled(ending, *state);
                if matches!(state, State::Pending | State::Delayed) {
                    self.went_back(&ending.kind);
                }
            }
        }
    }

    /// It waits again, where only the broker knows: the hint says, or the next look.
    fn went_back(&self, kind: &EndingKind) {
        if matches!(kind, EndingKind::Retry { delay, .. } if !delay.is_zero()) {
            self.to_tend.notify_one();
        }
    }

    /// Tasks that moved because of another.
    pub(super) fn after_dependents(&self, dependents: &[Dependent]) {
        for dependent in dependents {
            self.tell_dependent(dependent);
        }
        if dependents.iter().any(|dependent| dependent.state == State::Delayed) {
            self.to_tend.notify_one();
        }
        self.bells.ring(dependents.iter().map(|dependent| dependent.id));
    }
}
