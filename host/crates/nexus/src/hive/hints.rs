//! What the broker says unasked.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::task::TaskTracker;
use venom_broker::Hint;

use super::Hive;

impl Hive {
    /// Follows hints for ever.
    pub(super) async fn hear(self: Arc<Self>, mut hints: Receiver<Hint>, tasks: TaskTracker) {
        loop {
            match hints.recv().await {
                Ok(hint) => self.on_hint(hint, &tasks).await,
                Err(RecvError::Lagged(_)) => self.resync().await,
                // the broker is gone, which only happens at the end
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn on_hint(self: &Arc<Self>, hint: Hint, tasks: &TaskTracker) {
        match hint {
            Hint::Ready(lanes) => {
                for (lane, priority) in lanes {
                    self.ready.add(lane, priority);
                }
                self.desk.to_claim.notify_one();
            }
            Hint::Ended(ended) => self.bells.ring(ended),
            Hint::Cancel(task) => self.driver.cancel_task(task),
            Hint::Progress(task) => self.bells.ring([task]),
            Hint::Message { from, text } => self.on_message(from, &text, tasks),
            Hint::Broadcast(text) => self.on_broadcast(&text),
            Hint::Resync => self.resync().await,
        }
    }

    /// Hints were missed: look at everything.
    async fn resync(&self) {
        self.bells.ring_all();
        if let Err(error) = self.look_for_work().await {
            self.unwell(&error);
        }
    }
}
