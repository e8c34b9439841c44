//! Limits of groups: how many of one run, and how many begin in a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use venom_protocol::GroupLimits;

use super::txn::Txn;
use crate::GroupState;

/// When to ask again for a group that is full: the end of one of its tasks says it sooner.
const FULL: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Group {
    limits: Option<GroupLimits>,
    running: u64,
    /// Tasks that may begin, of at most one second's worth.
    tokens: f64,
    counted_at: Instant,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            limits: None,
            running: 0,
            tokens: 0.0,
            counted_at: Instant::now(),
        }
    }
}

/// All groups that have limits or running tasks.
#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<String, Group>);

/// What a group lets begin now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) tasks: usize,
    /// Until there is room for one more than that.
    pub(super) then: Duration,
}

impl Groups {
    /// Limits only: leases are booked one by one. Rates begin full.
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let mut groups = Self::default();
        let mut read = conn.prepare("SELECT name, concurrency, rate FROM groups")?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            let limits = GroupLimits {
                concurrency: row.get(1)?,
                rate: row.get(2)?,
            };
            groups.limit(row.get(0)?, limits);
        }
        Ok(groups)
    }

    fn limit(&mut self, name: String, limits: GroupLimits) {
        let group = self.0.entry(name).or_default();
        let had_rate = group.limits.is_some_and(|before| before.rate.is_some());
        group.limits = Some(limits);
        let most = burst(limits.rate.unwrap_or_default());
        group.tokens = if had_rate { group.tokens.min(most) } else { most };
    }

    fn free(&mut self, name: &str) {
        if let Some(group) = self.0.get_mut(name) {
            group.limits = None;
            if group.running == 0 {
                self.0.remove(name);
            }
        }
    }

    pub(super) fn begin(&mut self, name: &str) {
        match self.0.get_mut(name) {
            Some(group) => group.running += 1,
            None => self.0.entry(name.to_owned()).or_default().running = 1,
        }
    }

    pub(super) fn end(&mut self, name: &str) {
        if let Some(group) = self.0.get_mut(name) {
            group.running = group.running.saturating_sub(1);
            if group.running == 0 && group.limits.is_none() {
                self.0.remove(name);
            }
        }
    }

    /// What may begin now; none: no limits.
    pub(super) fn room(&mut self, name: &str, now: Instant) -> Option<Room> {
        let group = self.0.get_mut(name)?;
        let limits = group.limits?;
        let free = limits
            .concurrency
            .map(|most| u64::from(most).saturating_sub(group.running));
        let by_count = Room {
            tasks: free.map_or(usize::MAX, |free| usize::try_from(free).unwrap_or(usize::MAX)),
            then: FULL,
        };
        let by_rate = limits.rate.map(|rate| group.refilled(rate, now));
        Some(by_rate.filter(|room| room.tasks < by_count.tasks).unwrap_or(by_count))
    }

    /// Counts tasks that begin against the rate of their group.
    pub(super) fn spend(&mut self, name: &str, tasks: usize) {
        if let Some(group) = self.0.get_mut(name) {
            group.tokens -= u32::try_from(tasks).map_or(f64::MAX, f64::from);
        }
    }

    fn states(&self) -> Vec<GroupState> {
        let mut states: Vec<GroupState> = self.0.iter().map(|(name, group)| state(name, group)).collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }
}

fn state(name: &str, group: &Group) -> GroupState {
    GroupState {
        name: name.to_owned(),
        limits: group.limits.unwrap_or_default(),
        running: group.running,
    }
}

/// Most tasks that begin at once after a rest.
fn burst(rate: f64) -> f64 {
    rate.max(1.0)
}

impl Group {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of tasks, not negative; a float too large for usize becomes its maximum"
    )]
    fn refilled(&mut self, rate: f64, now: Instant) -> Room {
        let since = now.saturating_duration_since(self.counted_at);
        self.counted_at = now;
        if rate > 0.0 {
            self.tokens = (self.tokens + since.as_secs_f64() * rate).min(burst(rate));
        } else {
            self.tokens = 0.0;
        }
        let whole = self.tokens.max(0.0).floor();
        let missing = (whole + 1.0 - self.tokens) / rate;
        Room {
            tasks: whole as usize,
            then: Duration::try_from_secs_f64(missing).unwrap_or(FULL),
        }
    }
}

/// Sets or removes limits.
pub(super) fn limit(txn: &mut Txn<'_>, name: &str, limits: Option<GroupLimits>) -> rusqlite::Result<()> {
    if let Some(limits) = limits {
        let mut write = txn.conn.prepare_cached(
            "INSERT INTO groups (name, concurrency, rate) VALUES (?1, ?2, ?3) \
             ON CONFLICT (name) DO UPDATE SET concurrency = excluded.concurrency, rate = excluded.rate",
        )?;
        write.execute(params![name, limits.concurrency, limits.rate])?;
        txn.books.groups.limit(name.to_owned(), limits);
    } else {
        txn.conn
            .prepare_cached("DELETE FROM groups WHERE name = ?1")?
            .execute([name])?;
        txn.books.groups.free(name);
    }
    Ok(())
}

/// Groups that have limits or running tasks.
pub(super) fn list(txn: &Txn<'_>) -> Vec<GroupState> {
    txn.books.groups.states()
}
