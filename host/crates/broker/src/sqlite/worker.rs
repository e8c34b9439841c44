//! The threads that talk to SQLite. One writes: it takes everything that waits, does it in one transaction, commits
//! once and answers all (group commit). One reads, so that looking never waits behind writing.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::books::Books;
use super::fault::{Fault, told};
use super::log::Log;
use super::txn::Txn;
use crate::{Answer, BrokerError, Counts, Hint, Settings};

/// Requests that wait for a thread. A caller whose request does not fit waits itself; more than this many only
/// cost memory, as each round takes a part of them.
const WAITING: usize = 1_024;

/// Requests in one transaction: what waits meanwhile is answered with the next one, so a round stays short.
const ROUND: usize = 256;

/// Tasks (or other records) in one transaction, about 20 ms of work. One request that has more goes alone.
const ROUND_WEIGHT: usize = 4_000;

/// Work on the writer. It is run again when the transaction it was in had to be undone because of another one.
trait Job: Send {
    fn weight(&self) -> usize;
    /// Err: the store failed, and what was written must be undone.
    fn run(&mut self, txn: &mut Txn<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, failed: Option<BrokerError>);
}

type Ask = Box<dyn Job>;

struct Asked<T, F> {
    work: F,
    weight: usize,
    done: Option<Answer<T>>,
    reply: oneshot::Sender<Answer<T>>,
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: Fn(&mut Txn<'_>) -> Result<T, Fault> + Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&mut self, txn: &mut Txn<'_>) -> rusqlite::Result<()> {
        self.done = match (self.work)(txn) {
            Ok(value) => Some(Ok(value)),
            Err(Fault::Answer(error)) => Some(Err(error)),
            Err(Fault::Store(error)) => return Err(error),
        };
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<BrokerError>) {
        let Self { done, reply, .. } = *self;
        // A caller that went away needs no answer: what it asked for is done all the same.
        let _gone = failed.map(Err).or(done).map(|answer| reply.send(answer));
    }
}

/// What the writer owns, and what it shares.
pub(super) struct Store {
    pub(super) conn: Connection,
    pub(super) books: Books,
    pub(super) log: Log,
    pub(super) settings: Arc<Settings>,
    pub(super) place: String,
    pub(super) hints: broadcast::Sender<Hint>,
    /// As of the last commit.
    pub(super) counts: Arc<Mutex<Counts>>,
}

impl Store {
    fn round(&mut self, mut jobs: Vec<Ask>) {
        let Err(error) = self.attempt(&mut jobs) else {
            let tasks = jobs.iter().map(|job| job.weight()).sum();
            jobs.into_iter().for_each(|job| job.answer(None));
            return self.log.grew(&self.conn, tasks);
        };
        if jobs.len() == 1 {
            tracing::warn!(place = self.place, %error, "a request could not be stored");
            let error = told(&self.place, &error);
            return jobs.into_iter().for_each(|job| job.answer(Some(error.clone())));
        }
        // Which of them it was is not known: each goes alone, so that none fails for another.
        jobs.into_iter().for_each(|job| self.round(vec![job]));
    }

    fn attempt(&mut self, jobs: &mut [Ask]) -> rusqlite::Result<()> {
        if self.books.stale {
            self.books.reload(&self.conn)?;
        }
        let done = self.transaction(jobs);
        self.books.stale = done.is_err();
        let said = done?;
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = self.books.counts;
        for hint in said {
            let _nobody_listens = self.hints.send(hint);
        }
        Ok(())
    }

    fn transaction(&mut self, jobs: &mut [Ask]) -> rusqlite::Result<Vec<Hint>> {
        let transaction = self.conn.unchecked_transaction()?;
        let mut txn = Txn::begin(&self.conn, &mut self.books, &self.settings);
        for job in jobs {
            job.run(&mut txn)?;
        }
        let said = txn.settle()?;
        transaction.commit()?;
        Ok(said)
    }
}

/// The thread that writes.
pub(super) struct Writer {
    asks: Option<mpsc::Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
    place: String,
}

impl Writer {
    pub(super) fn start(mut store: Store) -> std::io::Result<Self> {
        let (asks, mut asked) = mpsc::channel::<Ask>(WAITING);
        let place = store.place.clone();
        let thread = std::thread::Builder::new()
            .name("broker-writer".to_owned())
            .spawn(move || {
                let mut next = None;
                while let Some(first) = next.take().or_else(|| asked.blocking_recv()) {
                    let jobs;
                    (jobs, next) = gather(first, &mut asked);
                    store.round(jobs);
                }
            })?;
        Ok(Self {
            asks: Some(asks),
            thread: Some(thread),
            place,
        })
    }

    /// Does `work` in a transaction, with what else waits. It must check before it writes: what it wrote before
    /// an [`Fault::Answer`] stays.
    pub(super) async fn ask<T, F>(&self, weight: usize, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: Fn(&mut Txn<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Asked {
            work,
            weight,
            done: None,
            reply,
        };
        let asks = self.asks.as_ref().ok_or_else(|| stopped(&self.place))?;
        asks.send(Box::new(job)).await.map_err(|_| stopped(&self.place))?;
        answer.await.map_err(|_| stopped(&self.place))?
    }
}

/// What waits now, as far as it fits into one round, and the one that did not fit any more.
fn gather(first: Ask, asked: &mut mpsc::Receiver<Ask>) -> (Vec<Ask>, Option<Ask>) {
    let mut weight = first.weight();
    let mut jobs = vec![first];
    while jobs.len() < ROUND {
        let Ok(job) = asked.try_recv() else { break };
        weight += job.weight();
        if weight > ROUND_WEIGHT {
            return (jobs, Some(job));
        }
        jobs.push(job);
    }
    (jobs, None)
}

impl Drop for Writer {
    /// Waits until everything that was asked for is written.
    fn drop(&mut self) {
        self.asks = None;
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

type Look = Box<dyn FnOnce(&Connection) + Send>;

/// The thread that reads.
pub(super) struct Reader {
    asks: Option<mpsc::Sender<Look>>,
    thread: Option<JoinHandle<()>>,
    place: String,
}

impl Reader {
    pub(super) fn start(conn: Connection, place: String) -> std::io::Result<Self> {
        let (asks, mut asked) = mpsc::channel::<Look>(WAITING);
        let thread = std::thread::Builder::new()
            .name("broker-reader".to_owned())
            .spawn(move || {
                while let Some(look) = asked.blocking_recv() {
                    look(&conn);
                }
            })?;
        Ok(Self {
            asks: Some(asks),
            thread: Some(thread),
            place,
        })
    }

    /// Looks at one state of the store: as of the last commit, so that a caller sees what it was told is written.
    pub(super) async fn ask<T, F>(&self, look: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let place = self.place.clone();
        let look: Look = Box::new(move |conn| {
            let seen = conn.unchecked_transaction().and_then(|_snapshot| look(conn));
            let _gone = reply.send(seen.map_err(|error| told(&place, &error)));
        });
        let asks = self.asks.as_ref().ok_or_else(|| stopped(&self.place))?;
        asks.send(look).await.map_err(|_| stopped(&self.place))?;
        answer.await.map_err(|_| stopped(&self.place))?
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.asks = None;
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

fn stopped(place: &str) -> BrokerError {
    BrokerError::Unavailable {
        broker: place.to_owned(),
        why: "its thread ended, see the log; start the nexus again".to_owned(),
    }
}
