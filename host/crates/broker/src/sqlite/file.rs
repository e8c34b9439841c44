//! The database file: who may use it, how it is opened, and which version it has.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Durability;
use super::fault::told;
use crate::BrokerError;

/// Steps from one version of the schema to the next, each with the version (`user_version`) it leads to.
const MIGRATIONS: [(u32, &str); 2] = [(1, include_str!("schema.sql")), (2, include_str!("records.sql"))];

const NEWEST: u32 = 2;

/// Pages kept in memory by one connection, as SQLite counts them: negative is KiB. Bounds the memory of a nexus
/// whatever the length of its queue; the rest is left to the page cache of the system.
const PAGE_CACHE: i64 = -16 * 1_024;

/// Statements kept prepared; more than this back end has.
const STATEMENTS: usize = 128;

/// Connections of one process wait for each other only while one of them opens or closes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says that this process uses the file, until it is dropped or the process dies.
#[derive(Debug)]
pub(super) struct Claimed {
    _lock: File,
}

/// `sqlite at PATH`.
pub(super) fn place(path: &Path) -> String {
    format!("sqlite at {}", path.display())
}

/// Takes the file for this process.
///
/// # Errors
/// Another process has it, or its directory cannot be written.
pub(super) fn claim(path: &Path) -> Result<Claimed, BrokerError> {
    let refused = |why: String| BrokerError::Refused {
        broker: place(path),
        why,
    };
    let lock_path = beside(path, "lock");
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path);
    let mut lock = open.map_err(|error| refused(format!("{}: {error}", lock_path.display())))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(refused(in_use(&mut lock))),
        Err(TryLockError::Error(error)) => return Err(refused(format!("{}: {error}", lock_path.display()))),
    }
    // The number is for messages only, so failing to write it is no reason not to start.
    let _told = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
    create(path).map_err(|error| refused(error.to_string()))?;
    Ok(Claimed { _lock: lock })
}

fn in_use(lock: &mut File) -> String {
    let mut owner = String::new();
    let _read = lock.read_to_string(&mut owner);
    let owner = match owner.trim() {
        "" => String::new(),
        number => format!(" (process {number})"),
    };
    format!(
        "another nexus{owner} uses this data directory; stop that one, give this one a directory of its own, or let \
         both share a Redis"
    )
}

/// SQLite gives its other files the mode of the first.
fn create(path: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// The connection that writes; brings the file to the newest version.
pub(super) fn writer(path: &Path, durability: Durability) -> Result<Connection, BrokerError> {
    let told = |error: rusqlite::Error| told(&place(path), &error);
    let mut conn = connect(path).map_err(told)?;
    conn.pragma_update(None, "journal_mode", "WAL").map_err(told)?;
    let synchronous = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    conn.pragma_update(None, "synchronous", synchronous).map_err(told)?;
    // The log is copied into the file by a thread of its own.
    conn.pragma_update(None, "wal_autocheckpoint", 0).map_err(told)?;
    let version: u32 = conn
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(told)?;
    if version > NEWEST {
        return Err(newer(path, version));
    }
    migrate(&mut conn, version).map_err(told)?;
    Ok(conn)
}

/// A connection that reads while the first one writes.
pub(super) fn reader(path: &Path) -> Result<Connection, BrokerError> {
    let conn = another(path)?;
    let only = conn.pragma_update(None, "query_only", true);
    only.map_err(|error| told(&place(path), &error))?;
    Ok(conn)
}

/// A connection beside the first one.
pub(super) fn another(path: &Path) -> Result<Connection, BrokerError> {
    connect(path).map_err(|error| told(&place(path), &error))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(PATIENCE)?;
    conn.pragma_update(None, "cache_size", PAGE_CACHE)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

fn migrate(conn: &mut Connection, version: u32) -> rusqlite::Result<()> {
    for (to, step) in MIGRATIONS.iter().filter(|(to, _)| *to > version) {
        let txn = conn.transaction()?;
        txn.execute_batch(step)?;
        txn.pragma_update(None, "user_version", to)?;
        txn.commit()?;
    }
    Ok(())
}

fn newer(path: &Path, version: u32) -> BrokerError {
    BrokerError::Refused {
        broker: place(path),
        why: format!(
            "it was written by a newer version of this program (format {version}, this one knows {NEWEST}); run the newer \
             version, or give this one another data directory"
        ),
    }
}
