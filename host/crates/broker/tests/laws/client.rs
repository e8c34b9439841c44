//! A client of a broker as a nexus is one: what cannot be reached it asks again with the same ids, and after a claim
//! whose answer was lost it gives back what it does not know of.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use venom_broker::{
    Answer, Broker, BrokerError, Cancelled, Claim, Counts, Ending, EndingKind, Lease, NewTask, Note, Recorded, Renewal,
    Settled, State, StoredTask, Submitted, Tended, Want,
};
use venom_protocol::{ErrorCode, Lane, Priority, Requirements, SessionId, TaskId};

/// How long anything may take that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than any law has.
pub(crate) const ALL: usize = 100_000;

/// A broker, and what its client knows.
pub(crate) struct Hive {
    pub(crate) broker: Arc<dyn Broker>,
    /// Leases the client was told of.
    known: Mutex<HashSet<(TaskId, u64)>>,
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn lane(skill: &str) -> Lane {
    Lane::of(skill, &Requirements::default(), None)
}

pub(crate) fn grouped(skill: &str, group: &str) -> Lane {
    Lane::of(skill, &Requirements::default(), Some(group))
}

pub(crate) const fn level(level: u8) -> Priority {
    Priority::new(level).expect("0 to 10")
}

/// A task in lane `EchoSkill` at priority 5.
pub(crate) fn task() -> NewTask {
    let id = TaskId::next();
    NewTask {
        id,
        lane: lane("EchoSkill"),
        priority: level(5),
        delay: Duration::ZERO,
        idempotency: None,
        depends_on: Vec::new(),
        body: format!("{{\"for\":\"{id}\"}}"),
    }
}

pub(crate) fn after(dependencies: &[TaskId]) -> NewTask {
    NewTask {
        depends_on: dependencies.to_vec(),
        ..task()
    }
}

pub(crate) fn delayed(delay: Duration) -> NewTask {
    NewTask { delay, ..task() }
}

pub(crate) fn want(most: usize) -> Want {
    want_of(lane("EchoSkill"), most)
}

pub(crate) fn want_of(lane: Lane, most: usize) -> Want {
    Want {
        lane,
        priority: level(5),
        most,
    }
}

pub(crate) fn ids(leases: &[Lease]) -> Vec<TaskId> {
    leases.iter().map(|lease| lease.id).collect()
}

pub(crate) fn completed(result: &str) -> EndingKind {
    EndingKind::Completed {
        result: result.to_owned(),
    }
}

pub(crate) fn failed(error: &str) -> EndingKind {
    EndingKind::Failed {
        code: ErrorCode::Trapped,
        error: error.to_owned(),
    }
}

pub(crate) fn retry(delay: Duration) -> EndingKind {
    EndingKind::Retry {
        delay,
        code: ErrorCode::TimedOut,
        error: "took too long".to_owned(),
        lost_node: false,
    }
}

pub(crate) fn ending(lease: &Lease, kind: EndingKind) -> Ending {
    Ending {
        id: lease.id,
        fence: lease.fence,
        node: None,
        started_at: lease.created_at,
        kind,
    }
}

/// Where a task is after an ending of this kind, as far as the kind says.
fn leads_to(kind: &EndingKind) -> State {
    match kind {
        EndingKind::Completed { .. } => State::Completed,
        EndingKind::Failed { .. } => State::Failed,
        EndingKind::Cancelled { .. } => State::Cancelled,
        EndingKind::Retry { delay, .. } if !delay.is_zero() => State::Delayed,
        EndingKind::Retry { .. } | EndingKind::Returned => State::Pending,
    }
}

/// Asks until it is there; says whether it had to ask more than once.
pub(crate) async fn insist<T, F>(mut ask: impl FnMut() -> F) -> (Answer<T>, bool)
where
    F: Future<Output = Answer<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut again = false;
    loop {
        match ask().await {
            Err(BrokerError::Unavailable { broker, why }) => {
                assert!(Instant::now() < deadline, "{broker} cannot be reached: {why}");
            }
            answer => return (answer, again),
        }
        again = true;
        tokio::time::sleep(ms(1)).await;
    }
}

/// Waits until this is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(ms(5)).await;
    }
}

impl Hive {
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Self {
        Self {
            broker,
            known: Mutex::default(),
        }
    }

    pub(crate) async fn is_there(&self) {
        insist(|| self.broker.check()).await.0.expect("it lets us in");
    }

    pub(crate) async fn try_submit(&self, tasks: &[NewTask]) -> Answer<Vec<Submitted>> {
        insist(|| self.broker.submit(tasks.to_vec())).await.0
    }

    /// Submits; gives the ids.
    pub(crate) async fn submit(&self, tasks: &[NewTask]) -> Vec<TaskId> {
        let submitted = self.try_submit(tasks).await.expect("taken");
        submitted.into_iter().map(|submitted| submitted.id).collect()
    }

    /// Submits so many plain tasks.
    pub(crate) async fn submit_some(&self, count: usize) -> Vec<TaskId> {
        let tasks: Vec<NewTask> = (0..count).map(|_| task()).collect();
        self.submit(&tasks).await
    }

    /// A session that lives.
    pub(crate) async fn session(&self) -> SessionId {
        let session = SessionId::random();
        self.renew(session).await;
        session
    }

    pub(crate) async fn renew(&self, session: SessionId) -> Renewal {
        self.renew_with(session, Note::default()).await
    }

    pub(crate) async fn renew_with(&self, session: SessionId, note: Note) -> Renewal {
        insist(|| self.broker.renew(session, note.clone()))
            .await
            .0
            .expect("renewed")
    }

    /// Claims; what an answer that was lost gave is given back first.
    pub(crate) async fn claim_wants(&self, session: SessionId, wants: &[Want], total: usize) -> Claim {
        loop {
            match self.broker.claim(session, wants.to_vec(), total).await {
                Ok(claim) => {
                    let mut known = self.known.lock().unwrap();
                    known.extend(claim.leases.iter().map(|lease| (lease.id, lease.fence)));
                    return claim;
                }
                Err(BrokerError::Unavailable { .. }) => self.give_back_unknown(session).await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn give_back_unknown(&self, session: SessionId) {
        let running = self.list(State::Running).await;
        let unknown = running.into_iter().filter(|task| {
            task.session == Some(session) && !self.known.lock().unwrap().contains(&(task.id, task.fence))
        });
        let endings: Vec<Ending> = unknown
            .map(|task| Ending {
                id: task.id,
                fence: task.fence,
                node: None,
                started_at: 0,
                kind: EndingKind::Returned,
            })
            .collect();
        self.finish(session, &endings).await;
    }

    /// Claims plain tasks.
    pub(crate) async fn claim(&self, session: SessionId, most: usize) -> Vec<Lease> {
        self.claim_wants(session, &[want(most)], most).await.leases
    }

    /// Claims the only task there is to claim.
    pub(crate) async fn claim_one(&self, session: SessionId) -> Lease {
        let leases = self.claim(session, 1).await;
        leases.into_iter().next().expect("one is waiting")
    }

    /// Ends leases. Endings that were told before an answer was lost count as told now.
    pub(crate) async fn finish(&self, session: SessionId, endings: &[Ending]) -> Settled {
        let (settled, again) = insist(|| self.broker.finish(session, endings.to_vec())).await;
        let mut settled = settled.expect("finished");
        if again {
            let tasks = self
                .tasks(&endings.iter().map(|ending| ending.id).collect::<Vec<_>>())
                .await;
            for ((ending, task), recorded) in endings.iter().zip(tasks).zip(&mut settled.recorded) {
                let task = task.filter(|task| task.fence == ending.fence && task.state == leads_to(&ending.kind));
                if let (Recorded::Stale, Some(task)) = (*recorded, task) {
                    *recorded = Recorded::Written(task.state);
                }
            }
        }
        settled
    }

    /// Ends one lease.
    pub(crate) async fn end(&self, session: SessionId, lease: &Lease, kind: EndingKind) -> Recorded {
        let settled = self.finish(session, &[ending(lease, kind)]).await;
        settled.recorded[0]
    }

    /// Claims one and completes it.
    pub(crate) async fn complete_one(&self, session: SessionId) -> TaskId {
        let lease = self.claim_one(session).await;
        let recorded = self.end(session, &lease, completed("1")).await;
        assert_eq!(recorded, Recorded::Written(State::Completed));
        lease.id
    }

    pub(crate) async fn tend(&self) -> Tended {
        insist(|| self.broker.tend()).await.0.expect("tended")
    }

    pub(crate) async fn cancel(&self, id: TaskId) -> Cancelled {
        insist(|| self.broker.cancel(id)).await.0.expect("answered")
    }

    /// Puts back a task. After a lost answer, one that had ended and waits now was put back.
    pub(crate) async fn requeue(&self, id: TaskId) -> bool {
        let had_ended = self.has_ended(id).await;
        let (done, again) = insist(|| self.broker.requeue(id)).await;
        done.expect("answered") || (again && had_ended && !self.has_ended(id).await)
    }

    async fn has_ended(&self, id: TaskId) -> bool {
        self.tasks(&[id])
            .await
            .remove(0)
            .is_some_and(|task| task.state.has_ended())
    }

    pub(crate) async fn tasks(&self, ids: &[TaskId]) -> Vec<Option<StoredTask>> {
        insist(|| self.broker.tasks(ids.to_vec())).await.0.expect("read")
    }

    pub(crate) async fn task(&self, id: TaskId) -> StoredTask {
        self.tasks(&[id]).await.remove(0).expect("it is there")
    }

    pub(crate) async fn state(&self, id: TaskId) -> State {
        self.task(id).await.state
    }

    pub(crate) async fn list(&self, state: State) -> Vec<StoredTask> {
        insist(|| self.broker.list(state, ALL)).await.0.expect("listed")
    }

    pub(crate) async fn counts(&self) -> Counts {
        insist(|| self.broker.counts()).await.0.expect("counted")
    }

    /// Tends until this task is in this state.
    pub(crate) async fn until(&self, id: TaskId, state: State) {
        eventually(&format!("{id} is {state:?}"), async || {
            self.tend().await;
            self.state(id).await == state
        })
        .await;
    }
}
