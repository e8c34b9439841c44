//! The `progress` interface: what the guest is told of its task and what it tells of its progress. A partial
//! result waits for room on its way to the watcher (the deadline bounds that); a report does not and may be lost.

use tokio::time::Instant;
use venom_protocol::ProgressUpdate;
use wasmtime::Result;

use crate::bindings::GuestError;
use crate::bindings::venom::skill::progress::{Host, Task};
use crate::state::CallState;
use crate::stop::Stop;

/// Longest note of a report.
const MAX_NOTE: usize = 1_000;

impl Host for CallState {
    fn current(&mut self) -> Result<Task> {
        let remaining = self.task.deadline.saturating_duration_since(Instant::now());
        Ok(Task {
            id: self.journal.task_id.clone(),
            trace_id: self.journal.trace_id().to_owned(),
            attempt: self.task.attempt,
            remaining_ms: u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX),
        })
    }

    async fn emit(&mut self, partial: String) -> std::result::Result<(), GuestError> {
        let limit = self.rights.budgets().output_bytes;
        let left = self.left.output_bytes.checked_sub(partial.len() as u64);
        self.left.output_bytes = left.ok_or_else(|| Stop::budget("output_bytes", limit))?;
        let value = serde_json::from_str(&partial)
            .map_err(|error| GuestError::InvalidParams(format!("a partial result must be JSON: {error}")))?;
        if let Some(watcher) = &self.task.progress {
            // A watcher that has gone away is no concern of the skill.
            drop(watcher.send(ProgressUpdate::Partial { value }).await);
        }
        Ok(())
    }

    fn report(&mut self, done: u32, total: u32, note: String) -> Result<()> {
        if let Some(watcher) = &self.task.progress {
            let note = note.chars().take(MAX_NOTE).collect();
            // The next report says more than this one did.
            drop(watcher.try_send(ProgressUpdate::Report { done, total, note }));
        }
        Ok(())
    }

    fn cancelled(&mut self) -> Result<bool> {
        Ok(self.task.cancel.is_cancelled())
    }
}
