//! What running tasks say, written to their logs in batches.

use std::sync::Arc;
use std::time::Duration;

use super::Hive;

/// Reports gather this long, so that a chatty skill costs few writes and watchers still see it move.
const GATHER: Duration = Duration::from_millis(20);

impl Hive {
    /// Writes progress down for ever. What cannot be written is dropped: it is for watchers.
    pub(super) async fn tell(self: Arc<Self>) {
        loop {
            self.desk.to_tell.notified().await;
            tokio::time::sleep(GATHER).await;
            self.tell_all().await;
        }
    }

    /// Writes down all that was said until now. When it returns, what a task said before it ended is in its log.
    pub(super) async fn tell_all(&self) {
        // whoever writes at the moment may have taken what the caller waits for
        let _turn = self.telling.lock().await;
        loop {
            let said = self.desk.said();
            if said.is_empty() {
                return;
            }
            let mut entries = Vec::with_capacity(said.len());
            for (task, update) in said {
                match serde_json::to_string(&update) {
                    Ok(text) => entries.push((task, text)),
                    Err(error) => tracing::error!(%task, %error, "progress cannot be written as JSON"),
                }
            }
            let tasks: Vec<_> = entries.iter().map(|(task, _)| *task).collect();
            match self.broker.append_progress(self.session, entries).await {
                Ok(_) => self.bells.ring(tasks),
                Err(error) => self.unwell(&error),
            }
        }
    }
}
