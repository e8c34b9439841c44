//! Records that cannot be read, because something else wrote into the file or the disk forgot: each is put aside where
//! it is met, and the rest goes on.

use rusqlite::{Connection, Params, Row, Statement, params};

use super::code;
use super::fault::is_unreadable;
use crate::State;

/// What a query of tasks found: those that can be read, and the numbers (`seq`, its first column) of others.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) tasks: Vec<T>,
    pub(super) unreadable: Vec<i64>,
}

/// Runs a query that has `seq` as its first column.
pub(super) fn find<T>(
    read: &mut Statement<'_>,
    params: impl Params,
    task: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Found<T>> {
    let mut rows = read.query(params)?;
    let mut found = Found {
        tasks: Vec::new(),
        unreadable: Vec::new(),
    };
    while let Some(row) = rows.next()? {
        match task(row) {
            Ok(task) => found.tasks.push(task),
            Err(error) if is_unreadable(&error) => found.unreadable.push(row.get(0)?),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Takes tasks out of the way; they are removed when the results of this time are.
pub(super) fn put(conn: &Connection, tasks: &[i64], was: State) -> rusqlite::Result<u64> {
    let mut write = conn.prepare_cached("UPDATE tasks SET state = ?2, ended_at = ?3 WHERE seq = ?1")?;
    for seq in tasks {
        tracing::error!(seq, ?was, "a task cannot be read and is put aside");
        write.execute(params![seq, code::ASIDE, code::now()])?;
    }
    Ok(u64::try_from(tasks.len()).unwrap_or(u64::MAX))
}
