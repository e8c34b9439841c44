//! The calls of a spore: which run, which wait, which nobody wants any more. Bounded in number and in
//! bytes; knows no socket. It outlives the links: a call of a lost link is cancelled, and its slot is free
//! again only when it has really ended.

mod run;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use venom_protocol::{CallError, ErrorCode, ExecuteSkill, NodeId, Progress, RequestId};

use crate::Executor;
use crate::slots::Slots;
use run::{Job, deadline_of};

pub(crate) use run::Finished;

/// Progress of all calls that is not yet written to the link. Reports on top of it are dropped and counted, partial
/// results wait.
const PROGRESS_CAPACITY: usize = 256;

/// Parameters of all calls in hand together, running or waiting: four frames of the largest size. Without
/// it a full queue of large calls would fill the memory.
const MAX_PARAMETER_BYTES: usize = 4 * venom_protocol::MAX_FRAME_BYTES;

/// What a spore takes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Calls running at one time.
    pub(crate) concurrency: u32,
    /// Calls waiting for a slot.
    pub(crate) queue: u32,
}

/// A call that was not taken on.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The same call is in hand. It must not be answered: the answer would be taken for that of the first.
    Duplicate,
    /// Answer with this.
    Refused(CallError),
}

/// What a call said.
#[derive(Debug)]
pub(crate) enum Said {
    /// It goes on.
    Progress(Progress),
    /// It ended.
    Finished(Finished),
}

/// One call in hand.
struct Entry {
    cancel: CancellationToken,
    bytes: usize,
    /// The link it came over is gone: its answer is dropped.
    abandoned: bool,
}

/// All calls in hand.
pub(crate) struct Calls<E> {
    node_id: NodeId,
    executor: Arc<E>,
    limits: Limits,
    slots: Arc<Slots>,
    entries: HashMap<RequestId, Entry>,
    abandoned: usize,
    bytes: usize,
    tasks: JoinSet<Finished>,
    requests: HashMap<task::Id, RequestId>,
    progress_in: mpsc::Sender<Progress>,
    progress_out: mpsc::Receiver<Progress>,
}

impl<E: Executor> Calls<E> {
    /// `slots` has none yet; it gets as many as `limits` say.
    pub(crate) fn new(node_id: NodeId, executor: Arc<E>, limits: Limits, slots: Arc<Slots>) -> Self {
        slots.add(limits.concurrency);
        let (progress_in, progress_out) = mpsc::channel(PROGRESS_CAPACITY);
        Self {
            node_id,
            executor,
            limits,
            slots,
            entries: HashMap::new(),
            abandoned: 0,
            bytes: 0,
            tasks: JoinSet::new(),
            requests: HashMap::new(),
            progress_in,
            progress_out,
        }
    }

    /// Takes a call on, or says why not. `watched`: the peer takes progress messages.
    pub(crate) fn start(&mut self, execute: ExecuteSkill, watched: Watched) -> Result<(), NotStarted> {
        let request_id = execute.request_id;
        if self.entries.contains_key(&request_id) {
            return Err(NotStarted::Duplicate);
        }
        let timeout = self.admit(&execute).map_err(NotStarted::Refused)?;
        let bytes = execute.parameters.get().len();
        let cancel = CancellationToken::new();
        let job = Job {
            node_id: self.node_id,
            slots: Arc::clone(&self.slots),
            deadline: deadline_of(timeout),
            timeout,
            cancel: cancel.clone(),
            progress: matches!(watched, Watched::Yes).then(|| self.progress_in.clone()),
        };
        let executor = Arc::clone(&self.executor);
        let handle = self.tasks.spawn(async move { job.run(&*executor, execute).await });
        self.requests.insert(handle.id(), request_id);
        self.bytes += bytes;
        let entry = Entry {
            cancel,
            bytes,
            abandoned: false,
        };
        self.entries.insert(request_id, entry);
        Ok(())
    }

    fn admit(&self, execute: &ExecuteSkill) -> Result<std::time::Duration, CallError> {
        let timeout = run::timeout(execute.timeout)?;
        let most = self.limits.concurrency as usize + self.limits.queue as usize;
        if self.occupying() >= most {
            let text = format!(
                "node has {} calls running and {} waiting, which is all it takes; try again later or elsewhere",
                self.limits.concurrency, self.limits.queue
            );
            return Err(CallError::new(ErrorCode::Busy, text));
        }
        if self.bytes.saturating_add(execute.parameters.get().len()) > MAX_PARAMETER_BYTES {
            let text = format!(
                "node holds {MAX_PARAMETER_BYTES} bytes of parameters, which is all it takes; try again later or elsewhere"
            );
            return Err(CallError::new(ErrorCode::Busy, text));
        }
        Ok(timeout)
    }

    /// Cancels one call; false when it is not in hand (it may just have ended).
    pub(crate) fn cancel(&self, request_id: RequestId) -> bool {
        let entry = self.entries.get(&request_id);
        entry.inspect(|entry| entry.cancel.cancel()).is_some()
    }

    /// Cancels every call; they are still answered.
    pub(crate) fn cancel_all(&self) {
        self.entries.values().for_each(|entry| entry.cancel.cancel());
    }

    /// The link is gone, and with it everybody who waited.
    pub(crate) fn abandon_all(&mut self) {
        for entry in self.entries.values_mut() {
            entry.cancel.cancel();
            entry.abandoned = true;
        }
        self.abandoned = self.entries.len();
        while self.progress_out.try_recv().is_ok() {}
    }

    /// What the wanted calls say next; waits for ever when there are none. What a call said comes before
    /// its end. Loses nothing when dropped.
    pub(crate) async fn next(&mut self) -> Said {
        loop {
            tokio::select! {
                biased;
                Some(progress) = self.progress_out.recv() => {
                    if self.is_wanted(progress.request_id) {
                        return Said::Progress(progress);
                    }
                }
                Some(joined) = self.tasks.join_next_with_id() => {
                    if let Some(finished) = self.settle(joined) {
                        return Said::Finished(finished);
                    }
                }
                // `self` holds a sender, so the channel does not end, and this is not reached
                else => std::future::pending().await,
            }
        }
    }

    /// As [`Self::next`], for what has been said already.
    pub(crate) fn try_next(&mut self) -> Option<Said> {
        while let Ok(progress) = self.progress_out.try_recv() {
            if self.is_wanted(progress.request_id) {
                return Some(Said::Progress(progress));
            }
        }
        while let Some(joined) = self.tasks.try_join_next_with_id() {
            if let Some(finished) = self.settle(joined) {
                return Some(Said::Finished(finished));
            }
        }
        None
    }

    /// Calls in hand that are wanted, running or waiting.
    pub(crate) fn wanted(&self) -> usize {
        self.entries.len() - self.abandoned
    }

    /// Calls in hand, as a heartbeat tells them: those nobody wants still take their slot.
    pub(crate) fn active(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Calls that would run at once beside those: a call that waits for tasks leaves its slot to another.
    pub(crate) fn credits(&self) -> u32 {
        let occupying = u32::try_from(self.occupying()).unwrap_or(u32::MAX);
        self.limits.concurrency.saturating_sub(occupying)
    }

    /// Calls in hand that have a slot or wait for one.
    fn occupying(&self) -> usize {
        self.entries.len().saturating_sub(self.slots.lent())
    }

    /// Waits until no call is in hand, wanted or not.
    pub(crate) async fn emptied(&mut self) {
        while let Some(joined) = self.tasks.join_next_with_id().await {
            self.settle(joined);
        }
    }

    fn is_wanted(&self, request_id: RequestId) -> bool {
        self.entries.get(&request_id).is_some_and(|entry| !entry.abandoned)
    }

    /// Takes a call off the books. `None` when nobody wants the answer.
    fn settle(&mut self, joined: Result<(task::Id, Finished), JoinError>) -> Option<Finished> {
        let task_id = joined.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let request_id = self.requests.remove(&task_id)?;
        let entry = self.entries.remove(&request_id)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        if entry.abandoned {
            self.abandoned = self.abandoned.saturating_sub(1);
            return None;
        }
        Some(joined.map_or_else(|error| self.panicked(request_id, &error), |(_, finished)| finished))
    }

    /// The answer for a call whose task did not live to give one.
    fn panicked(&self, request_id: RequestId, error: &JoinError) -> Finished {
        tracing::error!(%request_id, %error, "a call ended without an answer");
        let text = "the host failed while it ran the call; its log says more";
        let error = CallError::new(ErrorCode::SkillFailed, text);
        Finished::failed(request_id, self.node_id, error)
    }
}

/// Whether the peer takes progress messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    Yes,
    No,
}
