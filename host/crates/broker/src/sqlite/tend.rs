//! What time brings, in small steps so that other work goes on between them.

use rusqlite::{Connection, OptionalExtension, params};
use venom_protocol::TaskId;

use super::txn::Txn;
use super::{aside, code, finish, session};
use crate::{Hint, State, Tended};

/// Records that one step moves or removes: about 2 ms of work.
pub(super) const STEP: usize = 500;

/// Steps of one call; what is left is found by the next.
pub(super) const STEPS: usize = 40;

/// What one step did, and whether there is more to do now.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) tended: Tended,
    pub(super) more: bool,
}

/// One step.
pub(super) fn step(txn: &mut Txn<'_>) -> rusqlite::Result<Step> {
    let promoted = promote(txn)?;
    let mut tended = Tended {
        promoted: u64::try_from(promoted).unwrap_or(u64::MAX),
        sessions_ended: txn.books.sessions.give_up(txn.instant),
        corrupt: std::mem::take(&mut txn.books.corrupt),
        ..Tended::default()
    };
    let reaped = reap(txn, &mut tended)?;
    let purged = purge(txn)?;
    let forgotten = forget_cache(txn)?;
    tended.next_due = next_due(txn)?;
    Ok(Step {
        tended,
        more: [promoted, reaped, purged, forgotten].contains(&STEP),
    })
}

/// Adds what a further step did.
pub(super) fn add(sum: &mut Tended, more: Tended) {
    sum.promoted += more.promoted;
    sum.requeued.extend(more.requeued);
    sum.sessions_ended.extend(more.sessions_ended);
    sum.cancelled.extend(more.cancelled);
    sum.corrupt += more.corrupt;
    sum.next_due = more.next_due;
}

fn promote(txn: &mut Txn<'_>) -> rusqlite::Result<usize> {
    let mut read = txn.conn.prepare_cached(
        "SELECT seq, lane, priority FROM tasks INDEXED BY delayed WHERE state = 1 AND due_at <= ?1 \
         ORDER BY due_at LIMIT ?2",
    )?;
    let found = aside::find(&mut read, params![txn.now, code::limit(STEP)], |row| {
        Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?))
    })?;
    let aside = aside::put(txn.conn, &found.unreadable, State::Delayed)?;
    txn.books.lose(State::Delayed, aside);
    let mut write = txn
        .conn
        .prepare_cached("UPDATE tasks SET state = 2, due_at = NULL WHERE seq = ?1")?;
    for (seq, lane, priority) in &found.tasks {
        write.execute([seq])?;
        txn.books.exit(State::Delayed, *lane, *priority);
        txn.enter(State::Pending, *lane, *priority);
    }
    Ok(found.tasks.len() + found.unreadable.len())
}

/// Until the next delayed task is due.
fn next_due(txn: &Txn<'_>) -> rusqlite::Result<Option<std::time::Duration>> {
    let mut read = txn
        .conn
        .prepare_cached("SELECT due_at FROM tasks INDEXED BY delayed WHERE state = 1 ORDER BY due_at LIMIT 1")?;
    let due: Option<i64> = read.query_row([], |row| row.get(0)).optional()?;
    Ok(due.map(|due| std::time::Duration::from_millis(code::unsigned(due.saturating_sub(txn.now)))))
}

/// Puts back what given up sessions held.
fn reap(txn: &mut Txn<'_>, tended: &mut Tended) -> rusqlite::Result<usize> {
    let mut reaped = 0;
    let mut failed = Vec::new();
    for no in txn.books.sessions.gone().to_vec() {
        let tasks = session::leases_of(txn, no, STEP - reaped);
        reaped += tasks.len();
        for task in tasks {
            match finish::expire(txn, task, &mut failed)? {
                State::Cancelled => tended.cancelled.push(task),
                _ => tended.requeued.push(task),
            }
        }
        if reaped == STEP {
            break;
        }
        session::forget(txn, no)?;
    }
    if !failed.is_empty() {
        txn.say(Hint::Ended(
            failed.iter().map(|dependent| dependent.id).collect::<Vec<TaskId>>(),
        ));
    }
    Ok(reaped)
}

/// A task that was kept long enough.
struct Old {
    seq: i64,
    lane: i64,
    priority: u8,
    state: Option<State>,
    linked: bool,
}

fn purge(txn: &mut Txn<'_>) -> rusqlite::Result<usize> {
    let before = txn.now.saturating_sub(code::millis(txn.settings.result_ttl));
    let mut purged = 0;
    for number in [State::Completed, State::Failed, State::Cancelled]
        .map(code::number)
        .into_iter()
        .chain([code::ASIDE])
    {
        for task in old(txn.conn, number, before, STEP - purged)? {
            remove(txn.conn, &task)?;
            txn.books.keep(task.lane, -1);
            if let Some(state) = task.state {
                txn.books.exit(state, task.lane, task.priority);
            }
            purged += 1;
        }
    }
    Ok(purged)
}

fn old(conn: &Connection, number: i64, before: i64, most: usize) -> rusqlite::Result<Vec<Old>> {
    let mut read = conn.prepare_cached(
        "SELECT seq, lane, priority, parent OR depends FROM tasks INDEXED BY ended \
         WHERE state > 3 AND state = ?1 AND ended_at <= ?2 ORDER BY ended_at LIMIT ?3",
    )?;
    let found = read.query_map(params![number, before, code::limit(most)], |row| {
        Ok(Old {
            seq: row.get(0)?,
            lane: row.get(1)?,
            priority: row.get(2)?,
            state: code::state(number),
            linked: row.get(3)?,
        })
    })?;
    found.collect()
}

fn remove(conn: &Connection, task: &Old) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM tasks WHERE seq = ?1")?
        .execute([task.seq])?;
    conn.prepare_cached("DELETE FROM bodies WHERE seq = ?1")?
        .execute([task.seq])?;
    conn.prepare_cached("DELETE FROM progress WHERE task = ?1")?
        .execute([task.seq])?;
    if task.linked {
        conn.prepare_cached("DELETE FROM deps WHERE parent = ?1")?
            .execute([task.seq])?;
        conn.prepare_cached("DELETE FROM deps WHERE child = ?1")?
            .execute([task.seq])?;
    }
    Ok(())
}

fn forget_cache(txn: &mut Txn<'_>) -> rusqlite::Result<usize> {
    super::cache::forget(txn, None, STEP)
}
