//! The shared cache: values with a time to live, in namespaces with a quota of bytes.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::code;
use super::fault::Fault;
use super::txn::Txn;
use crate::BrokerError;

/// What an entry counts beside its key and value.
const ENTRY: i64 = 64;

/// Entries removed at once to make room, as many times as it takes.
const SWEEP: usize = 500;

/// A value to write.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) namespace: String,
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    pub(super) ttl: Duration,
}

fn cost(key: i64, value: i64) -> i64 {
    key.saturating_add(value).saturating_add(ENTRY)
}

/// Writes an entry, in the place of one that was there.
pub(super) fn set(txn: &mut Txn<'_>, quota: u64, entry: &Entry) -> Result<(), Fault> {
    let asked = cost(code::limit(entry.key.len()), code::limit(entry.value.len()));
    let fits = |used: i64| code::unsigned(used.saturating_add(asked)) <= quota;
    if !fits(used_by_others(txn.conn, entry)?) {
        while forget(txn, Some(&entry.namespace), SWEEP)? == SWEEP {}
    }
    let others = used_by_others(txn.conn, entry)?;
    if !fits(others) {
        return Err(Fault::Answer(BrokerError::CacheFull {
            namespace: entry.namespace.clone(),
            used: code::unsigned(others),
            quota,
            asked: code::unsigned(asked),
        }));
    }
    let before = size(txn.conn, &entry.namespace, &entry.key)?;
    let mut write = txn.conn.prepare_cached(
        "INSERT INTO cache (namespace, key, value, expires_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at",
    )?;
    let until = txn.now.saturating_add(code::millis(entry.ttl));
    write.execute(params![entry.namespace, entry.key, entry.value, until])?;
    charge(txn.conn, &entry.namespace, asked - before)?;
    Ok(())
}

/// Removes entries whose time is up; gives how many.
pub(super) fn forget(txn: &mut Txn<'_>, namespace: Option<&str>, most: usize) -> rusqlite::Result<usize> {
    let entries = {
        let mut read = txn.conn.prepare_cached(
            "SELECT no, namespace, length(CAST(key AS BLOB)), length(value) FROM cache INDEXED BY cache_expiry \
             WHERE expires_at <= ?1 AND (?2 IS NULL OR namespace = ?2) ORDER BY expires_at LIMIT ?3",
        )?;
        let found = read.query_map(params![txn.now, namespace, code::limit(most)], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get(2)?,
                row.get(3)?,
            ))
        })?;
        found.collect::<rusqlite::Result<Vec<_>>>()?
    };
    let mut remove = txn.conn.prepare_cached("DELETE FROM cache WHERE no = ?1")?;
    for (no, namespace, key, value) in &entries {
        remove.execute([no])?;
        charge(txn.conn, namespace, -cost(*key, *value))?;
    }
    Ok(entries.len())
}

/// Bytes in use in a namespace without the entry of this key.
fn used_by_others(conn: &Connection, entry: &Entry) -> rusqlite::Result<i64> {
    let mut read = conn.prepare_cached("SELECT used FROM namespaces WHERE name = ?1")?;
    let used: Option<i64> = read.query_row([&entry.namespace], |row| row.get(0)).optional()?;
    Ok(used.unwrap_or_default() - size(conn, &entry.namespace, &entry.key)?)
}

/// Bytes that an entry counts, 0 where there is none.
fn size(conn: &Connection, namespace: &str, key: &str) -> rusqlite::Result<i64> {
    let mut read = conn.prepare_cached("SELECT length(value) FROM cache WHERE namespace = ?1 AND key = ?2")?;
    let value = read.query_row([namespace, key], |row| row.get(0)).optional()?;
    Ok(value.map_or(0, |value| cost(code::limit(key.len()), value)))
}

fn charge(conn: &Connection, namespace: &str, bytes: i64) -> rusqlite::Result<()> {
    let mut write = conn.prepare_cached(
        "INSERT INTO namespaces (name, used) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET used = used + excluded.used",
    )?;
    write.execute(params![namespace, bytes])?;
    if bytes < 0 {
        conn.prepare_cached("DELETE FROM namespaces WHERE name = ?1 AND used <= 0")?
            .execute([namespace])?;
    }
    Ok(())
}

/// A value, and how long it lives on.
pub(super) fn get(conn: &Connection, namespace: &str, key: &str) -> rusqlite::Result<Option<(Vec<u8>, Duration)>> {
    let now = code::now();
    let mut read = conn.prepare_cached(
        "SELECT value, expires_at - ?3 FROM cache WHERE namespace = ?1 AND key = ?2 AND expires_at > ?3",
    )?;
    let found = read.query_row(params![namespace, key, now], |row| {
        let left = Duration::from_millis(code::unsigned(row.get(1)?));
        Ok((row.get(0)?, left))
    });
    found.optional()
}

/// Removes an entry; true when it was there and its time was not up.
pub(super) fn delete(txn: &mut Txn<'_>, namespace: &str, key: &str) -> rusqlite::Result<bool> {
    let bytes = size(txn.conn, namespace, key)?;
    if bytes == 0 {
        return Ok(false);
    }
    let mut remove = txn
        .conn
        .prepare_cached("DELETE FROM cache WHERE namespace = ?1 AND key = ?2 RETURNING expires_at > ?3")?;
    let was_live = remove.query_row(params![namespace, key, txn.now], |row| row.get(0))?;
    charge(txn.conn, namespace, -bytes)?;
    Ok(was_live)
}

/// Keys of a namespace, sorted.
pub(super) fn keys(conn: &Connection, namespace: &str, limit: usize) -> rusqlite::Result<Vec<String>> {
    let mut read =
        conn.prepare_cached("SELECT key FROM cache WHERE namespace = ?1 AND expires_at > ?2 ORDER BY key LIMIT ?3")?;
    let found = read.query_map(params![namespace, code::now(), code::limit(limit)], |row| row.get(0))?;
    found.collect()
}
