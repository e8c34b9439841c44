//! The database behind the fleet: SQLite in a file, or PostgreSQL. One set of statements serves both.
//!
//! The statements keep to what both understand: placeholders `$1`, `$2`, in their order; `TEXT` and `BIGINT` columns and nothing else
//! (times are microseconds since 1970, flags 0 or 1, lists and maps JSON text); `INSERT … ON CONFLICT … DO UPDATE`;
//! `RETURNING`. Ids are made here, never by the database.
//!
//! And to what `sqlx::Any` can carry:
//! - every `NULL` has the type of its value, as PostgreSQL keeps a prepared statement's types, whoever came first. That of an absent
//!   number with a fraction comes out wrong in sqlx 0.9, so there is no such column: it is part of a JSON text;
//! - no boolean, no `NUMERIC` comes back: compare in `WHERE` only, and `CAST(SUM(…) AS BIGINT)`;
//! - statements of many rows are numbered with [`rows`], as the `QueryBuilder` of `Any` writes placeholders PostgreSQL does not know.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, Transaction};
use venom_protocol::Timestamp;

use crate::FleetError;

/// Connections that read at one time.
const READERS: u32 = 4;
/// Connections that say who may come in, and what waits for them: an operator's long list is not in their way.
const GATES: u32 = 2;
/// Connections of one nexus to PostgreSQL that write; SQLite has one writer.
const WRITERS: u32 = 4;
/// For a free connection.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(10);

/// The migrations in their order: number, what it is for, statements. Never change one that was released; add another.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "agents", include_str!("../migrations/0001_agents.sql")),
    (2, "inventory", include_str!("../migrations/0002_inventory.sql")),
];

/// An open database of the newest schema.
#[derive(Debug, Clone)]
pub struct Database {
    writers: AnyPool,
    readers: AnyPool,
    gates: AnyPool,
    is_sqlite: bool,
    rooms: Arc<Rooms>,
}

/// Whose turn it is in a room, among those of this process.
type Turn = tokio::sync::Mutex<()>;

/// The rooms somebody is in or waits for.
#[derive(Debug, Default)]
struct Rooms {
    turns: Mutex<HashMap<String, Weak<Turn>>>,
}

impl Rooms {
    /// The turns of a room.
    fn of(&self, room: &str) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = turns.get(room).and_then(Weak::upgrade) {
            return known;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let new = Arc::default();
        turns.insert(room.to_owned(), Arc::downgrade(&new));
        new
    }
}

/// A transaction that is the only one in its room.
pub(crate) struct Alone {
    /// Dropped before the turn is another's.
    writing: Transaction<'static, Any>,
    _turn: tokio::sync::OwnedMutexGuard<()>,
}

impl Alone {
    /// Keeps what was written.
    pub(crate) async fn commit(self) -> Result<(), FleetError> {
        Ok(self.writing.commit().await?)
    }
}

impl Deref for Alone {
    type Target = Transaction<'static, Any>;
    fn deref(&self) -> &Self::Target {
        &self.writing
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.writing
    }
}

impl Database {
    /// Opens, makes and migrates `sqlite:PATH` or `postgres://…`.
    ///
    /// # Errors
    /// The address makes no sense, the server is not there, or the schema is newer than this program.
    pub async fn open(url: &str) -> Result<Self, FleetError> {
        install_default_drivers();
        let is_sqlite = url.starts_with("sqlite:");
        if !is_sqlite && !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(FleetError::Invalid(
                "the database's address begins with neither `sqlite:` nor `postgres://`".to_owned(),
            ));
        }
        let (url, writers) = if is_sqlite {
            (with_create(url), 1)
        } else {
            (url.to_owned(), WRITERS)
        };
        let writers = pool(is_sqlite, writers).connect(&url).await?;
        // SQLite has no lock for this: another process may have done one in between, so each of them may fail once
        let mut left = MIGRATIONS.len();
        while let Err(error) = migrator().run(&writers).await {
            left = left.checked_sub(1).ok_or(error)?;
        }
        let readers = pool(is_sqlite, READERS).connect(&url).await?;
        let gates = pool(is_sqlite, GATES).connect(&url).await?;
        Ok(Self {
            writers,
            readers,
            gates,
            is_sqlite,
            rooms: Arc::default(),
        })
    }

    /// The SQLite file at `path`.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_file(path: &Path) -> Result<Self, FleetError> {
        Self::open(&format!("sqlite:{}", path.display())).await
    }

    /// Begins a transaction that writes. On SQLite there is one at a time, and it waits for the one before.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Any>, FleetError> {
        if self.is_sqlite {
            // a transaction that begins as a reader cannot always become a writer
            Ok(self.writers.begin_with("BEGIN IMMEDIATE").await?)
        } else {
            Ok(self.writers.begin().await?)
        }
    }

    /// As [`Database::write`], and of all transactions in `room` the only one, also among several nexuses: what it reads stays so.
    /// Before anything else in the transaction, and one room for each, so that none waits for the other. Who waits for another of
    /// this process does so without a connection: the other rooms need them.
    pub(crate) async fn write_alone(&self, room: &str) -> Result<Alone, FleetError> {
        let turn = tokio::time::timeout(WAIT_FOR_CONNECTION, self.rooms.of(room).lock_owned()).await;
        let turn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let mut writing = self.write().await?;
        if !self.is_sqlite {
            let digest = Sha256::digest(room.as_bytes());
            let number = digest.first_chunk().copied().map_or(0, i64::from_be_bytes);
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(number)
                .execute(&mut *writing)
                .await?;
        }
        Ok(Alone { writing, _turn: turn })
    }

    /// For reading.
    pub(crate) const fn read(&self) -> &AnyPool {
        &self.readers
    }

    /// For reading what nobody may have to wait for: who may come in, and what waits for them.
    pub(crate) const fn gate(&self) -> &AnyPool {
        &self.gates
    }

    /// Closes all connections; what was committed is kept.
    pub async fn close(&self) {
        self.writers.close().await;
        self.readers.close().await;
        self.gates.close().await;
    }
}

/// A point in time as it is kept: microseconds since 1970.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.0.as_microsecond()
}

/// A length of time in the same unit.
pub(crate) fn micros_of(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// What [`micros`] wrote.
pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, FleetError> {
    jiff::Timestamp::from_microsecond(micros)
        .map(Timestamp)
        .map_err(|_| FleetError::Corrupt(format!("{micros} is no point in time")))
}

/// `($1, $2), ($3, $4)`: placeholders of so many rows of so many columns, `first` being the first of them.
pub(crate) fn rows(first: usize, rows: usize, columns: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let sign = if column == 0 { "$" } else { ", $" };
            text.push_str(sign);
            text.push_str(&(first + row * columns + column).to_string());
        }
        text.push(')');
    }
    text
}

fn with_create(url: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}mode=rwc")
}

fn pool(is_sqlite: bool, most: u32) -> AnyPoolOptions {
    let options = AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(WAIT_FOR_CONNECTION);
    if !is_sqlite {
        return options;
    }
    options.after_connect(|connection, _| {
        Box::pin(async move {
            // FULL: what an agent was told is taken in survives a power cut, as the agent then forgets it
            for pragma in [
                "PRAGMA busy_timeout = 10000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
            ] {
                sqlx::query(pragma).execute(&mut *connection).await?;
            }
            Ok(())
        })
    })
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.map(|(number, what, sql)| {
        Migration::new(
            number,
            what.into(),
            MigrationType::Simple,
            sqlx::SqlSafeStr::into_sql_str(sql),
            false,
        )
    });
    Migrator::with_migrations(migrations.into())
}

#[cfg(test)]
pub(crate) mod tests {
    use sqlx::Row as _;

    use super::*;

    /// Steps in which SQLite would do it.
    pub(crate) async fn plan_of(statement: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open_file(&directory.path().join("fleet.db")).await.unwrap();
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan = sqlx::raw_sql(plan).fetch_all(database.read()).await.unwrap();
        database.close().await;
        plan.iter().map(|row| row.get("detail")).collect()
    }

    #[test]
    fn rows_are_numbered() {
        assert_eq!(rows(1, 2, 2), "($1, $2), ($3, $4)");
        assert_eq!(rows(4, 1, 1), "($4)");
    }

    #[tokio::test]
    async fn a_file_is_made_once_and_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fleet.db");
        for _ in 0..2 {
            let database = Database::open_file(&path).await.unwrap();
            let mut writing = database.write().await.unwrap();
            let one: i64 = sqlx::query_scalar("SELECT $2 - $1")
                .bind(1_i64)
                .bind(2_i64)
                .fetch_one(&mut *writing)
                .await
                .unwrap();
            assert_eq!(one, 1);
            writing.commit().await.unwrap();
            database.close().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn several_may_open_a_new_file_at_one_time() {
        for _ in 0..10 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("fleet.db");
            let mut opening = tokio::task::JoinSet::new();
            for _ in 0..6 {
                let path = path.clone();
                opening.spawn(async move { Database::open_file(&path).await });
            }
            for opened in opening.join_all().await {
                opened.unwrap().close().await;
            }
        }
    }

    #[tokio::test]
    async fn rooms_are_forgotten_when_nobody_is_in_them() {
        let rooms = Rooms::default();
        let (one, same) = (rooms.of("a"), rooms.of("a"));
        assert!(Arc::ptr_eq(&one, &same));
        drop((one, same));
        let _other = rooms.of("b");
        assert_eq!(rooms.turns.lock().unwrap().len(), 1);
    }
}
