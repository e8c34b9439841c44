//! A broker behind a network that loses things: a request before it is done, or the answer after it was done. The
//! caller sees the same in both cases.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use venom_broker::{
    Answer, Broker, BrokerError, Cancelled, Claim, Counts, Ending, GroupState, Hint, NewTask, Note, Progress, Ready,
    Record, Renewal, Settings, Settled, State, StoredTask, Submitted, Tended, Want,
};
use venom_protocol::{GroupLimits, NodeId, SessionId, TaskId};

use crate::chance::Chance;

/// Of so many requests one is lost, and one answer.
const ONE_IN: usize = 6;

/// See the module.
pub(crate) struct Faulty {
    inner: Arc<dyn Broker>,
    chance: Mutex<Chance>,
}

enum Fate {
    RequestLost,
    AnswerLost,
    Fine,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Broker>, chance: Chance) -> Self {
        let chance = Mutex::new(chance);
        Self { inner, chance }
    }

    fn fate(&self) -> Fate {
        match self.chance.lock().unwrap().below(ONE_IN) {
            0 => Fate::RequestLost,
            1 => Fate::AnswerLost,
            _ => Fate::Fine,
        }
    }

    fn lost<T>(&self, what: &str) -> Answer<T> {
        Err(BrokerError::Unavailable {
            broker: self.inner.place(),
            why: format!("the {what} was lost"),
        })
    }
}

macro_rules! through {
    ($self:ident, $call:expr) => {
        match $self.fate() {
            Fate::RequestLost => $self.lost("request"),
            Fate::AnswerLost => {
                // An error is told all the same: it says that nothing was changed.
                $call.await?;
                $self.lost("answer")
            }
            Fate::Fine => $call.await,
        }
    };
}

#[async_trait]
impl Broker for Faulty {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn place(&self) -> String {
        self.inner.place()
    }

    fn settings(&self) -> &Settings {
        self.inner.settings()
    }

    async fn check(&self) -> Answer<()> {
        through!(self, self.inner.check())
    }

    fn hints(&self) -> broadcast::Receiver<Hint> {
        self.inner.hints()
    }

    async fn submit(&self, tasks: Vec<NewTask>) -> Answer<Vec<Submitted>> {
        through!(self, self.inner.submit(tasks))
    }

    async fn claim(&self, session: SessionId, wants: Vec<Want>, total: usize) -> Answer<Claim> {
        through!(self, self.inner.claim(session, wants, total))
    }

    async fn finish(&self, session: SessionId, endings: Vec<Ending>) -> Answer<Settled> {
        through!(self, self.inner.finish(session, endings))
    }

    async fn renew(&self, session: SessionId, note: Note) -> Answer<Renewal> {
        through!(self, self.inner.renew(session, note))
    }

    async fn leave(&self, session: SessionId) -> Answer<()> {
        through!(self, self.inner.leave(session))
    }

    async fn tend(&self) -> Answer<Tended> {
        through!(self, self.inner.tend())
    }

    async fn ready(&self, limit: usize) -> Answer<Vec<Ready>> {
        through!(self, self.inner.ready(limit))
    }

    async fn cancel(&self, task: TaskId) -> Answer<Cancelled> {
        through!(self, self.inner.cancel(task))
    }

    async fn requeue(&self, task: TaskId) -> Answer<bool> {
        through!(self, self.inner.requeue(task))
    }

    async fn tasks(&self, ids: Vec<TaskId>) -> Answer<Vec<Option<StoredTask>>> {
        through!(self, self.inner.tasks(ids))
    }

    async fn list(&self, state: State, limit: usize) -> Answer<Vec<StoredTask>> {
        through!(self, self.inner.list(state, limit))
    }

    async fn counts(&self) -> Answer<Counts> {
        through!(self, self.inner.counts())
    }

    async fn append_progress(&self, session: SessionId, entries: Vec<(TaskId, String)>) -> Answer<Vec<u64>> {
        through!(self, self.inner.append_progress(session, entries))
    }

    async fn progress(&self, task: TaskId, after: u64, limit: usize) -> Answer<Vec<Progress>> {
        through!(self, self.inner.progress(task, after, limit))
    }

    async fn limit_group(&self, name: &str, limits: Option<GroupLimits>) -> Answer<()> {
        through!(self, self.inner.limit_group(name, limits))
    }

    async fn groups(&self) -> Answer<Vec<GroupState>> {
        through!(self, self.inner.groups())
    }

    async fn nodes(&self, session: SessionId) -> Answer<Vec<(SessionId, NodeId, String)>> {
        through!(self, self.inner.nodes(session))
    }

    async fn send(&self, from: SessionId, to: Option<SessionId>, text: String) -> Answer<bool> {
        through!(self, self.inner.send(from, to, text))
    }

    async fn broadcast(&self, text: String) -> Answer<()> {
        through!(self, self.inner.broadcast(text))
    }

    async fn cache_get(&self, namespace: &str, key: &str) -> Answer<Option<(Vec<u8>, Duration)>> {
        through!(self, self.inner.cache_get(namespace, key))
    }

    async fn cache_set(&self, namespace: &str, quota: u64, key: &str, value: Vec<u8>, ttl: Duration) -> Answer<()> {
        through!(self, self.inner.cache_set(namespace, quota, key, value, ttl))
    }

    async fn cache_delete(&self, namespace: &str, key: &str) -> Answer<bool> {
        through!(self, self.inner.cache_delete(namespace, key))
    }

    async fn cache_keys(&self, namespace: &str, limit: usize) -> Answer<Vec<String>> {
        through!(self, self.inner.cache_keys(namespace, limit))
    }

    async fn record(&self, name: &str) -> Answer<Option<Record>> {
        through!(self, self.inner.record(name))
    }

    async fn put_record(&self, name: &str, bytes: Vec<u8>, expected_version: u64) -> Answer<bool> {
        through!(self, self.inner.put_record(name, bytes, expected_version))
    }

    async fn remove_record(&self, name: &str) -> Answer<bool> {
        through!(self, self.inner.remove_record(name))
    }
}
