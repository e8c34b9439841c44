//! How values are written in columns and read back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Error, Row};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as Unreadable;
use uuid::Uuid;
use venom_protocol::{ErrorCode, Lane, NodeId, Priority, SessionId, TaskId};

use crate::{Outcome, State, StoredTask};

/// A record that could not be read and was put aside: no index but `ended` has it, and nothing reads that.
pub(super) const ASIDE: i64 = 7;

/// Number of a state, as the partial indices of the schema name them.
pub(super) const fn number(state: State) -> i64 {
    match state {
        State::Blocked => 0,
        State::Delayed => 1,
        State::Pending => 2,
        State::Running => 3,
        State::Completed => 4,
        State::Failed => 5,
        State::Cancelled => 6,
    }
}

pub(super) fn state(number: i64) -> Option<State> {
    Some(match number {
        0 => State::Blocked,
        1 => State::Delayed,
        2 => State::Pending,
        3 => State::Running,
        4 => State::Completed,
        5 => State::Failed,
        6 => State::Cancelled,
        _ => return None,
    })
}

/// Negative numbers are never written; one that was put there by hand counts as zero.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// For `LIMIT`.
pub(super) fn limit(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Ms since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}

pub(super) fn priority(level: u8) -> Priority {
    Priority::new(level).unwrap_or(Priority::LOWEST)
}

fn wrong(column: usize, kind: Type, why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(column, kind, Box::new(why))
}

pub(super) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    let bytes = row
        .get_ref(column)?
        .as_blob()
        .map_err(|why| wrong(column, Type::Blob, why))?;
    Uuid::from_slice(bytes).map_err(|why| wrong(column, Type::Blob, why))
}

pub(super) fn task_id(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskId> {
    uuid(row, column).map(TaskId)
}

pub(super) fn node_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<NodeId>> {
    match row.get_ref(column)?.data_type() {
        Type::Null => Ok(None),
        _ => uuid(row, column).map(|id| Some(NodeId(id))),
    }
}

pub(super) fn error_code(text: &str) -> ErrorCode {
    let read: Result<ErrorCode, Unreadable> = ErrorCode::deserialize(text.into_deserializer());
    read.unwrap_or(ErrorCode::SkillFailed)
}

/// Columns of a whole task for [`stored_task`]; for statements that call `tasks` `t`.
pub(super) const TASK_COLUMNS: &str = "t.id, t.state, l.name, t.priority, t.fence, t.attempt, t.losses, b.body, \
    t.created_at, t.due_at, t.started_at, t.ended_at, t.node, s.id, t.code, t.outcome";

/// Joins for [`TASK_COLUMNS`].
pub(super) const TASK_JOINS: &str = "LEFT JOIN lanes l ON l.no = t.lane LEFT JOIN bodies b ON b.seq = t.seq \
    LEFT JOIN sessions s ON s.no = t.session";

/// Reads a row of [`TASK_COLUMNS`].
pub(super) fn stored_task(row: &Row<'_>) -> rusqlite::Result<StoredTask> {
    let number: i64 = row.get(1)?;
    let state = state(number).ok_or_else(|| wrong(1, Type::Integer, FromSqlError::OutOfRange(number)))?;
    let lane = row.get_ref(2)?.as_str().map_err(|why| wrong(2, Type::Text, why))?;
    let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(unsigned));
    Ok(StoredTask {
        id: task_id(row, 0)?,
        state,
        lane: lane.parse::<Lane>().map_err(|why| wrong(2, Type::Text, why))?,
        priority: priority(row.get(3)?),
        fence: unsigned(row.get(4)?),
        attempt: row.get(5)?,
        losses: row.get(6)?,
        body: row.get(7)?,
        created_at: unsigned(row.get(8)?),
        due_at: time(9)?.filter(|_| state == State::Delayed),
        started_at: time(10)?,
        ended_at: time(11)?,
        node: node_id(row, 12)?,
        session: match row.get_ref(13)?.data_type() {
            Type::Null => None,
            _ => Some(SessionId(uuid(row, 13)?)),
        },
        outcome: outcome(state, row.get(14)?, row.get(15)?),
    })
}

fn outcome(state: State, code: Option<String>, text: Option<String>) -> Option<Outcome> {
    let text = text?;
    Some(match state {
        State::Completed => Outcome::Completed(text),
        State::Cancelled => Outcome::Cancelled(text),
        _ => Outcome::Failed(error_code(code.as_deref().unwrap_or_default()), text),
    })
}
