//! Ends of leases.

use rusqlite::params;
use venom_protocol::{ErrorCode, NodeId, SessionId, TaskId};

use super::books::Held;
use super::code;
use super::moves::{End, end};
use super::txn::{Moving, Txn};
use crate::{Dependent, Ending, EndingKind, Recorded, Settled, State};

/// What a task says that was cancelled while it ran and whose run did not end it.
const CANCELLED: &str = "cancelled on request while it ran";

/// Ends leases, each with the fence it was given.
pub(super) fn finish(txn: &mut Txn<'_>, session: SessionId, endings: &[Ending]) -> rusqlite::Result<Settled> {
    let mut settled = Settled::default();
    let session = txn.books.sessions.number(session);
    for ending in endings {
        let held = txn.books.leases.get(&ending.id).copied();
        let held = held.filter(|held| Some(held.session) == session && code::unsigned(held.fence) == ending.fence);
        let recorded = match held {
            Some(held) => Recorded::Written(record(txn, held, ending, &mut settled.dependents)?),
            None => Recorded::Stale,
        };
        settled.recorded.push(recorded);
    }
    Ok(settled)
}

fn record(txn: &mut Txn<'_>, held: Held, ending: &Ending, dependents: &mut Vec<Dependent>) -> rusqlite::Result<State> {
    let (state, code, text) = match &ending.kind {
        EndingKind::Completed { result } => (State::Completed, None, result.as_str()),
        EndingKind::Failed { code, error } => (State::Failed, Some(*code), error.as_str()),
        EndingKind::Cancelled { reason } => (State::Cancelled, None, reason.as_str()),
        EndingKind::Retry { .. } | EndingKind::Returned if held.cancel => (State::Cancelled, None, CANCELLED),
        EndingKind::Retry {
            delay,
            code,
            error,
            lost_node,
        } => {
            let run = FailedRun {
                node: ending.node,
                code: *code,
                error,
                lost_node: *lost_node,
            };
            return retry(txn, held, ending.id, code::millis(*delay), &run);
        }
        EndingKind::Returned => return go_back(txn, held, ending.id, 1),
    };
    let how = End {
        state,
        code,
        text,
        node: ending.node,
        started_at: Some(code::signed(ending.started_at)).filter(|at| *at > 0),
    };
    txn.books.release(ending.id);
    end(txn, moving(ending.id, held), how, dependents)?;
    Ok(state)
}

const fn moving(id: TaskId, held: Held) -> Moving {
    Moving {
        seq: held.seq,
        id,
        lane: held.lane,
        priority: held.priority,
        parent: held.parent,
    }
}

struct FailedRun<'a> {
    node: Option<NodeId>,
    code: ErrorCode,
    error: &'a str,
    lost_node: bool,
}

fn retry(txn: &mut Txn<'_>, held: Held, id: TaskId, delay: i64, run: &FailedRun<'_>) -> rusqlite::Result<State> {
    let (state, due_at) = txn.waiting(delay);
    let mut write = txn.conn.prepare_cached(
        "UPDATE tasks SET state = ?2, due_at = ?3, session = NULL, node = coalesce(?4, node), code = ?5, outcome = ?6, \
         losses = losses + ?7 WHERE seq = ?1",
    )?;
    write.execute(params![
        held.seq,
        code::number(state),
        due_at,
        run.node.as_ref().map(|node| node.0.as_bytes().as_slice()),
        run.code.as_str(),
        run.error,
        run.lost_node,
    ])?;
    txn.books.release(id);
    txn.enter(state, held.lane, held.priority);
    Ok(state)
}

/// Back to its old place in the lane, which is before all newer work.
fn go_back(txn: &mut Txn<'_>, held: Held, id: TaskId, uncounted: i64) -> rusqlite::Result<State> {
    let mut write = txn
        .conn
        .prepare_cached("UPDATE tasks SET state = 2, session = NULL, attempt = max(attempt - ?2, 0) WHERE seq = ?1")?;
    write.execute(params![held.seq, uncounted])?;
    txn.books.release(id);
    txn.enter(State::Pending, held.lane, held.priority);
    Ok(State::Pending)
}

/// Returns a lease whose session leaves.
pub(super) fn give_back(txn: &mut Txn<'_>, id: TaskId, dependents: &mut Vec<Dependent>) -> rusqlite::Result<State> {
    lose_session(txn, id, 1, dependents)
}

/// Puts back what a dead session ran: the run may have begun, so it counts.
pub(super) fn expire(txn: &mut Txn<'_>, id: TaskId, dependents: &mut Vec<Dependent>) -> rusqlite::Result<State> {
    lose_session(txn, id, 0, dependents)
}

fn lose_session(
    txn: &mut Txn<'_>,
    id: TaskId,
    uncounted: i64,
    dependents: &mut Vec<Dependent>,
) -> rusqlite::Result<State> {
    let Some(held) = txn.books.leases.get(&id).copied() else {
        return Ok(State::Pending);
    };
    if !held.cancel {
        return go_back(txn, held, id, uncounted);
    }
    txn.books.release(id);
    end(
        txn,
        moving(id, held),
        End::unrun(State::Cancelled, None, CANCELLED),
        dependents,
    )?;
    Ok(State::Cancelled)
}
