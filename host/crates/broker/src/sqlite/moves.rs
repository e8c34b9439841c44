//! Ends of tasks, and what they mean for tasks that depend on them.

use rusqlite::params;
use venom_protocol::{ErrorCode, NodeId, TaskId};

use super::txn::{Moving, Txn};
use super::{aside, code};
use crate::{Dependent, State};

/// How a task ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) state: State,
    pub(super) code: Option<ErrorCode>,
    /// Result, error or reason.
    pub(super) text: &'a str,
    pub(super) node: Option<NodeId>,
    /// Ms since 1970; none: as it was.
    pub(super) started_at: Option<i64>,
}

impl<'a> End<'a> {
    /// Without a run.
    pub(super) const fn unrun(state: State, code: Option<ErrorCode>, text: &'a str) -> Self {
        Self {
            state,
            code,
            text,
            node: None,
            started_at: None,
        }
    }
}

/// Ends a task that has left its former state in the books; moves those that depend on it.
pub(super) fn end(
    txn: &mut Txn<'_>,
    task: Moving,
    how: End<'_>,
    dependents: &mut Vec<Dependent>,
) -> rusqlite::Result<()> {
    write(txn, task, how)?;
    if !task.parent {
        return Ok(());
    }
    match how.state {
        State::Completed => unblock(txn, task.seq, dependents),
        state => fail_dependents(txn, task, state, dependents),
    }
}

fn write(txn: &mut Txn<'_>, task: Moving, how: End<'_>) -> rusqlite::Result<()> {
    let mut write = txn.conn.prepare_cached(
        "UPDATE tasks SET state = ?2, ended_at = ?3, code = ?4, outcome = ?5, session = NULL, due_at = NULL, \
         node = coalesce(?6, node), started_at = coalesce(?7, started_at), blockers = 0, cancel = 0 WHERE seq = ?1",
    )?;
    let node = how.node.as_ref().map(|node| node.0.as_bytes().as_slice());
    write.execute(params![
        task.seq,
        code::number(how.state),
        txn.now,
        how.code.map(ErrorCode::as_str),
        how.text,
        node,
        how.started_at,
    ])?;
    txn.enter(how.state, task.lane, task.priority);
    Ok(())
}

/// A task that waits for another one.
struct Child {
    task: Moving,
    blockers: i64,
    delay: i64,
}

/// Tasks that wait for this one.
fn waiting_for(txn: &mut Txn<'_>, seq: i64) -> rusqlite::Result<Vec<Child>> {
    let mut read = txn.conn.prepare_cached(
        "SELECT t.seq, t.id, t.lane, t.priority, t.parent, t.blockers, t.delay FROM deps d \
         CROSS JOIN tasks t ON t.seq = d.child WHERE d.parent = ?1 AND d.waits = 1 AND t.state = 0",
    )?;
    let found = aside::find(&mut read, [seq], |row| {
        Ok(Child {
            task: Moving {
                seq: row.get(0)?,
                id: code::task_id(row, 1)?,
                lane: row.get(2)?,
                priority: row.get(3)?,
                parent: row.get(4)?,
            },
            blockers: row.get(5)?,
            delay: row.get(6)?,
        })
    })?;
    let aside = aside::put(txn.conn, &found.unreadable, State::Blocked)?;
    txn.books.lose(State::Blocked, aside);
    Ok(found.tasks)
}

fn unblock(txn: &mut Txn<'_>, parent: i64, dependents: &mut Vec<Dependent>) -> rusqlite::Result<()> {
    let children = waiting_for(txn, parent)?;
    txn.conn
        .prepare_cached("UPDATE deps SET waits = 0 WHERE parent = ?1")?
        .execute([parent])?;
    let mut write = txn
        .conn
        .prepare_cached("UPDATE tasks SET state = ?2, due_at = ?3, blockers = ?4 WHERE seq = ?1")?;
    for Child { task, blockers, delay } in children {
        if blockers > 1 {
            write.execute(params![
                task.seq,
                code::number(State::Blocked),
                None::<i64>,
                blockers - 1
            ])?;
            continue;
        }
        let (state, due_at) = txn.waiting(delay);
        write.execute(params![task.seq, code::number(state), due_at, 0])?;
        txn.books.exit(State::Blocked, task.lane, task.priority);
        txn.enter(state, task.lane, task.priority);
        dependents.push(Dependent { id: task.id, state });
    }
    Ok(())
}

/// All levels: a dependent that fails fails its own dependents.
fn fail_dependents(
    txn: &mut Txn<'_>,
    parent: Moving,
    state: State,
    dependents: &mut Vec<Dependent>,
) -> rusqlite::Result<()> {
    let mut ended = vec![(parent, state)];
    while let Some((parent, state)) = ended.pop() {
        for Child { task, .. } in waiting_for(txn, parent.seq)? {
            let (code, text) = dependency_failed(parent.id, state);
            txn.books.exit(State::Blocked, task.lane, task.priority);
            write(txn, task, End::unrun(State::Failed, Some(code), &text))?;
            let (id, state) = (task.id, State::Failed);
            dependents.push(Dependent { id, state });
            if task.parent {
                ended.push((task, state));
            }
        }
    }
    Ok(())
}

/// Why a task fails that depends on one that failed or was cancelled.
pub(super) fn dependency_failed(dependency: TaskId, state: State) -> (ErrorCode, String) {
    match state {
        State::Cancelled => (
            ErrorCode::Cancelled,
            format!("task {dependency}, which this one depends on, was cancelled"),
        ),
        _ => (
            ErrorCode::SkillFailed,
            format!("task {dependency}, which this one depends on, failed"),
        ),
    }
}
