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
    pub(crate) room: u16,
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

impl Order {
    const ALL: [Self; 3] = [Self::Load, Self::Turn, Self::Spread];
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

/// What a block knows of its places: small, and side by side with that of the other blocks, as searches look at all.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) willing: u64,
    pub(super) open: u64,
    pub(super) roomy: u64,
    /// Lowest keys of the open ones, by [`Order`].
    lowest: [Option<Key>; Order::ALL.len()],
}

/// Tasks that each place takes.
pub(super) type Rooms = [u16; BLOCK];

/// How each place stands.
#[derive(Debug)]
pub(super) struct Standings([Option<Standing>; BLOCK]);

impl Head {
    pub(super) const EMPTY: Self = Self {
        willing: 0,
        open: 0,
        roomy: 0,
        lowest: [None; Order::ALL.len()],
    };

    /// One place changed.
    pub(super) fn set(&mut self, offset: usize, before: Option<Standing>, all: &Standings) {
        let after = all.get(offset).copied();
        let bit = 1 << offset;
        let mark = |set: &mut u64, on: bool| *set = if on { *set | bit } else { *set & !bit };
        mark(&mut self.willing, after.is_some_and(|node| node.willing));
        mark(&mut self.open, after.is_some_and(|node| node.open));
        mark(&mut self.roomy, after.is_some_and(|node| node.open && node.room > 0));
        let (before, after) = (before.filter(|node| node.open), after.filter(|node| node.open));
        for (order, lowest) in Order::ALL.into_iter().zip(&mut self.lowest) {
            let key = after.map(|node| node.key(order));
            let was_lowest = before.is_some_and(|node| Some(node.key(order)) == *lowest);
            let is_lowest = key.is_some_and(|key| lowest.is_none_or(|lowest| key <= lowest));
            if is_lowest {
                *lowest = key;
            } else if was_lowest {
                *lowest = all.lowest_of(self.open, order).map(|(key, _)| key);
            }
        }
    }

    pub(super) fn members(&self, among: Among) -> u64 {
        match among {
            Among::Open => self.open,
            Among::Roomy => self.roomy,
        }
    }

    /// The lowest key of the open places.
    pub(super) fn lowest(&self, order: Order) -> Option<Key> {
        *self.lowest.get(order as usize)?
    }
}

impl Standing {
    pub(super) fn key(&self, order: Order) -> Key {
        let first = match order {
            Order::Load => 0,
            Order::Turn => self.chosen,
            Order::Spread => u64::from(self.rank.in_flight),
        };
        (first, self.rank)
    }
}

impl Standings {
    pub(super) const EMPTY: Self = Self([None; BLOCK]);

    pub(super) fn get(&self, offset: usize) -> Option<&Standing> {
        self.0.get(offset)?.as_ref()
    }

    /// Sets one place and gives what was there.
    pub(super) fn replace(&mut self, offset: usize, standing: Option<Standing>) -> Option<Standing> {
        std::mem::replace(self.0.get_mut(offset)?, standing)
    }

    /// The lowest key among `places`, and where.
    pub(super) fn lowest_of(&self, places: u64, order: Order) -> Option<(Key, usize)> {
        let key = |offset: usize| Some((self.get(offset)?.key(order), offset));
        bits(places).filter_map(key).min()
    }
}

/// Tasks that `places` take, together; counting stops at `most`.
pub(super) fn room_in(rooms: &Rooms, places: u64, most: u64) -> u64 {
    let mut room = 0;
    for offset in bits(places) {
        room += rooms.get(offset).copied().map_or(0, u64::from);
        if room >= most {
            return most;
        }
    }
    room
}
