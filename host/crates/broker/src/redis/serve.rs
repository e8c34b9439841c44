//! [`RedisBroker`] as a [`Broker`].

use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value};
use tokio::sync::broadcast;
use venom_protocol::{GroupLimits, NodeId, SessionId, TaskId};

use super::RedisBroker;
use crate::{
    Answer, Broker, Cancelled, Claim, Counts, Ending, GroupState, Hint, NewTask, Note, Progress, Ready, Record,
    Renewal, Settings, Settled, State, StoredTask, Submitted, Tended, Want,
};

#[async_trait]
impl Broker for RedisBroker {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn check(&self) -> Answer<()> {
        self.command(&redis::cmd("PING")).await.map(|_| ())
    }

    fn hints(&self) -> broadcast::Receiver<Hint> {
        self.hints.subscribe()
    }

    async fn submit(&self, tasks: Vec<NewTask>) -> Answer<Vec<Submitted>> {
        self.take_in(&tasks).await
    }

    async fn claim(&self, session: SessionId, wants: Vec<Want>, total: usize) -> Answer<Claim> {
        self.lease(session, &wants, total).await
    }

    async fn finish(&self, session: SessionId, endings: Vec<Ending>) -> Answer<Settled> {
        self.end(session, &endings).await
    }

    async fn renew(&self, session: SessionId, note: Note) -> Answer<Renewal> {
        self.keep(session, &note).await
    }

    async fn leave(&self, session: SessionId) -> Answer<()> {
        self.go(session).await
    }

    async fn tend(&self) -> Answer<Tended> {
        self.do_what_time_brings().await
    }

    async fn ready(&self, limit: usize) -> Answer<Vec<Ready>> {
        self.lanes(limit).await
    }

    async fn cancel(&self, task: TaskId) -> Answer<Cancelled> {
        self.take_back(task).await
    }

    async fn requeue(&self, task: TaskId) -> Answer<bool> {
        self.put_back(task).await
    }

    async fn tasks(&self, ids: Vec<TaskId>) -> Answer<Vec<Option<StoredTask>>> {
        self.stored(&ids).await
    }

    async fn list(&self, state: State, limit: usize) -> Answer<Vec<StoredTask>> {
        self.in_state(state, limit).await
    }

    async fn counts(&self) -> Answer<Counts> {
        self.numbers().await
    }

    async fn append_progress(&self, session: SessionId, entries: Vec<(TaskId, String)>) -> Answer<Vec<u64>> {
        self.log(session, &entries).await
    }

    async fn progress(&self, task: TaskId, after: u64, limit: usize) -> Answer<Vec<Progress>> {
        self.logged(task, after, limit).await
    }

    async fn limit_group(&self, name: &str, limits: Option<GroupLimits>) -> Answer<()> {
        self.limit(name, limits).await
    }

    async fn groups(&self) -> Answer<Vec<GroupState>> {
        self.group_states().await
    }

    async fn nodes(&self, session: SessionId) -> Answer<Vec<(SessionId, NodeId, String)>> {
        self.nodes_of_others(session).await
    }

    async fn send(&self, from: SessionId, to: Option<SessionId>, text: String) -> Answer<bool> {
        let channels = self.listener.channels();
        let channel = to.map_or_else(|| channels.to_all.clone(), |to| channels.to(to));
        let heard = publish(&channel, &format!("{from} {text}"));
        let heard = self.reader().number(self.command(&heard).await?)?;
        // this broker hears what is for all, and that is nobody else
        let is_echo = to.is_none() && self.listener.hears_all() && !self.listener.ours().has_other_than(from);
        Ok(heard > i64::from(is_echo))
    }

    async fn broadcast(&self, text: String) -> Answer<()> {
        self.command(&publish(&self.listener.channels().broadcast, &text))
            .await
            .map(|_: Value| ())
    }

    async fn cache_get(&self, namespace: &str, key: &str) -> Answer<Option<(Vec<u8>, Duration)>> {
        self.cached(namespace, key).await
    }

    async fn cache_set(&self, namespace: &str, quota: u64, key: &str, value: Vec<u8>, ttl: Duration) -> Answer<()> {
        self.cache(namespace, quota, key, &value, ttl).await
    }

    async fn cache_delete(&self, namespace: &str, key: &str) -> Answer<bool> {
        self.uncache(namespace, key).await
    }

    async fn cache_keys(&self, namespace: &str, limit: usize) -> Answer<Vec<String>> {
        self.cached_keys(namespace, limit).await
    }

    async fn record(&self, name: &str) -> Answer<Option<Record>> {
        self.document(name).await
    }

    async fn put_record(&self, name: &str, bytes: Vec<u8>, expected_version: u64) -> Answer<bool> {
        self.write_document(name, &bytes, expected_version).await
    }

    async fn remove_record(&self, name: &str) -> Answer<bool> {
        self.remove_document(name).await
    }
}

fn publish(channel: &str, text: &str) -> Cmd {
    let mut cmd = redis::cmd("PUBLISH");
    cmd.arg(channel).arg(text);
    cmd
}
