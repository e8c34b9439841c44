//! What the writer keeps in memory beside the store, so that no hot path counts rows: numbers of tasks, lanes and
//! what waits in them, leases, sessions, groups. All of it can be read back from the store, and is at start and
//! after a transaction that failed; only what a restart ends anyway (how long sessions live, rates) is nowhere else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, params};
use venom_protocol::{Lane, TaskId};

use super::groups::Groups;
use super::session::Sessions;
use super::{aside, code};
use crate::{Counts, State};

/// Number of a lane in the store.
pub(super) type LaneNo = i64;

/// A lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) seq: i64,
    /// Number of its session.
    pub(super) session: i64,
    pub(super) fence: i64,
    pub(super) lane: LaneNo,
    pub(super) priority: u8,
    pub(super) cancel: bool,
    pub(super) parent: bool,
}

#[derive(Debug)]
struct LaneBook {
    lane: Lane,
    group: Option<String>,
    tasks: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// A transaction failed after it changed them.
    pub(super) stale: bool,
    pub(super) counts: Counts,
    pub(super) next_seq: i64,
    pub(super) leases: HashMap<TaskId, Held>,
    pub(super) sessions: Sessions,
    pub(super) groups: Groups,
    /// Records put aside since somebody was told.
    pub(super) corrupt: u64,
    numbers: HashMap<Lane, LaneNo>,
    lanes: HashMap<LaneNo, LaneBook>,
    changed: BTreeSet<LaneNo>,
    /// Pending tasks by urgency (10 - priority) and lane; never zero.
    pending: BTreeMap<(u8, LaneNo), u64>,
}

const MOST_URGENT: u8 = 10;

impl Books {
    /// Reads them from the store.
    pub(super) fn reload(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let sessions = std::mem::take(&mut self.sessions);
        let corrupt = self.corrupt;
        *self = Self {
            stale: true,
            corrupt,
            ..Self::default()
        };
        self.sessions = sessions.reload(conn)?;
        self.groups = Groups::load(conn)?;
        self.next_seq = conn.query_row("SELECT coalesce(max(seq), 0) + 1 FROM tasks", [], |row| row.get(0))?;
        self.load_lanes(conn)?;
        self.load_counts(conn)?;
        self.load_leases(conn)?;
        self.stale = false;
        Ok(())
    }

    fn load_lanes(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut read = conn.prepare("SELECT no, name, tasks FROM lanes")?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            let (no, name, tasks): (LaneNo, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            match name.parse::<Lane>() {
                Ok(lane) => self.know_lane(no, lane, tasks),
                Err(error) => {
                    tracing::error!(%error, "a lane cannot be read; its tasks stay where they are");
                    self.corrupt += 1;
                }
            }
        }
        Ok(())
    }

    fn load_counts(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let count = |index: &str, state: State| -> rusqlite::Result<u64> {
            let number = code::number(state);
            let sql = format!("SELECT count(*) FROM tasks INDEXED BY {index} WHERE state = {number}");
            conn.query_row(&sql, [], |row| row.get(0)).map(code::unsigned)
        };
        self.counts.delayed = count("delayed", State::Delayed)?;
        self.counts.blocked = count("blocked", State::Blocked)?;
        self.counts.dead = conn
            .query_row(
                "SELECT count(*) FROM tasks INDEXED BY ended WHERE state = 5 AND state > 3",
                [],
                |row| row.get(0),
            )
            .map(code::unsigned)?;
        let [completed, failed, cancelled] =
            conn.query_row("SELECT completed, failed, cancelled FROM totals", [], |row| {
                Ok([row.get(0)?, row.get(1)?, row.get(2)?].map(code::unsigned))
            })?;
        (self.counts.completed, self.counts.failed, self.counts.cancelled) = (completed, failed, cancelled);
        let mut read = conn.prepare(
            "SELECT lane, priority, count(*), max(place) FROM tasks INDEXED BY pending WHERE state = 2 \
             GROUP BY lane, priority",
        )?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            self.add_pending(row.get(0)?, row.get(1)?, code::unsigned(row.get(2)?));
            // Requeued tasks took places behind the tasks that were there.
            self.next_seq = self.next_seq.max(row.get::<_, i64>(3)? + 1);
        }
        Ok(())
    }

    fn load_leases(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut read = conn.prepare(
            "SELECT seq, id, session, fence, lane, priority, cancel, parent FROM tasks INDEXED BY running \
             WHERE state = 3",
        )?;
        let found = aside::find(&mut read, [], |row| {
            let held = Held {
                seq: row.get(0)?,
                session: row.get(2)?,
                fence: row.get(3)?,
                lane: row.get(4)?,
                priority: row.get(5)?,
                cancel: row.get(6)?,
                parent: row.get(7)?,
            };
            Ok((code::task_id(row, 1)?, held))
        })?;
        for (id, held) in found.tasks {
            self.sessions.bury_unknown(held.session);
            self.hold(id, held);
        }
        self.corrupt += aside::put(conn, &found.unreadable, State::Running)?;
        Ok(())
    }

    fn know_lane(&mut self, no: LaneNo, lane: Lane, tasks: i64) {
        let book = LaneBook {
            group: lane.group(),
            lane: lane.clone(),
            tasks,
        };
        self.lanes.insert(no, book);
        self.numbers.insert(lane, no);
    }

    /// Its number, if any task was ever submitted to it.
    pub(super) fn find_lane(&self, lane: &Lane) -> Option<LaneNo> {
        self.numbers.get(lane).copied()
    }

    /// Its number; a new one for a new lane.
    pub(super) fn need_lane(&mut self, conn: &Connection, lane: &Lane) -> rusqlite::Result<LaneNo> {
        if let Some(no) = self.find_lane(lane) {
            return Ok(no);
        }
        let mut write = conn.prepare_cached("INSERT INTO lanes (name, tasks) VALUES (?1, 0)")?;
        let no = write.insert([lane.as_str()])?;
        self.know_lane(no, lane.clone(), 0);
        Ok(no)
    }

    pub(super) fn lane(&self, no: LaneNo) -> Option<&Lane> {
        self.lanes.get(&no).map(|book| &book.lane)
    }

    /// Counts tasks that are kept in a lane.
    pub(super) fn keep(&mut self, no: LaneNo, more: i64) {
        if let Some(book) = self.lanes.get_mut(&no) {
            book.tasks += more;
            self.changed.insert(no);
        }
    }

    /// Writes how many tasks lanes have; lanes without any go.
    pub(super) fn write_lanes(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for no in std::mem::take(&mut self.changed) {
            let Some(book) = self.lanes.get(&no) else { continue };
            if book.tasks > 0 {
                let mut write = conn.prepare_cached("UPDATE lanes SET tasks = ?2 WHERE no = ?1")?;
                write.execute(params![no, book.tasks])?;
            } else {
                self.numbers.remove(&book.lane);
                self.lanes.remove(&no);
                conn.prepare_cached("DELETE FROM lanes WHERE no = ?1")?.execute([no])?;
            }
        }
        Ok(())
    }

    /// Counts a task that comes into a state.
    pub(super) fn enter(&mut self, state: State, lane: LaneNo, priority: u8) {
        match state {
            State::Pending => self.add_pending(lane, priority, 1),
            // Leases are counted by `hold`.
            State::Running => {}
            State::Blocked => self.counts.blocked += 1,
            State::Delayed => self.counts.delayed += 1,
            State::Completed => self.counts.completed += 1,
            State::Cancelled => self.counts.cancelled += 1,
            State::Failed => {
                self.counts.failed += 1;
                self.counts.dead += 1;
            }
        }
    }

    /// Counts a task that goes out of a state.
    pub(super) fn exit(&mut self, state: State, lane: LaneNo, priority: u8) {
        let less = |count: &mut u64| *count = count.saturating_sub(1);
        match state {
            State::Pending => self.take_pending(lane, priority, 1),
            State::Blocked => less(&mut self.counts.blocked),
            State::Delayed => less(&mut self.counts.delayed),
            State::Failed => less(&mut self.counts.dead),
            State::Running | State::Completed | State::Cancelled => {}
        }
    }

    /// Counts tasks of a state that were put aside.
    pub(super) fn lose(&mut self, state: State, aside: u64) {
        for _ in 0..aside {
            self.exit(state, 0, 0);
        }
        self.corrupt += aside;
    }

    fn add_pending(&mut self, lane: LaneNo, priority: u8, tasks: u64) {
        *self
            .pending
            .entry((MOST_URGENT.saturating_sub(priority), lane))
            .or_default() += tasks;
        if let Some(count) = self.counts.pending.get_mut(usize::from(priority)) {
            *count += tasks;
        }
    }

    pub(super) fn take_pending(&mut self, lane: LaneNo, priority: u8, tasks: u64) {
        let place = (MOST_URGENT.saturating_sub(priority), lane);
        if let Some(count) = self.pending.get_mut(&place) {
            *count = count.saturating_sub(tasks);
            if *count == 0 {
                self.pending.remove(&place);
            }
        }
        if let Some(count) = self.counts.pending.get_mut(usize::from(priority)) {
            *count = count.saturating_sub(tasks);
        }
    }

    /// How many wait there for a node.
    pub(super) fn pending(&self, lane: LaneNo, priority: u8) -> u64 {
        self.pending
            .get(&(MOST_URGENT.saturating_sub(priority), lane))
            .copied()
            .unwrap_or(0)
    }

    /// Where tasks wait for a node, the most urgent first.
    pub(super) fn ready(&self) -> impl Iterator<Item = (&Lane, u8)> {
        let known = |(urgency, no): &(u8, LaneNo)| Some((self.lane(*no)?, MOST_URGENT.saturating_sub(*urgency)));
        self.pending.keys().filter_map(known)
    }

    /// Books a lease.
    pub(super) fn hold(&mut self, id: TaskId, held: Held) {
        self.leases.insert(id, held);
        self.counts.running += 1;
        if let Some(group) = self.lanes.get(&held.lane).and_then(|book| book.group.as_deref()) {
            self.groups.begin(group);
        }
    }

    /// Ends a lease in the books.
    pub(super) fn release(&mut self, id: TaskId) -> Option<Held> {
        let held = self.leases.remove(&id)?;
        self.counts.running = self.counts.running.saturating_sub(1);
        if let Some(group) = self.lanes.get(&held.lane).and_then(|book| book.group.as_deref()) {
            self.groups.end(group);
        }
        Some(held)
    }

    pub(super) fn group(&self, lane: LaneNo) -> Option<&str> {
        self.lanes.get(&lane)?.group.as_deref()
    }
}
