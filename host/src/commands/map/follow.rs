//! Waits for many tasks: a few requests at one time, each of which a nexus holds until its task has ended. Tasks end
//! about in the order they were submitted, so the oldest are asked for first, and each is asked for about once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use venom_protocol::{MapItem, TaskId, TaskStatus, TaskView};

use crate::client::{NexusClient, Trouble};
use crate::commands::task::bulk::patiently;
use crate::commands::task::look;
use crate::failure::Failure;

/// Requests at one time: plenty for as many results a second as a nexus gives, few connections.
const ASKING: usize = 32;
/// Longest one request waits while other tasks want to be asked for.
const SHORT_WAIT: Duration = Duration::from_secs(1);
/// Longest one request waits when nothing else does.
const LONG_WAIT: Duration = Duration::from_secs(20);
/// How long a nexus that went away is waited for when the time is up.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Tasks on their way to their ends.
pub(super) struct Followed {
    client: Arc<NexusClient>,
    ids: Vec<TaskId>,
    /// By place; none: not ended as far as is known.
    ends: Vec<Option<MapItem>>,
    failed: usize,
    bar: ProgressBar,
}

impl Followed {
    pub(super) fn new(client: Arc<NexusClient>, ids: Vec<TaskId>, bar: ProgressBar) -> Self {
        let ends = ids.iter().map(|_| None).collect();
        Self {
            client,
            ids,
            ends,
            failed: 0,
            bar,
        }
    }

    /// Waits until all have ended, the time is up, or `stop`.
    pub(super) async fn wait(&mut self, until: Instant, stop: &CancellationToken) -> Result<(), Failure> {
        let mut waiting: VecDeque<usize> = self.unended().collect();
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < ASKING {
                let Some(index) = waiting.pop_front() else { break };
                let wait = if waiting.is_empty() { LONG_WAIT } else { SHORT_WAIT };
                self.ask(
                    &mut asking,
                    index,
                    wait.min(until.saturating_duration_since(Instant::now())),
                    until,
                );
            }
            let answered = tokio::select! {
                answered = asking.join_next() => answered,
                () = sleep_until(until) => return Ok(()),
                () = stop.cancelled() => return Ok(()),
            };
            match answered {
                None => return Ok(()),
                // A request that panicked is a fault of this program; its task is asked for by the last look.
                Some(Err(_)) => {}
                Some(Ok((index, answer))) => {
                    if !self.note(index, answer)? {
                        waiting.push_back(index);
                    }
                }
            }
        }
    }

    /// Looks once more at each that has not ended as far as is known, without waiting. With `take_back`, those
    /// that have not begun are cancelled, the last one first.
    pub(super) async fn last_look(&mut self, take_back: bool) -> Result<(), Failure> {
        let until = Instant::now() + LAST_LOOK;
        let mut waiting: Vec<usize> = self.unended().collect();
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < ASKING {
                let Some(index) = waiting.pop() else { break };
                let Some(id) = self.ids.get(index).copied() else {
                    continue;
                };
                let client = Arc::clone(&self.client);
                asking.spawn(async move { (index, look_again(&client, id, take_back, until).await) });
            }
            match asking.join_next().await {
                None => return Ok(()),
                Some(Ok((index, Ok(task)))) => {
                    self.note(index, Ok(task))?;
                }
                // As far as is known it has not ended.
                Some(Ok((_, Err(_))) | Err(_)) => {}
            }
        }
    }

    /// What came of each, in order; those that have not ended are pending, for this reason.
    pub(super) fn items(self, why_pending: &str) -> Vec<MapItem> {
        let places = self.ids.into_iter().zip(self.ends).enumerate();
        let items = places.map(|(item_index, (task_id, end))| {
            end.unwrap_or_else(|| MapItem {
                task_id,
                status: TaskStatus::Pending,
                result: None,
                error: Some(why_pending.to_owned()),
                item_index,
            })
        });
        items.collect()
    }

    fn unended(&self) -> impl Iterator<Item = usize> {
        let places = self.ends.iter().enumerate();
        places.filter(|(_, end)| end.is_none()).map(|(index, _)| index)
    }

    fn ask(
        &self,
        asking: &mut JoinSet<(usize, Result<TaskView, Trouble>)>,
        index: usize,
        wait: Duration,
        until: Instant,
    ) {
        let Some(id) = self.ids.get(index).copied() else { return };
        let client = Arc::clone(&self.client);
        asking.spawn(async move { (index, patiently(until, || look(&client, id, wait)).await) });
    }

    /// Whether that was its end.
    fn note(&mut self, index: usize, answer: Result<TaskView, Trouble>) -> Result<bool, Failure> {
        let end = match answer {
            Ok(task) if task.status.has_ended() => ended(index, task),
            Ok(_) => return Ok(false),
            // It ended, and is no longer kept.
            Err(trouble) if trouble.status == Some(StatusCode::NOT_FOUND) => MapItem {
                task_id: self.ids.get(index).copied().unwrap_or_else(TaskId::random),
                status: TaskStatus::Failed,
                result: None,
                error: Some(trouble.failure.summary()),
                item_index: index,
            },
            Err(trouble) => return Err(trouble.failure),
        };
        if end.status != TaskStatus::Completed {
            self.failed += 1;
            self.bar.set_message(format!(", {} failed", self.failed));
        }
        self.bar.inc(1);
        if let Some(place) = self.ends.get_mut(index) {
            *place = Some(end);
        }
        Ok(true)
    }
}

fn ended(item_index: usize, task: TaskView) -> MapItem {
    let is_completed = task.status == TaskStatus::Completed;
    MapItem {
        task_id: task.task_id,
        status: task.status,
        result: task.result.and_then(|raw| serde_json::from_str(raw.get()).ok()),
        error: task.error.filter(|_| !is_completed),
        item_index,
    }
}

/// A task as it is now; with `take_back`, cancelled unless it has begun.
async fn look_again(client: &NexusClient, id: TaskId, take_back: bool, until: Instant) -> Result<TaskView, Trouble> {
    let task = patiently(until, || look(client, id, Duration::ZERO)).await?;
    let has_begun = !matches!(task.status, TaskStatus::Pending | TaskStatus::Blocked);
    if has_begun || !take_back {
        return Ok(task);
    }
    Ok(client.delete(&crate::commands::task::path_of(id)).await?)
}
