//! Cancelling tasks, and putting failed ones back.

use rusqlite::{OptionalExtension, params};
use venom_protocol::TaskId;

use super::code;
use super::moves::{End, end};
use super::txn::{Moving, Txn};
use crate::{Cancelled, Hint, State};

/// What a task says that was cancelled before it ran.
const CANCELLED: &str = "cancelled on request before it began";

struct Found {
    task: Moving,
    state: State,
    depends: i64,
}

fn find(txn: &Txn<'_>, id: TaskId) -> rusqlite::Result<Option<Found>> {
    let mut read = txn
        .conn
        .prepare_cached("SELECT seq, lane, priority, parent, state, depends FROM tasks WHERE id = ?1")?;
    let found = read.query_row([id.0.as_bytes().as_slice()], |row| {
        let task = Moving {
            seq: row.get(0)?,
            id,
            lane: row.get(1)?,
            priority: row.get(2)?,
            parent: row.get(3)?,
        };
        Ok((task, row.get(4)?, row.get(5)?))
    });
    let Some((task, number, depends)) = found.optional()? else {
        return Ok(None);
    };
    Ok(code::state(number).map(|state| Found { task, state, depends }))
}

/// Takes a task back.
pub(super) fn cancel(txn: &mut Txn<'_>, id: TaskId) -> rusqlite::Result<Cancelled> {
    let Some(found) = find(txn, id)? else {
        return Ok(Cancelled::Unknown);
    };
    if found.state.has_ended() {
        return Ok(Cancelled::Ended(found.state));
    }
    let task = found.task;
    if found.state == State::Running {
        txn.conn
            .prepare_cached("UPDATE tasks SET cancel = 1 WHERE seq = ?1")?
            .execute([task.seq])?;
        if let Some(held) = txn.books.leases.get_mut(&id) {
            held.cancel = true;
        }
        txn.say(Hint::Cancel(id));
        return Ok(Cancelled::Asked);
    }
    txn.books.exit(found.state, task.lane, task.priority);
    let mut dependents = Vec::new();
    end(
        txn,
        task,
        End::unrun(State::Cancelled, None, CANCELLED),
        &mut dependents,
    )?;
    Ok(Cancelled::Now(dependents))
}

/// Puts a failed or cancelled task back, behind what waits.
pub(super) fn requeue(txn: &mut Txn<'_>, id: TaskId) -> rusqlite::Result<bool> {
    let Some(found) = find(txn, id)? else { return Ok(false) };
    if !matches!(found.state, State::Failed | State::Cancelled) {
        return Ok(false);
    }
    let task = found.task;
    let blockers = if found.depends > 0 {
        count_again(txn, task.seq)?
    } else {
        0
    };
    let state = if blockers > 0 { State::Blocked } else { State::Pending };
    let place = txn.books.next_seq;
    txn.books.next_seq += 1;
    let mut write = txn.conn.prepare_cached(
        "UPDATE tasks SET state = ?2, place = ?3, blockers = ?4, attempt = 0, losses = 0, ended_at = NULL, \
         code = NULL, outcome = NULL, cancel = 0 WHERE seq = ?1",
    )?;
    write.execute(params![task.seq, code::number(state), place, blockers])?;
    txn.books.exit(found.state, task.lane, task.priority);
    txn.enter(state, task.lane, task.priority);
    Ok(true)
}

/// Dependencies of a task that have not ended; it waits for those and no others.
fn count_again(txn: &Txn<'_>, seq: i64) -> rusqlite::Result<i64> {
    let mut write = txn.conn.prepare_cached(
        "UPDATE deps SET waits = coalesce((SELECT t.state < 4 FROM tasks t WHERE t.seq = deps.parent), 0) \
         WHERE child = ?1",
    )?;
    write.execute([seq])?;
    let mut read = txn
        .conn
        .prepare_cached("SELECT coalesce(sum(waits), 0) FROM deps WHERE child = ?1")?;
    read.query_row([seq], |row| row.get(0))
}
