//! Hears what is published: a connection of its own, made again when it breaks, after which hints may be missing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Msg, PushInfo, PushKind};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use venom_protocol::SessionId;

use super::connect::Connector;
use super::heard::{Channels, Ours, hints};
use super::link::Wait;
use crate::{BrokerError, Hint, Settings};

/// How often the connection is tried: nothing may be said on it for long.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// How long a new session waits until its channel is listened to. It may begin without: messages are lossy.
const SUBSCRIBED: Duration = Duration::from_secs(1);

/// Channel of hints from scripts.
pub(super) fn hints_channel(settings: &Settings) -> String {
    Channels::new(settings).hints
}

/// See the module.
pub(super) struct Listener {
    channels: Channels,
    ours: Arc<Ours>,
    changed: Arc<Notify>,
    /// Sessions whose channels are listened to; none without a connection.
    heard: watch::Receiver<Option<BTreeSet<SessionId>>>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    pub(super) fn start(
        connector: Arc<Connector>,
        settings: &Settings,
        me: SessionId,
        hints: broadcast::Sender<Hint>,
    ) -> Self {
        let channels = Channels::new(settings);
        let ours = Arc::new(Ours::new(me));
        let changed = Arc::new(Notify::new());
        let (heard, seen) = watch::channel(None);
        let ear = Ear {
            connector,
            channels: channels.clone(),
            ours: Arc::clone(&ours),
            changed: Arc::clone(&changed),
            heard,
            hints,
        };
        Self {
            channels,
            ours,
            changed,
            heard: seen,
            task: tokio::spawn(ear.listen()),
        }
    }

    pub(super) fn channels(&self) -> &Channels {
        &self.channels
    }

    pub(super) fn ours(&self) -> &Ours {
        &self.ours
    }

    /// Whether messages to all are heard here.
    pub(super) fn hears_all(&self) -> bool {
        self.heard
            .borrow()
            .as_ref()
            .is_some_and(|sessions| !sessions.is_empty())
    }

    /// Listens for messages to this session too, from when this returns as a rule.
    pub(super) async fn add(&self, session: SessionId) {
        if !self.ours.add(session) {
            return;
        }
        self.changed.notify_one();
        let mut heard = self.heard.clone();
        let has = |heard: &Option<BTreeSet<SessionId>>| heard.as_ref().is_some_and(|heard| heard.contains(&session));
        if timeout(SUBSCRIBED, heard.wait_for(has)).await.is_err() {
            tracing::debug!(%session, "no connection to listen on yet");
        }
    }

    pub(super) fn remove(&self, session: SessionId) {
        self.ours.remove(session);
        self.changed.notify_one();
    }
}

struct Ear {
    connector: Arc<Connector>,
    channels: Channels,
    ours: Arc<Ours>,
    changed: Arc<Notify>,
    heard: watch::Sender<Option<BTreeSet<SessionId>>>,
    hints: broadcast::Sender<Hint>,
}

impl Ear {
    async fn listen(self) {
        let mut wait = Wait::default();
        let mut is_first = true;
        loop {
            let lost = Arc::new(AtomicBool::new(false));
            match self.subscribe(&lost).await {
                Ok(conn) => {
                    wait = Wait::default();
                    if !is_first {
                        let _nobody_listens = self.hints.send(Hint::Resync);
                    }
                    is_first = false;
                    let error = self.stay(conn, &lost).await;
                    tracing::debug!(
                        place = self.connector.place(),
                        ?error,
                        "hints are not heard; listening again"
                    );
                    self.heard.send_replace(None);
                }
                Err(error) => {
                    tracing::debug!(%error, "hints are not heard; trying again");
                    // somebody may rely on hints from the start
                    is_first = false;
                    wait.pass().await;
                }
            }
        }
    }

    async fn subscribe(&self, lost: &Arc<AtomicBool>) -> Result<MultiplexedConnection, BrokerError> {
        let (channels, ours, out) = (self.channels.clone(), Arc::clone(&self.ours), self.hints.clone());
        let lost = Arc::clone(lost);
        let changed = Arc::clone(&self.changed);
        let hear = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                lost.store(true, Ordering::Release);
                changed.notify_one();
            }
            if let Some(message) = Msg::from_push_info(push) {
                let text = String::from_utf8_lossy(message.get_payload_bytes());
                for hint in hints(&channels, &ours, message.get_channel_name(), &text) {
                    let _nobody_listens = out.send(hint);
                }
            }
            Ok(())
        };
        let mut conn = self.connector.subscriptions(hear).await?;
        let names = [&self.channels.hints, &self.channels.broadcast];
        self.in_time(conn.subscribe(names.as_slice())).await?;
        self.follow(&mut conn, BTreeSet::new()).await?;
        Ok(conn)
    }

    /// Subscribes to the channels of sessions that came, and no longer to those of sessions that went.
    async fn follow(&self, conn: &mut MultiplexedConnection, had: BTreeSet<SessionId>) -> Result<(), BrokerError> {
        let now = self.ours.all();
        let names = |sessions: &BTreeSet<SessionId>| self.channels.of(sessions);
        for name in names(&now).difference(&names(&had)) {
            self.in_time(conn.subscribe(name)).await?;
        }
        for name in names(&had).difference(&names(&now)) {
            self.in_time(conn.unsubscribe(name)).await?;
        }
        self.heard.send_replace(Some(now));
        Ok(())
    }

    async fn in_time<T>(&self, work: impl Future<Output = redis::RedisResult<T>>) -> Result<T, BrokerError> {
        match timeout(self.connector.answer_timeout(), work).await {
            Ok(answer) => answer.map_err(|error| self.connector.told(&error)),
            Err(_) => Err(BrokerError::Unavailable {
                broker: self.connector.place().to_owned(),
                why: "no answer to a subscription".to_owned(),
            }),
        }
    }

    /// Until the connection breaks.
    async fn stay(&self, mut conn: MultiplexedConnection, lost: &AtomicBool) -> Option<BrokerError> {
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep(TRY_EVERY) => {
                    if let Err(error) = self.in_time(redis::cmd("PING").query_async::<()>(&mut conn)).await {
                        return Some(error);
                    }
                }
            }
            if lost.load(Ordering::Acquire) {
                return None;
            }
            let had = self.heard.borrow().clone().unwrap_or_default();
            if had != self.ours.all()
                && let Err(error) = self.follow(&mut conn, had).await
            {
                return Some(error);
            }
        }
    }
}
