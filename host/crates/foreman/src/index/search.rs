//! Searches: the best of those that fit, and how many tasks they take together.

use super::block::{Among, BLOCK, Key, Order, Rooms, room_in};
use super::{Index, Label, Members, Place, bits};

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    /// What a node must have; at least one.
    pub(crate) labels: &'a [Label<'a>],
    /// What it must not have.
    pub(crate) excluded: &'a [Label<'a>],
}

/// Nodes that come first, others only when none of these will do. Of several wishes the first counts most.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wish<'a> {
    /// Not this one.
    Not(Place),
    /// One of these.
    In(&'a Members),
    /// None of these.
    NotIn(&'a Members),
    /// One with any of these labels.
    Any(&'a [Label<'a>]),
}

/// Places counted so far, each once, and the tasks they take together.
#[derive(Debug)]
pub(crate) struct Union {
    counted: Vec<u64>,
    room: u64,
    most: u64,
}

impl Union {
    /// Counting stops at `most`.
    pub(crate) const fn up_to(most: u64) -> Self {
        Self {
            counted: Vec::new(),
            room: 0,
            most,
        }
    }

    /// Tasks that all that was counted takes, at most `most`.
    pub(crate) fn room(&self) -> u64 {
        self.room.min(self.most)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.room >= self.most
    }

    fn add(&mut self, at: usize, places: u64, rooms: &Rooms) {
        if self.counted.len() <= at {
            self.counted.resize(at + 1, 0);
        }
        if let Some(counted) = self.counted.get_mut(at) {
            self.room += room_in(rooms, places & !*counted, self.most);
            *counted |= places;
        }
    }

    /// Counts one place.
    pub(crate) fn add_place(&mut self, place: Place, index: &Index) {
        if let Some(rooms) = index.rooms.get(place / BLOCK) {
            self.add(place / BLOCK, 1 << (place % BLOCK), rooms);
        }
    }
}

/// The sets of a query, looked up.
struct Sets<'a> {
    rarest: &'a Members,
    others: Vec<&'a Members>,
    excluded: Vec<&'a Members>,
}

impl Sets<'_> {
    /// Of `places` in a block, those that fit.
    fn narrow(&self, at: usize, places: u64) -> u64 {
        let places = self.others.iter().fold(places, |places, set| match places {
            0 => 0,
            _ => places & set.word(at),
        });
        self.excluded.iter().fold(places, |places, set| places & !set.word(at))
    }
}

impl Index {
    /// The place that fits, grants the most wishes, and comes first in the order.
    pub(crate) fn best(&self, query: Query<'_>, among: Among, order: Order, wishes: &[Wish<'_>]) -> Option<Place> {
        let sets = self.sets(query)?;
        let mut best: Option<((u32, Key), Place)> = None;
        for (at, word) in sets.rarest.words() {
            let Some(head) = self.heads.get(at) else { continue };
            let candidates = word & head.members(among);
            let Some(bound) = head.lowest(order).filter(|_| candidates != 0) else {
                continue;
            };
            if best.is_some_and(|(found, _)| found <= (0, bound)) {
                continue;
            }
            let (places, failed) = self.granted(wishes, at, sets.narrow(at, candidates));
            if best.is_some_and(|(found, _)| found <= (failed, bound)) {
                continue;
            }
            let lowest = self.standings.get(at).and_then(|all| all.lowest_of(places, order));
            if let Some((key, offset)) = lowest
                && best.is_none_or(|(found, _)| (failed, key) < found)
            {
                best = Some(((failed, key), at * BLOCK + offset));
            }
        }
        best.map(|(_, place)| place)
    }

    /// Of `places` in a block, those that grant the most wishes, and a bit for each wish they do not, the first highest.
    fn granted(&self, wishes: &[Wish<'_>], at: usize, places: u64) -> (u64, u32) {
        wishes.iter().fold((places, 0), |(places, failed), wish| {
            match places & self.wished(wish, at) {
                0 => (places, failed << 1 | 1),
                granting => (granting, failed << 1),
            }
        })
    }

    fn wished(&self, wish: &Wish<'_>, at: usize) -> u64 {
        match wish {
            Wish::Not(place) if place / BLOCK == at => !(1 << (place % BLOCK)),
            Wish::Not(_) => u64::MAX,
            Wish::In(members) => members.word(at),
            Wish::NotIn(members) => !members.word(at),
            Wish::Any(labels) => labels.iter().fold(0, |places, label| {
                places | self.set_of(*label).map_or(0, |set| set.word(at))
            }),
        }
    }

    /// Tasks that all places that fit take together, at most `most`; they are added to the union too.
    pub(crate) fn room_of(&self, query: Query<'_>, most: u64, union: &mut Union) -> u64 {
        let Some(sets) = self.sets(query) else { return 0 };
        let mut room = 0;
        let mut add = |at: usize, roomy: u64| {
            let Some(rooms) = self.rooms.get(at).filter(|_| roomy != 0) else {
                return false;
            };
            let places = sets.narrow(at, roomy);
            room += room_in(rooms, places, most - room);
            if !union.is_full() {
                union.add(at, places, rooms);
            }
            room >= most
        };
        let roomy = |at: usize| self.roomy.get(at).copied().unwrap_or(0);
        // when few blocks have room, those are looked through; else those with the rarest label
        let _full = if self.roomy_blocks.count() * 4 < sets.rarest.blocks() {
            let mut blocks = self.roomy_blocks.iter();
            blocks.any(|at| add(at, roomy(at) & sets.rarest.word(at)))
        } else {
            let mut words = sets.rarest.words();
            words.any(|(at, word)| add(at, word & roomy(at)))
        };
        room
    }

    /// Whether a node fits that takes new work, now or later.
    pub(crate) fn any_willing(&self, query: Query<'_>) -> bool {
        let Some(sets) = self.sets(query) else { return false };
        sets.rarest.words().any(|(at, word)| {
            let willing = self.heads.get(at).map_or(0, |head| head.willing);
            sets.narrow(at, word & willing) != 0
        })
    }

    /// Places, open or not, that fit, in order.
    pub(crate) fn having(&self, query: Query<'_>) -> Vec<Place> {
        let Some(sets) = self.sets(query) else {
            return Vec::new();
        };
        let words = sets.rarest.words();
        let places = words.flat_map(|(at, word)| bits(sets.narrow(at, word)).map(move |offset| at * BLOCK + offset));
        places.collect()
    }

    /// Whether the node at `place` fits.
    pub(crate) fn fits(&self, query: Query<'_>, place: Place) -> bool {
        query.labels.iter().all(|label| self.has(*label, place))
            && !query.excluded.iter().any(|label| self.has(*label, place))
    }

    /// The query's sets; none when nobody has one of the labels.
    fn sets(&self, query: Query<'_>) -> Option<Sets<'_>> {
        let (first, rest) = query.labels.split_first()?;
        let mut rarest = self.set_of(*first)?;
        // most queries have one label: nothing is allocated for those
        let mut others = Vec::new();
        for label in rest {
            let set = self.set_of(*label)?;
            let rarer = set.blocks() < rarest.blocks();
            others.push(if rarer {
                std::mem::replace(&mut rarest, set)
            } else {
                set
            });
        }
        let excluded = query.excluded.iter().filter_map(|label| self.set_of(*label));
        Some(Sets {
            rarest,
            others,
            excluded: excluded.collect(),
        })
    }
}
