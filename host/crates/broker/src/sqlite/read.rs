//! Looking at tasks.

use rusqlite::{Connection, OptionalExtension, Row, params};
use venom_protocol::TaskId;

use super::code::{self, TASK_COLUMNS, TASK_JOINS, stored_task};
use super::fault::is_unreadable;
use crate::{State, StoredTask};

/// Tasks in the order asked.
pub(super) fn tasks(conn: &Connection, ids: &[TaskId]) -> rusqlite::Result<Vec<Option<StoredTask>>> {
    let sql = format!("SELECT {TASK_COLUMNS} FROM tasks t {TASK_JOINS} WHERE t.id = ?1 AND t.state < 7");
    let mut read = conn.prepare_cached(&sql)?;
    let found = ids
        .iter()
        .map(|id| read.query_row([id.0.as_bytes().as_slice()], stored_task).optional());
    found.collect()
}

/// Tasks in a state.
pub(super) fn list(conn: &Connection, state: State, limit: usize) -> rusqlite::Result<Vec<StoredTask>> {
    let select = format!("SELECT {TASK_COLUMNS} FROM tasks t");
    let number = code::number(state);
    let limit = code::limit(limit);
    let (index, order) = match state {
        State::Pending => return list_pending(conn, limit),
        State::Blocked => ("blocked", "t.seq"),
        State::Delayed => ("delayed", "t.due_at"),
        State::Running => ("running", "t.seq"),
        State::Completed | State::Failed | State::Cancelled => ("ended", "t.ended_at DESC"),
    };
    let ended = if state.has_ended() { "AND t.state > 3" } else { "" };
    let sql =
        format!("{select} INDEXED BY {index} {TASK_JOINS} WHERE t.state = {number} {ended} ORDER BY {order} LIMIT ?1");
    let mut read = conn.prepare_cached(&sql)?;
    readable(read.query_map([limit], read_task)?)
}

/// The oldest of each lane and priority, then the oldest of those: the index has them in this order, and sorting a
/// long queue is not for now and then.
fn list_pending(conn: &Connection, limit: i64) -> rusqlite::Result<Vec<StoredTask>> {
    let mut next = conn.prepare_cached(
        "SELECT lane, priority FROM tasks INDEXED BY pending WHERE state = 2 AND (lane, priority) > (?1, ?2) \
         ORDER BY lane, priority LIMIT 1",
    )?;
    let mut oldest = conn.prepare_cached(
        "SELECT place, seq FROM tasks INDEXED BY pending WHERE state = 2 AND lane = ?1 AND priority = ?2 \
         ORDER BY place LIMIT ?3",
    )?;
    let mut found: Vec<(i64, i64)> = Vec::new();
    let mut at = (i64::MIN, 0_i64);
    while let Some(here) = next
        .query_row([at.0, at.1], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
    {
        at = here;
        let rows = oldest.query_map([at.0, at.1, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for row in rows {
            found.push(row?);
        }
    }
    found.sort_unstable();
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let sql = format!("SELECT {TASK_COLUMNS} FROM tasks t {TASK_JOINS} WHERE t.seq = ?1");
    let mut read = conn.prepare_cached(&sql)?;
    let tasks = found
        .into_iter()
        .map(|(_, seq)| read.query_row(params![seq], read_task));
    readable(tasks)
}

fn read_task(row: &Row<'_>) -> rusqlite::Result<Option<StoredTask>> {
    match stored_task(row) {
        Ok(task) => Ok(Some(task)),
        Err(error) if is_unreadable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A list shows what can be read; what cannot is put aside when its turn comes.
fn readable(rows: impl Iterator<Item = rusqlite::Result<Option<StoredTask>>>) -> rusqlite::Result<Vec<StoredTask>> {
    rows.filter_map(Result::transpose).collect()
}
