//! Progress logs of tasks: numbered entries, of which the newest are kept.

use rusqlite::{Connection, OptionalExtension, params};
use venom_protocol::TaskId;

use super::code;
use super::txn::Txn;
use crate::Progress;

/// Appends entries; gives their numbers, 0 for unknown tasks.
pub(super) fn append(txn: &mut Txn<'_>, entries: &[(TaskId, String)]) -> rusqlite::Result<Vec<u64>> {
    let conn = txn.conn;
    let kept = code::limit(txn.settings.max_progress.max(1));
    let mut write = conn.prepare_cached("INSERT INTO progress (task, n, text) VALUES (?1, ?2, ?3)")?;
    let mut trim = conn.prepare_cached("DELETE FROM progress WHERE task = ?1 AND n <= ?2")?;
    let mut numbers = Vec::with_capacity(entries.len());
    for (id, text) in entries {
        let Some(task) = seq(conn, *id)? else {
            numbers.push(0);
            continue;
        };
        let number = last(conn, task)? + 1;
        write.execute(params![task, number, text])?;
        if number > kept {
            trim.execute(params![task, number - kept])?;
        }
        numbers.push(code::unsigned(number));
    }
    Ok(numbers)
}

/// The newest entry is always kept, so its number is the highest ever given.
fn last(conn: &Connection, task: i64) -> rusqlite::Result<i64> {
    let mut read = conn.prepare_cached("SELECT coalesce(max(n), 0) FROM progress WHERE task = ?1")?;
    read.query_row([task], |row| row.get(0))
}

fn seq(conn: &Connection, id: TaskId) -> rusqlite::Result<Option<i64>> {
    let mut read = conn.prepare_cached("SELECT seq FROM tasks WHERE id = ?1")?;
    read.query_row([id.0.as_bytes().as_slice()], |row| row.get(0))
        .optional()
}

/// Entries after a number, oldest first.
pub(super) fn after(conn: &Connection, id: TaskId, after: u64, limit: usize) -> rusqlite::Result<Vec<Progress>> {
    let Some(task) = seq(conn, id)? else {
        return Ok(Vec::new());
    };
    let mut read =
        conn.prepare_cached("SELECT n, text FROM progress WHERE task = ?1 AND n > ?2 ORDER BY n LIMIT ?3")?;
    let found = read.query_map(params![task, code::signed(after), code::limit(limit)], |row| {
        Ok(Progress {
            seq: code::unsigned(row.get(0)?),
            text: row.get(1)?,
        })
    })?;
    found.collect()
}
