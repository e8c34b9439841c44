//! The broadcast channel for those who only listen: spores that are attached to Redis themselves. Whatever happens to
//! Redis it is tried again for ever. Never writes, and decides nothing about what it hears: anybody can write there.

use std::sync::Arc;
use std::time::Duration;

use redis::{Msg, PushInfo, PushKind, RedisResult};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use venom_protocol::ControlBroadcast;

use super::RedisSettings;
use super::connect::Connector;
use super::fault::unavailable;
use super::link::Wait;
use crate::BrokerError;

/// How often Redis is asked whether it is there. Nothing may be said for long, and nobody waits for the answer.
const TRY_EVERY: Duration = Duration::from_secs(10);

/// Largest broadcast that is read. Ours are far below; Redis would pass on half a gigabyte.
const MAX_BROADCAST_BYTES: usize = 64 * 1024;

/// Hears control broadcasts on `channel` and passes them on, until the receiver is dropped. A Redis that is down, slow
/// or refuses the password is logged once for each new reason and tried again. Broadcasts that come while the
/// receiver is full are dropped, and those sent while there is no connection are not heard.
///
/// # Errors
/// [`BrokerError::Refused`]: the URL or the CA file cannot be used. Found before anything is dialled.
pub async fn hear_broadcasts(
    redis: RedisSettings,
    channel: &str,
    heard: mpsc::Sender<ControlBroadcast>,
) -> Result<(), BrokerError> {
    let ear = Ear {
        connector: Connector::new(&redis)?,
        channel,
        heard,
    };
    tokio::select! {
        () = ear.listen_for_ever() => {}
        () = ear.heard.closed() => {}
    }
    Ok(())
}

struct Ear<'a> {
    connector: Connector,
    channel: &'a str,
    heard: mpsc::Sender<ControlBroadcast>,
}

impl Ear<'_> {
    async fn listen_for_ever(&self) {
        let (mut wait, mut last) = (Wait::default(), String::new());
        loop {
            let mut subscribed = false;
            let Err(error) = self.listen(&mut subscribed).await;
            if subscribed {
                (wait, last) = (Wait::default(), String::new());
            }
            let text = error.to_string();
            match &error {
                _ if text == last => tracing::debug!("still no broadcasts: {text}"),
                BrokerError::Refused { .. } => tracing::error!("no broadcasts: {text}; trying again"),
                _ => tracing::warn!("no broadcasts: {text}; trying again"),
            }
            last = text;
            wait.pass().await;
        }
    }

    /// One connection, to its end.
    async fn listen(&self, subscribed: &mut bool) -> Result<std::convert::Infallible, BrokerError> {
        let broken = Arc::new(Notify::new());
        let (bell, heard) = (Arc::clone(&broken), self.heard.clone());
        let hear = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                bell.notify_one();
            }
            if let Some(message) = Msg::from_push_info(push) {
                pass_on(message.get_payload_bytes(), &heard);
            }
            Ok(())
        };
        let mut connection = self.connector.subscriptions(hear).await?;
        self.in_time(connection.subscribe(self.channel)).await?;
        *subscribed = true;
        tracing::info!(
            place = self.connector.place(),
            channel = self.channel,
            "listening to broadcasts"
        );
        loop {
            tokio::select! {
                () = broken.notified() => return Err(self.unavailable("the connection broke")),
                () = sleep(TRY_EVERY) => self.in_time(redis::cmd("PING").query_async::<()>(&mut connection)).await?,
            }
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = RedisResult<T>>) -> Result<T, BrokerError> {
        match timeout(self.connector.answer_timeout(), work).await {
            Ok(answer) => answer.map_err(|error| self.connector.told(&error)),
            Err(_) => Err(self.unavailable("it does not answer in time")),
        }
    }

    fn unavailable(&self, why: &str) -> BrokerError {
        unavailable(self.connector.place().to_owned(), why)
    }
}

fn pass_on(text: &[u8], heard: &mpsc::Sender<ControlBroadcast>) {
    let bytes = text.len();
    if bytes > MAX_BROADCAST_BYTES {
        tracing::warn!(
            bytes,
            "a broadcast on redis is over {MAX_BROADCAST_BYTES} bytes and is not read"
        );
        return;
    }
    match serde_json::from_slice::<ControlBroadcast>(text).map(|broadcast| heard.try_send(broadcast)) {
        Err(error) => tracing::warn!(%error, "what is on the broadcast channel of redis is no control broadcast"),
        Ok(Err(TrySendError::Full(broadcast))) => {
            let command = broadcast.command;
            tracing::warn!(
                command,
                "a broadcast is dropped: those before it are not dealt with yet"
            );
        }
        // nobody listens any more: the end is near
        Ok(Ok(()) | Err(TrySendError::Closed(_))) => {}
    }
}
