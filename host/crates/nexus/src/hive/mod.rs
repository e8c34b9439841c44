//! The hive engine: the async shell between the broker, which keeps the books, and the foreman, which decides. It
//! claims what the foreman plans, hands leases to the driver, writes endings down, and wakes whoever waits. It
//! decides nothing about placement and keeps nothing that a crash must not lose.

mod bells;
mod claim;
mod desk;
mod directory;
mod events;
mod everywhere;
mod graph;
mod hints;
mod intake;
mod keep;
mod map;
mod metrics;
mod params;
mod progress;
mod questions;
mod ready;
mod routes;
mod settings;
mod settle;
mod strays;
mod view;
mod wait;

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use venom_broker::{Broker, BrokerError, Cancelled, Counts, NewTask, State, StoredTask, Submitted};
use venom_protocol::{GroupLimits, SessionId, TaskId, TaskRequest};

use crate::driver::Driver;
use crate::events::Events;
pub(crate) use bells::{Bell, Bells};
pub(crate) use desk::Desk;
use directory::Directory;
pub(crate) use intake::Submitter;
pub(crate) use metrics::TaskMetrics;
use ready::ReadySet;
pub(crate) use routes::Routed;
pub use settings::HiveSettings;
pub(crate) use view::view;

/// What is wrong with a broker that was not asked anything yet.
const NOT_ASKED: &str = "the broker has not answered yet";

/// See the module.
pub(crate) struct Hive {
    pub(crate) settings: HiveSettings,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) session: SessionId,
    pub(crate) bells: Arc<Bells>,
    pub(crate) directory: Directory,
    driver: Arc<Driver>,
    events: Arc<Events>,
    metrics: TaskMetrics,
    desk: Arc<Desk>,
    ready: ReadySet,
    routes: routes::Waiting,
    counts: Mutex<Counts>,
    health: Mutex<Option<String>>,
    to_tend: tokio::sync::Notify,
    strays: Mutex<strays::Strays>,
    /// Held while progress is written down.
    telling: tokio::sync::Mutex<()>,
    /// The last ending is written down: the session may be given up.
    written: CancellationToken,
    /// Messages on their way to other nexuses.
    relays: TaskTracker,
    /// Questions of skills that are being answered.
    asked: TaskTracker,
    /// Set: hints about releases are somebody else's.
    leaves_updates: std::sync::OnceLock<()>,
    /// Claims no more; what is leased runs on.
    stopping: CancellationToken,
}

/// Why a submission was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    /// The request is wrong.
    #[error("{0}")]
    Wrong(String),
    /// The broker did not take it.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl Hive {
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        settings: HiveSettings,
        driver: Arc<Driver>,
        events: Arc<Events>,
        metrics: TaskMetrics,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            settings,
            broker,
            session: SessionId::random(),
            bells: Arc::default(),
            directory: Directory::default(),
            desk: driver.desk(),
            driver,
            events,
            metrics,
            ready: ReadySet::default(),
            routes: routes::Waiting::default(),
            counts: Mutex::default(),
            health: Mutex::new(Some(NOT_ASKED.to_owned())),
            to_tend: tokio::sync::Notify::new(),
            strays: Mutex::default(),
            telling: tokio::sync::Mutex::new(()),
            written: CancellationToken::new(),
            relays: TaskTracker::new(),
            asked: TaskTracker::new(),
            leaves_updates: std::sync::OnceLock::new(),
            stopping,
        }
    }

    /// Starts everything that goes on by itself, until `ending`.
    pub(crate) fn start(self: &Arc<Self>, tasks: &TaskTracker, ending: &CancellationToken) {
        // subscribed before anything is asked, so that nothing falls between
        let hints = self.broker.hints();
        tasks.spawn(
            ending
                .clone()
                .run_until_cancelled_owned(Arc::clone(self).hear(hints, tasks.clone())),
        );
        tasks.spawn(ending.clone().run_until_cancelled_owned(Arc::clone(self).claim()));
        tasks.spawn(ending.clone().run_until_cancelled_owned(Arc::clone(self).tell()));
        tasks.spawn(ending.clone().run_until_cancelled_owned(Arc::clone(self).tend()));
        tasks.spawn(Arc::clone(self).keep(ending.clone()));
        tasks.spawn(Arc::clone(self).write_down(ending.clone()));
    }

    /// Takes tasks in: all or none. Ids in the order of the requests.
    pub(crate) async fn submit(
        &self,
        requests: Vec<TaskRequest>,
        from: &Submitter,
    ) -> Result<Vec<Submitted>, NotTaken> {
        let intake = intake::read(requests, from, &self.settings).map_err(NotTaken::Wrong)?;
        let submitted = self.submit_tasks(intake.tasks).await?;
        Ok(intake
            .places
            .iter()
            .filter_map(|place| submitted.get(*place).copied())
            .collect())
    }

    async fn submit_tasks(&self, tasks: Vec<NewTask>) -> Result<Vec<Submitted>, BrokerError> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let mut lanes: Vec<_> = tasks
            .iter()
            .filter(|task| task.delay.is_zero() && task.depends_on.is_empty())
            .map(|task| (task.lane.clone(), task.priority))
            .collect();
        lanes.dedup();
        let some_wait = tasks.iter().any(|task| !task.delay.is_zero());
        let submitted = self
            .broker
            .submit(tasks)
            .await
            .inspect_err(|error| self.unwell(error))?;
        let new = submitted.iter().filter(|task| !task.existing).count();
        self.metrics.submitted.inc_by(new as u64);
        for (lane, priority) in lanes {
            self.ready.add(lane, priority);
        }
        self.desk.to_claim.notify_one();
        if some_wait {
            self.to_tend.notify_one();
        }
        self.tell_submitted(&submitted);
        Ok(submitted)
    }

    /// Takes a task back; one that runs is stopped on its node.
    pub(crate) async fn cancel(&self, task: TaskId) -> Result<Cancelled, BrokerError> {
        let cancelled = self.broker.cancel(task).await.inspect_err(|error| self.unwell(error))?;
        match &cancelled {
            Cancelled::Asked => self.driver.cancel_task(task),
            Cancelled::Now(dependents) => {
                self.tell_cancelled(task);
                self.after_dependents(dependents);
                self.bells.ring([task]);
            }
            Cancelled::Ended(_) | Cancelled::Unknown => {}
        }
        Ok(cancelled)
    }

    /// Puts a failed or cancelled task back. False: there is none.
    pub(crate) async fn requeue(&self, task: TaskId) -> Result<bool, BrokerError> {
        let requeued = self
            .broker
            .requeue(task)
            .await
            .inspect_err(|error| self.unwell(error))?;
        if requeued {
            self.tell_requeued(task);
            self.look_for_work().await?;
        }
        Ok(requeued)
    }

    /// Tasks in this state.
    pub(crate) async fn list(&self, state: State, limit: usize) -> Result<Vec<StoredTask>, BrokerError> {
        let mut tasks = self
            .broker
            .list(state, limit)
            .await
            .inspect_err(|error| self.unwell(error))?;
        tasks.iter_mut().for_each(|task| self.driver.assigned(task));
        Ok(tasks)
    }

    /// Sets or removes the limits of a group.
    pub(crate) async fn limit_group(&self, name: &str, limits: Option<GroupLimits>) -> Result<(), BrokerError> {
        self.broker
            .limit_group(name, limits)
            .await
            .inspect_err(|error| self.unwell(error))?;
        self.ready.release(name);
        self.desk.to_claim.notify_one();
        Ok(())
    }

    /// Asks the broker where work waits.
    async fn look_for_work(&self) -> Result<(), BrokerError> {
        for ready in self.broker.ready(keep::LANES_LOOKED_AT).await? {
            self.ready.add(ready.lane, ready.priority);
        }
        self.desk.to_claim.notify_one();
        Ok(())
    }

    /// Tasks in numbers, as of the last look (about a second ago).
    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with the broker, if anything.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The broker did not do what it was asked. Said once for each new reason.
    fn unwell(&self, error: &BrokerError) {
        self.metrics.broker_errors.inc();
        let is_about_itself = matches!(
            error,
            BrokerError::Unavailable { .. } | BrokerError::Refused { .. } | BrokerError::OutOfSpace { .. }
        );
        if !is_about_itself {
            return;
        }
        let text = error.to_string();
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.as_ref() != Some(&text) {
            tracing::error!("{text}; tasks wait until it is back");
            self.tell_trouble(&text);
            *health = Some(text);
        }
    }

    fn well(&self) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match health.take() {
            Some(trouble) if trouble != NOT_ASKED => {
                tracing::info!(trouble, "{} answers again", self.broker.place());
                self.tell_recovered();
            }
            Some(_) | None => {}
        }
    }
}
