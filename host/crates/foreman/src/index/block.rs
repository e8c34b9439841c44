//! 64 places, and bounds of what is in them, so that a search can pass them by.

use venom_protocol::NodeId;

use super::bits;

/// Places in a block.
pub(super) const BLOCK: usize = 64;

/// How nodes compare: load score, then calls in flight, then id. Lower is better; no two are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Bits of a score that is not negative: they sort as the number does.
    score: u64,
    in_flight: u32,
    node_id: NodeId,
}

impl Rank {
    pub(crate) const fn new(score: f64, in_flight: u32, node_id: NodeId) -> Self {
        Self {
            score: score.to_bits(),
            in_flight,
            node_id,
        }
    }

    /// Calls in flight.
    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }
}

/// What the index knows of an online node, beside its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) rank: Rank,
    /// When it was chosen last: grows with every choice.
    pub(crate) chosen: u64,
    /// It takes new work, now or once it has room.
    pub(crate) willing: bool,
    /// It takes a call now.
    pub(crate) open: bool,
    /// Tasks it takes now. None, unless it is open.
    pub(crate) room: u32,
}

/// What comes first among nodes that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The lowest rank.
    Load,
    /// The one not chosen for the longest time, then by rank.
    Turn,
    /// The fewest calls in flight, then by rank.
    Spread,
}

/// Which nodes come into question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Among {
    /// Those that take a call.
    Open,
    /// Those that take a task.
    Roomy,
}

/// What nodes are compared by: first what the order says, then the rank.
pub(super) type Key = (u64, Rank);

#[derive(Debug)]
pub(super) struct Block {
    pub(super) standings: [Option<Standing>; BLOCK],
    pub(super) willing: u64,
    pub(super) open: u64,
    pub(super) roomy: u64,
    /// Lowest rank of the open ones.
    pub(super) lowest: Option<Rank>,
    /// Of the open ones, the earliest choice; too early rather than too late.
    earliest: u64,
    /// Of the open ones, the fewest calls in flight; too few rather than too many.
    fewest: u64,
}

impl Block {
    pub(super) const EMPTY: Self = Self {
        standings: [None; BLOCK],
        willing: 0,
        open: 0,
        roomy: 0,
        lowest: None,
        earliest: 0,
        fewest: 0,
    };

    /// Sets one place; gives the room it had before.
    pub(super) fn set(&mut self, offset: usize, standing: Option<Standing>) -> u32 {
        let Some(slot) = self.standings.get_mut(offset) else {
            return 0;
        };
        let before = std::mem::replace(slot, standing);
        let bit = 1 << offset;
        let mark = |set: &mut u64, on: bool| *set = if on { *set | bit } else { *set & !bit };
        mark(&mut self.willing, standing.is_some_and(|node| node.willing));
        mark(&mut self.open, standing.is_some_and(|node| node.open));
        mark(&mut self.roomy, standing.is_some_and(|node| node.open && node.room > 0));
        self.bound(before.filter(|node| node.open), standing.filter(|node| node.open));
        before.map_or(0, |node| node.room)
    }

    /// Brings the bounds up to date: at once when the new one lies beyond them, by a look at all when the one that made a
    /// bound is gone, else not at all.
    fn bound(&mut self, before: Option<Standing>, after: Option<Standing>) {
        let made_one = before.is_some_and(|node| {
            Some(node.rank) == self.lowest
                || node.chosen <= self.earliest
                || u64::from(node.rank.in_flight()) <= self.fewest
        });
        let Some(lowest) = self.lowest.filter(|_| !made_one) else {
            let open = || bits(self.open).filter_map(|offset| *self.standings.get(offset)?);
            self.lowest = open().map(|node| node.rank).min();
            self.earliest = open().map(|node| node.chosen).min().unwrap_or(0);
            self.fewest = open().map(|node| u64::from(node.rank.in_flight())).min().unwrap_or(0);
            return;
        };
        if let Some(node) = after {
            self.lowest = Some(lowest.min(node.rank));
            self.earliest = self.earliest.min(node.chosen);
            self.fewest = self.fewest.min(u64::from(node.rank.in_flight()));
        }
    }

    pub(super) fn members(&self, among: Among) -> u64 {
        match among {
            Among::Open => self.open,
            Among::Roomy => self.roomy,
        }
    }

    /// No open place has a lower key than this.
    pub(super) fn bound_of(&self, order: Order) -> Option<Key> {
        let first = match order {
            Order::Load => 0,
            Order::Turn => self.earliest,
            Order::Spread => self.fewest,
        };
        Some((first, self.lowest?))
    }

    /// The lowest key among `places`, and where.
    pub(super) fn lowest_of(&self, places: u64, order: Order) -> Option<(Key, usize)> {
        let key = |offset: usize| {
            let node = self.standings.get(offset)?.as_ref()?;
            let first = match order {
                Order::Load => 0,
                Order::Turn => node.chosen,
                Order::Spread => u64::from(node.rank.in_flight()),
            };
            Some(((first, node.rank), offset))
        };
        bits(places).filter_map(key).min()
    }

    /// Tasks that `places` take, together; counting stops at `most`.
    pub(super) fn room(&self, places: u64, most: u64) -> u64 {
        let mut room = 0;
        for offset in bits(places & self.roomy) {
            let node = self.standings.get(offset).and_then(Option::as_ref);
            room += node.map_or(0, |node| u64::from(node.room));
            if room >= most {
                return most;
            }
        }
        room
    }
}
