//! Leases: waiting tasks to a live session.

use rusqlite::{Row, params};
use venom_protocol::{SessionId, TaskId};

use super::books::{Held, LaneNo};
use super::groups::Room;
use super::txn::Txn;
use super::{aside, code};
use crate::{Claim, Lease, State, Want};

/// Leases tasks, want by want.
pub(super) fn claim(txn: &mut Txn<'_>, id: SessionId, wants: &[Want], total: usize) -> rusqlite::Result<Claim> {
    let mut claim = Claim::default();
    let Some(session) = txn.books.sessions.live(id, txn.instant) else {
        return Ok(claim);
    };
    for want in wants {
        take(txn, session, want, total, &mut claim)?;
    }
    Ok(claim)
}

fn take(txn: &mut Txn<'_>, session: i64, want: &Want, total: usize, claim: &mut Claim) -> rusqlite::Result<()> {
    let level = want.priority.level();
    let Some(lane) = txn.books.find_lane(&want.lane) else {
        claim.empty.push((want.lane.clone(), want.priority));
        return Ok(());
    };
    let room = room(txn, lane);
    let most = want.most.min(total.saturating_sub(claim.leases.len()));
    let allowed = room.map_or(most, |room| most.min(room.tasks));
    let before = claim.leases.len();
    while claim.leases.len() - before < allowed && txn.books.pending(lane, level) > 0 {
        let more = allowed - (claim.leases.len() - before);
        if lease(txn, session, want, lane, more, &mut claim.leases)? == 0 {
            break;
        }
    }
    spend(txn, lane, claim.leases.len() - before);
    if txn.books.pending(lane, level) == 0 {
        claim.empty.push((want.lane.clone(), want.priority));
    } else if let Some(room) = room.filter(|room| room.tasks < most) {
        claim.held_back.push((want.lane.clone(), want.priority, room.then));
    }
    Ok(())
}

fn room(txn: &mut Txn<'_>, lane: LaneNo) -> Option<Room> {
    let group = txn.books.group(lane)?.to_owned();
    txn.books.groups.room(&group, txn.instant)
}

fn spend(txn: &mut Txn<'_>, lane: LaneNo, tasks: usize) {
    if let Some(group) = txn.books.group(lane).map(str::to_owned) {
        txn.books.groups.spend(&group, tasks);
    }
}

/// A task as it is found waiting.
struct Waiting {
    seq: i64,
    cancel: bool,
    parent: bool,
    depends: i64,
    lease: Lease,
}

/// Leases at most `most`; gives how many rows were taken from the lane, with those that cannot be read.
fn lease(
    txn: &mut Txn<'_>,
    session: i64,
    want: &Want,
    lane: LaneNo,
    most: usize,
    leases: &mut Vec<Lease>,
) -> rusqlite::Result<usize> {
    let found = waiting(txn, want, lane, most)?;
    let taken = found.tasks.len() + found.unreadable.len();
    txn.books
        .take_pending(lane, want.priority.level(), u64::try_from(taken).unwrap_or_default());
    txn.books.corrupt += aside::put(txn.conn, &found.unreadable, State::Pending)?;
    let mut write = txn.conn.prepare_cached(
        "UPDATE tasks SET state = 3, session = ?2, fence = ?3, attempt = ?4, started_at = ?5 WHERE seq = ?1",
    )?;
    for mut task in found.tasks {
        let fence = code::signed(task.lease.fence);
        write.execute(params![task.seq, session, fence, task.lease.attempt, txn.now])?;
        let held = Held {
            seq: task.seq,
            session,
            fence,
            lane,
            priority: want.priority.level(),
            cancel: task.cancel,
            parent: task.parent,
        };
        txn.books.hold(task.lease.id, held);
        if task.depends > 0 {
            task.lease.inputs = inputs(txn, task.seq)?;
        }
        leases.push(task.lease);
    }
    Ok(taken)
}

/// The first of a lane.
fn waiting(txn: &Txn<'_>, want: &Want, lane: LaneNo, most: usize) -> rusqlite::Result<aside::Found<Waiting>> {
    let mut read = txn.conn.prepare_cached(
        "SELECT t.seq, t.id, t.fence, t.attempt, t.losses, t.created_at, t.node, t.cancel, t.parent, t.depends, b.body \
         FROM tasks t INDEXED BY pending LEFT JOIN bodies b ON b.seq = t.seq \
         WHERE t.state = 2 AND t.lane = ?1 AND t.priority = ?2 ORDER BY t.place LIMIT ?3",
    )?;
    let lane = params![lane, want.priority.level(), code::limit(most)];
    aside::find(&mut read, lane, |row| read_waiting(row, want))
}

fn read_waiting(row: &Row<'_>, want: &Want) -> rusqlite::Result<Waiting> {
    let attempt: u32 = row.get(3)?;
    let lease = Lease {
        id: code::task_id(row, 1)?,
        fence: code::unsigned(row.get(2)?) + 1,
        attempt: attempt.saturating_add(1),
        losses: row.get(4)?,
        lane: want.lane.clone(),
        priority: want.priority,
        body: row.get(10)?,
        created_at: code::unsigned(row.get(5)?),
        last_node: code::node_id(row, 6)?,
        inputs: Vec::new(),
    };
    Ok(Waiting {
        seq: row.get(0)?,
        cancel: row.get(7)?,
        parent: row.get(8)?,
        depends: row.get(9)?,
        lease,
    })
}

fn inputs(txn: &Txn<'_>, seq: i64) -> rusqlite::Result<Vec<(TaskId, String)>> {
    let mut read = txn.conn.prepare_cached(
        "SELECT t.id, t.outcome FROM deps d INDEXED BY dep_children CROSS JOIN tasks t ON t.seq = d.parent \
         WHERE d.child = ?1 AND t.state = 4",
    )?;
    let results = read.query_map([seq], |row| Ok((code::task_id(row, 0)?, row.get(1)?)))?;
    results.collect()
}
