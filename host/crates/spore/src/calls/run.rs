//! One call from its slot to its answer. The answer is written as JSON here, beside the link and not in it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use venom_protocol::{
    CallError, ErrorCode, ExecuteSkill, MAX_FRAME_BYTES, NodeId, Progress, ProgressUpdate, RequestId, Response,
    Timestamp, encode,
};
use venom_runtime::{Call, Outcome};

use crate::Executor;
use crate::slots::Slots;

/// Updates of one call on their way to the link.
const CALL_PROGRESS_CAPACITY: usize = 32;

/// Longest an answer waits for the partial results before it.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Longest a call may be asked to take. Longer is read as this; the skill's own budget is far below.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);

/// A call that ended, as the frame that says so.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None`: it could not be written as JSON, which only a bug can cause; the log has it.
    pub(crate) frame: Option<String>,
}

impl Finished {
    /// The answer of a call that failed before or beside its skill.
    pub(crate) fn failed(request_id: RequestId, node_id: NodeId, error: CallError) -> Self {
        Self::new(&response(request_id, node_id, Err(error), Duration::ZERO))
    }

    fn new(response: &Response) -> Self {
        let frame = encode(response, Timestamp::now())
            .inspect_err(|error| tracing::error!(request_id = %response.request_id, %error, "answer cannot be written"))
            .ok();
        Self { frame }
    }
}

/// The wait a call asks for.
pub(super) fn timeout(seconds: f64) -> Result<Duration, CallError> {
    let wrong = || {
        let text = format!("timeout of {seconds} s cannot be kept; give a number of seconds over 0");
        CallError::new(ErrorCode::InvalidParams, text)
    };
    if !seconds.is_finite() || seconds <= 0.0 {
        return Err(wrong());
    }
    Ok(Duration::try_from_secs_f64(seconds)
        .unwrap_or(MAX_TIMEOUT)
        .min(MAX_TIMEOUT))
}

/// When a call that came now must be answered.
pub(super) fn deadline_of(timeout: Duration) -> Instant {
    Instant::now() + timeout
}

/// What a call takes with it into its task.
pub(super) struct Job {
    pub(super) node_id: NodeId,
    pub(super) slots: Arc<Slots>,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    pub(super) cancel: CancellationToken,
    pub(super) progress: Option<mpsc::Sender<Progress>>,
}

impl Job {
    pub(super) async fn run(self, executor: &impl Executor, execute: ExecuteSkill) -> Finished {
        let (request_id, node_id) = (execute.request_id, self.node_id);
        let slots = Arc::clone(&self.slots);
        let slot = tokio::select! {
            slot = timeout_at(self.deadline, slots.take()) => slot,
            () = self.cancel.cancelled() => return Finished::failed(request_id, node_id, cancelled(&execute)),
        };
        let Ok(_slot) = slot else {
            return Finished::failed(request_id, node_id, self.never_ran(&execute));
        };
        let what = format!("{}.{}", execute.skill_name, execute.method_name);
        let outcome = self.execute(executor, execute).await;
        finish(&what, request_id, node_id, outcome)
    }

    async fn execute(self, executor: &impl Executor, execute: ExecuteSkill) -> Outcome {
        let request_id = execute.request_id;
        let (sender, updates) = match self.progress {
            Some(link) => {
                let (sender, updates) = mpsc::channel(CALL_PROGRESS_CAPACITY);
                (Some(sender), Some((updates, link)))
            }
            None => (None, None),
        };
        let task = execute.task;
        let call = Call {
            request_id,
            task_id: task.map_or_else(|| request_id.to_string(), |task| task.task_id.to_string()),
            traceparent: execute.traceparent,
            attempt: task.map_or(1, |task| task.attempt),
            method: execute.method_name,
            params: execute.parameters,
            timeout: self.deadline.saturating_duration_since(Instant::now()),
            cancel: self.cancel,
            progress: sender,
            depth: task.map_or(0, |task| task.depth),
        };
        let running = executor.execute(execute.skill_name, call);
        match updates {
            None => running.await,
            Some((updates, link)) => watched(running, request_id, updates, &link).await,
        }
    }

    fn never_ran(&self, execute: &ExecuteSkill) -> CallError {
        let text = format!(
            "{}.{} found no free slot within its timeout of {:?}",
            execute.skill_name, execute.method_name, self.timeout
        );
        CallError::new(ErrorCode::TimedOut, text)
    }
}

/// Runs the call and passes what it says on to the link. Partial results are part of the answer: when the link
/// is slow they wait, and in the end the skill waits with them. Reports are for watchers: they are dropped
/// and counted.
async fn watched(
    running: impl Future<Output = Outcome>,
    request_id: RequestId,
    mut updates: mpsc::Receiver<ProgressUpdate>,
    link: &mpsc::Sender<Progress>,
) -> Outcome {
    let mut passing = Passing {
        request_id,
        link,
        waiting: None,
        dropped: 0,
    };
    tokio::pin!(running);
    let outcome = loop {
        tokio::select! {
            biased;
            Ok(room) = link.reserve(), if passing.waiting.is_some() => passing.send_waiting(room),
            Some(update) = updates.recv(), if passing.waiting.is_none() => passing.take(update),
            outcome = &mut running => break outcome,
        }
    };
    let rest = async {
        loop {
            if passing.waiting.is_some() {
                let Ok(room) = link.reserve().await else { break };
                passing.send_waiting(room);
            }
            let Ok(update) = updates.try_recv() else { break };
            passing.take(update);
        }
    };
    if timeout_at(Instant::now() + LAST_WORDS, rest).await.is_err() {
        tracing::warn!(%request_id, "partial results dropped: the link took none for {LAST_WORDS:?}");
    }
    if passing.dropped > 0 {
        let dropped = passing.dropped;
        tracing::warn!(%request_id, dropped, "progress reports dropped: the link is slower than the skill");
    }
    outcome
}

/// Updates of one call on their way.
struct Passing<'a> {
    request_id: RequestId,
    link: &'a mpsc::Sender<Progress>,
    /// A partial result there was no room for.
    waiting: Option<Progress>,
    dropped: u64,
}

impl Passing<'_> {
    fn take(&mut self, update: ProgressUpdate) {
        let is_partial = matches!(update, ProgressUpdate::Partial { .. });
        let request_id = self.request_id;
        match self.link.try_send(Progress { request_id, update }) {
            Err(TrySendError::Full(progress)) if is_partial => self.waiting = Some(progress),
            Err(_) => self.dropped += 1,
            Ok(()) => {}
        }
    }

    fn send_waiting(&mut self, room: mpsc::Permit<'_, Progress>) {
        if let Some(progress) = self.waiting.take() {
            room.send(progress);
        }
    }
}

fn cancelled(execute: &ExecuteSkill) -> CallError {
    let text = format!(
        "{}.{} was cancelled before it ran",
        execute.skill_name, execute.method_name
    );
    CallError::new(ErrorCode::Cancelled, text)
}

/// The answer; an error instead when it is too large for a frame.
fn finish(what: &str, request_id: RequestId, node_id: NodeId, outcome: Outcome) -> Finished {
    let elapsed = outcome.elapsed;
    let finished = Finished::new(&response(request_id, node_id, outcome.result, elapsed));
    match &finished.frame {
        Some(frame) if frame.len() > MAX_FRAME_BYTES => {
            let text = format!(
                "{what} answered {} bytes, but a frame takes {MAX_FRAME_BYTES}; let it answer less or write a file",
                frame.len()
            );
            let error = CallError::new(ErrorCode::LimitExceeded, text);
            Finished::new(&response(request_id, node_id, Err(error), elapsed))
        }
        _ => finished,
    }
}

fn response(
    request_id: RequestId,
    node_id: NodeId,
    result: Result<Box<RawValue>, CallError>,
    elapsed: Duration,
) -> Response {
    let (result, error) = match result {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error)),
    };
    Response {
        request_id,
        node_id,
        success: error.is_none(),
        result,
        error_code: error.as_ref().map(|error| error.code),
        error: error.map(|error| error.message),
        execution_time: elapsed.as_secs_f64(),
    }
}
