//! Small documents that are changed by compare-and-set. Each change is a new row, whose number is the version.

use rusqlite::{Connection, OptionalExtension, params};

use super::code;
use super::fault::Fault;
use super::txn::Txn;
use crate::Record;

/// A document, as it is now.
pub(super) fn get(conn: &Connection, name: &str) -> rusqlite::Result<Option<Record>> {
    let mut read = conn.prepare_cached("SELECT no, bytes FROM records WHERE name = ?1")?;
    let record = |row: &rusqlite::Row<'_>| {
        Ok(Record {
            version: code::unsigned(row.get(0)?),
            bytes: row.get(1)?,
        })
    };
    read.query_row([name], record).optional()
}

/// Writes a document if it has the version that was seen last; false when it has not.
pub(super) fn put(txn: &mut Txn<'_>, name: &str, bytes: &[u8], expected: u64) -> Result<bool, Fault> {
    let mut read = txn.conn.prepare_cached("SELECT no FROM records WHERE name = ?1")?;
    let version = read.query_row([name], |row| row.get(0)).optional()?;
    if version.map_or(0, code::unsigned) != expected {
        return Ok(false);
    }
    remove(txn, name)?;
    let mut write = txn
        .conn
        .prepare_cached("INSERT INTO records (name, bytes) VALUES (?1, ?2)")?;
    write.execute(params![name, bytes])?;
    Ok(true)
}

/// Removes a document; true when there was one.
pub(super) fn remove(txn: &mut Txn<'_>, name: &str) -> rusqlite::Result<bool> {
    let mut remove = txn.conn.prepare_cached("DELETE FROM records WHERE name = ?1")?;
    Ok(remove.execute([name])? > 0)
}
