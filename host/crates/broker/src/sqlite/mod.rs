//! The embedded back end: one SQLite file, for one nexus. It needs no server, and what it accepted survives the end of
//! the process however that comes.

mod aside;
mod books;
mod cache;
mod claim;
mod code;
mod documents;
mod fault;
mod file;
mod finish;
mod groups;
mod log;
mod moves;
mod progress;
mod read;
mod session;
mod submit;
mod take_back;
mod tend;
#[cfg(test)]
mod tests;
mod txn;
mod worker;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use venom_protocol::{GroupLimits, NodeId, SessionId, TaskId};

use crate::error::check_record;
use crate::{
    Answer, Broker, BrokerError, Cancelled, Claim, Counts, Ending, GroupState, Hint, NewTask, Note, Progress, Ready,
    Record, Renewal, Settings, Settled, State, StoredTask, Submitted, Tended, Want,
};
use books::Books;
use worker::{Reader, Store, Writer};

/// Hints that wait for a receiver; one that falls further behind looks at everything.
const HINTS: usize = 1_024;

/// What accepted work survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of the process, `kill -9` included. The last moments before a power cut may be lost; the file stays
    /// whole.
    #[default]
    Process,
    /// Power cuts too: every commit waits for the disk.
    Power,
}

/// A broker in a SQLite file. Opening takes the file for this process alone; dropping it writes what was asked for and
/// gives the file free.
pub struct SqliteBroker {
    settings: Arc<Settings>,
    place: String,
    counts: Arc<Mutex<Counts>>,
    hints: broadcast::Sender<Hint>,
    // In the order in which they must end.
    reader: Reader,
    writer: Writer,
    _keeper: log::Keeper,
    _claimed: file::Claimed,
}

impl std::fmt::Debug for SqliteBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteBroker")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl SqliteBroker {
    /// Opens or makes the file (mode 0600), brings it to the newest version and reads what waits.
    ///
    /// # Errors
    /// [`BrokerError::Refused`]: another nexus has it, it may not be written, or a newer version wrote it.
    /// [`BrokerError::Corrupt`]: it is no database, or a damaged one. Others as the disk has it.
    pub fn open(path: &Path, durability: Durability, settings: Settings) -> Result<Self, BrokerError> {
        let claimed = file::claim(path)?;
        let place = file::place(path);
        let conn = file::writer(path, durability)?;
        let mut books = Books::default();
        books.reload(&conn).map_err(|error| fault::told(&place, &error))?;
        let no_thread = |error: std::io::Error| BrokerError::Unavailable {
            broker: place.clone(),
            why: format!("no thread for it: {error}"),
        };
        let (hints, _) = broadcast::channel(HINTS);
        let settings = Arc::new(settings);
        let counts = Arc::new(Mutex::new(books.counts));
        let (keeper, log) = log::Keeper::start(file::another(path)?).map_err(no_thread)?;
        let store = Store {
            conn,
            books,
            log,
            settings: Arc::clone(&settings),
            place: place.clone(),
            hints: hints.clone(),
            counts: Arc::clone(&counts),
        };
        Ok(Self {
            reader: Reader::start(file::reader(path)?, place.clone()).map_err(no_thread)?,
            writer: Writer::start(store).map_err(no_thread)?,
            settings,
            place,
            counts,
            hints,
            _keeper: keeper,
            _claimed: claimed,
        })
    }
}

#[async_trait]
impl Broker for SqliteBroker {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn check(&self) -> Answer<()> {
        self.writer
            .ask(1, |txn| {
                Ok(txn.conn.query_row("SELECT completed FROM totals", [], |_| Ok(()))?)
            })
            .await
    }

    fn hints(&self) -> broadcast::Receiver<Hint> {
        self.hints.subscribe()
    }

    async fn submit(&self, tasks: Vec<NewTask>) -> Answer<Vec<Submitted>> {
        self.writer
            .ask(tasks.len(), move |txn| submit::submit(txn, &tasks))
            .await
    }

    async fn claim(&self, session: SessionId, wants: Vec<Want>, total: usize) -> Answer<Claim> {
        let weight = total.min(wants.iter().map(|want| want.most).fold(0, usize::saturating_add));
        self.writer
            .ask(weight, move |txn| Ok(claim::claim(txn, session, &wants, total)?))
            .await
    }

    async fn finish(&self, session: SessionId, endings: Vec<Ending>) -> Answer<Settled> {
        self.writer
            .ask(endings.len(), move |txn| Ok(finish::finish(txn, session, &endings)?))
            .await
    }

    async fn renew(&self, session: SessionId, note: Note) -> Answer<Renewal> {
        self.writer
            .ask(1, move |txn| Ok(session::renew(txn, session, &note)?))
            .await
    }

    async fn leave(&self, session: SessionId) -> Answer<()> {
        self.writer.ask(1, move |txn| Ok(session::leave(txn, session)?)).await
    }

    async fn tend(&self) -> Answer<Tended> {
        let mut sum = Tended::default();
        for _ in 0..tend::STEPS {
            let step = self.writer.ask(tend::STEP, |txn| Ok(tend::step(txn)?)).await?;
            tend::add(&mut sum, step.tended);
            if !step.more {
                break;
            }
        }
        Ok(sum)
    }

    async fn ready(&self, limit: usize) -> Answer<Vec<Ready>> {
        let ready = move |(lane, level): (&venom_protocol::Lane, u8)| Ready {
            lane: lane.clone(),
            priority: code::priority(level),
        };
        self.writer
            .ask(1, move |txn| Ok(txn.books.ready().take(limit).map(ready).collect()))
            .await
    }

    async fn cancel(&self, task: TaskId) -> Answer<Cancelled> {
        self.writer.ask(1, move |txn| Ok(take_back::cancel(txn, task)?)).await
    }

    async fn requeue(&self, task: TaskId) -> Answer<bool> {
        self.writer.ask(1, move |txn| Ok(take_back::requeue(txn, task)?)).await
    }

    async fn tasks(&self, ids: Vec<TaskId>) -> Answer<Vec<Option<StoredTask>>> {
        self.reader.ask(move |conn| read::tasks(conn, &ids)).await
    }

    async fn list(&self, state: State, limit: usize) -> Answer<Vec<StoredTask>> {
        self.reader.ask(move |conn| read::list(conn, state, limit)).await
    }

    async fn counts(&self) -> Answer<Counts> {
        Ok(*self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn append_progress(&self, _session: SessionId, entries: Vec<(TaskId, String)>) -> Answer<Vec<u64>> {
        self.writer
            .ask(entries.len(), move |txn| Ok(progress::append(txn, &entries)?))
            .await
    }

    async fn progress(&self, task: TaskId, after: u64, limit: usize) -> Answer<Vec<Progress>> {
        self.reader
            .ask(move |conn| progress::after(conn, task, after, limit))
            .await
    }

    async fn limit_group(&self, name: &str, limits: Option<GroupLimits>) -> Answer<()> {
        let name = name.to_owned();
        self.writer
            .ask(1, move |txn| Ok(groups::limit(txn, &name, limits)?))
            .await
    }

    async fn groups(&self) -> Answer<Vec<GroupState>> {
        self.writer.ask(1, |txn| Ok(groups::list(txn))).await
    }

    async fn nodes(&self, session: SessionId) -> Answer<Vec<(SessionId, NodeId, String)>> {
        self.writer.ask(1, move |txn| Ok(session::nodes(txn, session))).await
    }

    /// There is no other nexus.
    async fn send(&self, _from: SessionId, _to: Option<SessionId>, _text: String) -> Answer<bool> {
        Ok(false)
    }

    async fn broadcast(&self, text: String) -> Answer<()> {
        let _nobody_listens = self.hints.send(Hint::Broadcast(text));
        Ok(())
    }

    async fn cache_get(&self, namespace: &str, key: &str) -> Answer<Option<(Vec<u8>, Duration)>> {
        let (namespace, key) = (namespace.to_owned(), key.to_owned());
        self.reader.ask(move |conn| cache::get(conn, &namespace, &key)).await
    }

    async fn cache_set(&self, namespace: &str, quota: u64, key: &str, value: Vec<u8>, ttl: Duration) -> Answer<()> {
        let entry = cache::Entry {
            namespace: namespace.to_owned(),
            key: key.to_owned(),
            value,
            ttl,
        };
        self.writer.ask(1, move |txn| cache::set(txn, quota, &entry)).await
    }

    async fn cache_delete(&self, namespace: &str, key: &str) -> Answer<bool> {
        let (namespace, key) = (namespace.to_owned(), key.to_owned());
        self.writer
            .ask(1, move |txn| Ok(cache::delete(txn, &namespace, &key)?))
            .await
    }

    async fn cache_keys(&self, namespace: &str, limit: usize) -> Answer<Vec<String>> {
        let namespace = namespace.to_owned();
        self.reader.ask(move |conn| cache::keys(conn, &namespace, limit)).await
    }

    async fn record(&self, name: &str) -> Answer<Option<Record>> {
        let name = name.to_owned();
        self.reader.ask(move |conn| documents::get(conn, &name)).await
    }

    async fn put_record(&self, name: &str, bytes: Vec<u8>, expected_version: u64) -> Answer<bool> {
        check_record(name, &bytes)?;
        let name = name.to_owned();
        self.writer
            .ask(1, move |txn| documents::put(txn, &name, &bytes, expected_version))
            .await
    }

    async fn remove_record(&self, name: &str) -> Answer<bool> {
        let name = name.to_owned();
        self.writer.ask(1, move |txn| Ok(documents::remove(txn, &name)?)).await
    }
}
