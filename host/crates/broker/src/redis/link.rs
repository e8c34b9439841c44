//! A connection that comes back: made in the background, shared by all who ask at the same time, replaced when it
//! breaks.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

use super::connect::Connector;
use super::fault::{breaks, unavailable};
use crate::{Answer, BrokerError};

/// Wait before trying to connect again: doubled each time from the first to the last, less up to a half by chance so
/// that many nexuses do not come all at once.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How often an idle connection is tried, so that a dead one is found before it is needed.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// Reports of a broken connection; one is enough, and all are about the same one.
const REPORTS: usize = 1;

/// What a connection is used for: told in logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Quick,
    Bulk,
}

#[derive(Clone)]
enum Line {
    /// Being made: whoever asks waits for it.
    Making,
    Down(BrokerError),
    Up(Up),
}

#[derive(Clone)]
struct Up {
    conn: MultiplexedConnection,
    number: u64,
    since: Instant,
}

/// See the module.
pub(super) struct Link {
    connector: Arc<Connector>,
    line: watch::Receiver<Line>,
    broken: mpsc::Sender<u64>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    pub(super) fn start(connector: Arc<Connector>, usage: Use) -> Self {
        let (line, seen) = watch::channel(Line::Making);
        let (broken, reports) = mpsc::channel(REPORTS);
        let task = tokio::spawn(keep(Arc::clone(&connector), usage, line, reports));
        Self {
            connector,
            line: seen,
            broken,
            task,
        }
    }

    /// Sends a command and waits for its answer; errors of the server come as they are.
    pub(super) async fn ask(&self, cmd: &Cmd) -> Answer<RedisResult<Value>> {
        let mut up = self.up().await?;
        let answered = timeout(self.connector.answer_timeout(), up.conn.send_packed_command(cmd)).await;
        let answered = answered.ok().map(|answer| answer.and_then(error_of));
        self.judge(&up, answered)
    }

    /// Sends several commands at once.
    pub(super) async fn ask_all(&self, pipeline: &Pipeline, answers: usize) -> Answer<Vec<Value>> {
        let mut up = self.up().await?;
        let sent = up.conn.send_packed_commands(pipeline, 0, answers);
        let answered = timeout(self.connector.answer_timeout(), sent).await;
        let answer = self.judge(&up, answered.ok())?;
        answer.map_err(|error| self.connector.told(&error))
    }

    /// How long the connection has stood, when it is not the first one.
    pub(super) fn recovered(&self) -> Option<Duration> {
        match &*self.line.borrow() {
            Line::Up(up) if up.number > 1 => Some(up.since.elapsed()),
            _ => None,
        }
    }

    fn judge<T>(&self, up: &Up, answered: Option<RedisResult<T>>) -> Answer<RedisResult<T>> {
        let Some(answer) = answered else {
            self.give_up(up.number);
            let limit = self.connector.answer_timeout().as_secs_f64();
            let why = format!("no answer within {limit} s; connecting again");
            return Err(unavailable(self.connector.place().to_owned(), &why));
        };
        match answer {
            Err(error) if breaks(&error) => {
                self.give_up(up.number);
                Err(self.connector.told(&error))
            }
            answer => Ok(answer),
        }
    }

    fn give_up(&self, number: u64) {
        // full: somebody reported it already
        let _reported = self.broken.try_send(number);
    }

    async fn up(&self) -> Answer<Up> {
        let mut line = self.line.clone();
        let seen = line.wait_for(|line| !matches!(line, Line::Making)).await;
        match seen.as_deref() {
            Ok(Line::Up(up)) => Ok(up.clone()),
            Ok(Line::Down(error)) => Err(error.clone()),
            Ok(Line::Making) | Err(_) => Err(unavailable(
                self.connector.place().to_owned(),
                "this nexus is shutting down",
            )),
        }
    }
}

/// A refusal of the server as an error; what is inside of an answer stays as it is.
fn error_of(value: Value) -> RedisResult<Value> {
    match value {
        Value::ServerError(_) => value.extract_error(),
        value => Ok(value),
    }
}

async fn keep(connector: Arc<Connector>, usage: Use, line: watch::Sender<Line>, mut reports: mpsc::Receiver<u64>) {
    let mut wait = Wait::default();
    let mut number = 0;
    loop {
        let broken = Arc::new(Notify::new());
        match connector.requests(Arc::clone(&broken)).await {
            Ok(conn) => {
                number += 1;
                tracing::debug!(place = connector.place(), ?usage, number, "connected");
                wait = Wait::default();
                if number == 1 && usage == Use::Quick {
                    connector.warn_of_losses(conn.clone()).await;
                }
                let up = Up {
                    conn: conn.clone(),
                    number,
                    since: Instant::now(),
                };
                line.send_replace(Line::Up(up));
                until_broken(&connector, conn, number, &broken, &mut reports).await;
                line.send_replace(Line::Making);
            }
            Err(error) => {
                if wait.is_first() {
                    tracing::warn!(?usage, %error, "no connection; trying until there is one");
                }
                line.send_replace(Line::Down(error));
                wait.pass().await;
            }
        }
    }
}

async fn until_broken(
    connector: &Connector,
    mut conn: MultiplexedConnection,
    number: u64,
    broken: &Notify,
    reports: &mut mpsc::Receiver<u64>,
) {
    let mut tries = interval(TRY_EVERY);
    tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ping = redis::cmd("PING");
    loop {
        tokio::select! {
            () = broken.notified() => return,
            report = reports.recv() => if report.is_none_or(|broken| broken == number) { return },
            _ = tries.tick() => {
                match timeout(connector.answer_timeout(), conn.send_packed_command(&ping)).await {
                    Ok(Err(error)) if breaks(&error) => return,
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        }
    }
}

/// Between one try to connect and the next.
#[derive(Debug)]
pub(super) struct Wait(Duration);

impl Default for Wait {
    fn default() -> Self {
        Self(FIRST_WAIT)
    }
}

impl Wait {
    pub(super) fn is_first(&self) -> bool {
        self.0 == FIRST_WAIT
    }

    pub(super) async fn pass(&mut self) {
        sleep(self.0.mul_f64(1.0 - chance() / 2.0)).await;
        self.0 = (self.0 * 2).min(LAST_WAIT);
    }
}

/// 0 to 1.
fn chance() -> f64 {
    let (low, _) = Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(low & 0xFFFF).unwrap_or_default()) / 65_536.0
}
