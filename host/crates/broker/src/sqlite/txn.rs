//! One transaction of the writer: the connection, the books, the time, and what is to be said when it is committed.

use std::collections::BTreeSet;
use std::time::Instant;

use rusqlite::{Connection, params};
use venom_protocol::{Lane, TaskId};

use super::books::{Books, LaneNo};
use super::code;
use crate::{Hint, Settings, State};

/// One transaction of the writer.
pub(super) struct Txn<'a> {
    pub(super) conn: &'a Connection,
    pub(super) books: &'a mut Books,
    pub(super) settings: &'a Settings,
    /// Ms since 1970.
    pub(super) now: i64,
    /// For what is not stored: sessions and rates.
    pub(super) instant: Instant,
    ready: BTreeSet<(LaneNo, u8)>,
    hints: Vec<Hint>,
    totals: [u64; 3],
}

/// What its moves need to know of a task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moving {
    pub(super) seq: i64,
    pub(super) id: TaskId,
    pub(super) lane: LaneNo,
    pub(super) priority: u8,
    /// Others depend on it.
    pub(super) parent: bool,
}

impl<'a> Txn<'a> {
    pub(super) fn begin(conn: &'a Connection, books: &'a mut Books, settings: &'a Settings) -> Self {
        let totals = totals(books);
        Self {
            conn,
            books,
            settings,
            now: code::now(),
            instant: Instant::now(),
            ready: BTreeSet::new(),
            hints: Vec::new(),
            totals,
        }
    }

    /// Says something once it is committed.
    pub(super) fn say(&mut self, hint: Hint) {
        self.hints.push(hint);
    }

    /// Pending, or delayed when there is a time to wait for; and that time.
    pub(super) fn waiting(&self, delay: i64) -> (State, Option<i64>) {
        match delay {
            ..=0 => (State::Pending, None),
            delay => (State::Delayed, Some(self.now.saturating_add(delay))),
        }
    }

    /// Books a task into a state.
    pub(super) fn enter(&mut self, state: State, lane: LaneNo, priority: u8) {
        self.books.enter(state, lane, priority);
        if state == State::Pending {
            self.ready.insert((lane, priority));
        }
    }

    /// Writes what the books changed; gives what is to be said.
    pub(super) fn settle(self) -> rusqlite::Result<Vec<Hint>> {
        self.books.write_lanes(self.conn)?;
        let totals = totals(self.books);
        if totals != self.totals {
            let [completed, failed, cancelled] = totals.map(code::signed);
            let mut write = self
                .conn
                .prepare_cached("UPDATE totals SET completed = ?1, failed = ?2, cancelled = ?3")?;
            write.execute(params![completed, failed, cancelled])?;
        }
        let mut hints = self.hints;
        let ready: Vec<(Lane, _)> = self
            .ready
            .into_iter()
            .filter_map(|(lane, level)| Some((self.books.lane(lane)?.clone(), code::priority(level))))
            .collect();
        if !ready.is_empty() {
            hints.push(Hint::Ready(ready));
        }
        Ok(hints)
    }
}

fn totals(books: &Books) -> [u64; 3] {
    [books.counts.completed, books.counts.failed, books.counts.cancelled]
}
