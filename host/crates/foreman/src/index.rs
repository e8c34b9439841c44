//! Finds the least loaded node that has a set of skills and tags, among ten thousand, in microseconds.
//!
//! Nodes sit in numbered places, 64 to a block. A block keeps the rank of each node, which of them are open
//! for calls, and the lowest rank of those. For each skill and tag there is a sparse bit set of places. A
//! search walks the blocks of the rarest label asked for, intersects bit sets, and skips every block whose
//! lowest rank is no better than the best found (branch and bound); a changed rank touches one block only,
//! however many labels the node has. It knows nothing of links, calls or time.

use std::collections::BTreeMap;
use std::fmt;

use venom_protocol::{Capabilities, NodeId};

/// Place of a node; small numbers, reused.
pub(crate) type Place = usize;

const BLOCK: usize = 64;

/// The labels of a node with these capabilities.
pub(crate) fn labels(capabilities: &Capabilities) -> impl Iterator<Item = Label<'_>> {
    let skills = capabilities.skills.iter().map(|name| Label::Skill(name));
    let tags = capabilities.tags.iter().map(|name| Label::Tag(name));
    skills.chain(tags).chain(capabilities.has_gpu.then_some(Label::Gpu))
}

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

/// Something a node has and a call may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Label<'a> {
    Skill(&'a str),
    Tag(&'a str),
    Gpu,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skill(name) => write!(f, "skill `{name}`"),
            Self::Tag(name) => write!(f, "tag `{name}`"),
            Self::Gpu => f.write_str("a gpu"),
        }
    }
}

/// A sparse bit set of places: words that are not zero, by block, in order.
#[derive(Debug, Default)]
struct Members(Vec<(usize, u64)>);

impl Members {
    fn insert(&mut self, place: Place) {
        let (block, bit) = split(place);
        match self.0.binary_search_by_key(&block, |word| word.0) {
            Ok(at) => {
                if let Some(word) = self.0.get_mut(at) {
                    word.1 |= bit;
                }
            }
            Err(at) => self.0.insert(at, (block, bit)),
        }
    }

    fn remove(&mut self, place: Place) {
        let (block, bit) = split(place);
        let Ok(at) = self.0.binary_search_by_key(&block, |word| word.0) else {
            return;
        };
        if let Some(word) = self.0.get_mut(at) {
            word.1 &= !bit;
            if word.1 == 0 {
                self.0.remove(at);
            }
        }
    }

    fn word(&self, block: usize) -> u64 {
        let found = self.0.binary_search_by_key(&block, |word| word.0).ok();
        found.and_then(|at| self.0.get(at)).map_or(0, |word| word.1)
    }
}

#[derive(Debug)]
struct Block {
    open: u64,
    /// Lowest rank of the open ones.
    lowest: Option<Rank>,
    ranks: [Option<Rank>; BLOCK],
}

impl Block {
    const EMPTY: Self = Self {
        open: 0,
        lowest: None,
        ranks: [None; BLOCK],
    };

    /// The lowest rank among `places`, and where.
    fn lowest_of(&self, places: u64) -> Option<(Rank, usize)> {
        bits(places)
            .filter_map(|offset| Some(((*self.ranks.get(offset)?)?, offset)))
            .min()
    }
}

/// The index. Holds online nodes only.
#[derive(Debug, Default)]
pub(crate) struct Index {
    blocks: Vec<Block>,
    skills: BTreeMap<String, Members>,
    tags: BTreeMap<String, Members>,
    gpu: Members,
}

impl Index {
    /// Gives the node at `place` a label. Twice is once.
    pub(crate) fn add_label(&mut self, label: Label<'_>, place: Place) {
        match label {
            Label::Skill(name) => entry(&mut self.skills, name).insert(place),
            Label::Tag(name) => entry(&mut self.tags, name).insert(place),
            Label::Gpu => self.gpu.insert(place),
        }
    }

    /// Takes a label away.
    pub(crate) fn remove_label(&mut self, label: Label<'_>, place: Place) {
        match label {
            Label::Skill(name) => forget(&mut self.skills, name, place),
            Label::Tag(name) => forget(&mut self.tags, name, place),
            Label::Gpu => self.gpu.remove(place),
        }
    }

    /// Opens a place for calls at this rank, or (`None`) closes it.
    pub(crate) fn set_rank(&mut self, place: Place, rank: Option<Rank>) {
        let (block, bit) = split(place);
        if self.blocks.len() <= block {
            self.blocks.resize_with(block + 1, || Block::EMPTY);
        }
        let Some(block) = self.blocks.get_mut(block) else {
            return;
        };
        let Some(slot) = block.ranks.get_mut(place % BLOCK) else {
            return;
        };
        let before = std::mem::replace(slot, rank);
        block.open = if rank.is_some() {
            block.open | bit
        } else {
            block.open & !bit
        };
        match (rank, block.lowest) {
            (Some(rank), Some(lowest)) if rank < lowest => block.lowest = Some(rank),
            (Some(_), Some(_)) if before != block.lowest => {}
            (None, _) if before != block.lowest => {}
            _ => block.lowest = block.lowest_of(block.open).map(|(rank, _)| rank),
        }
    }

    /// Whether the node at `place` has the label.
    pub(crate) fn has(&self, label: Label<'_>, place: Place) -> bool {
        let (block, bit) = split(place);
        self.set(label).is_some_and(|set| set.word(block) & bit != 0)
    }

    /// The open place of lowest rank that has all the labels.
    pub(crate) fn best(&self, labels: &[Label<'_>]) -> Option<Place> {
        let sets = self.sets(labels)?;
        let (rarest, others) = sets.split_first()?;
        let mut best: Option<(Rank, Place)> = None;
        for &(at, word) in &rarest.0 {
            let Some(block) = self.blocks.get(at) else { continue };
            let Some(lowest) = block.lowest else { continue };
            if best.is_some_and(|(rank, _)| rank <= lowest) {
                continue;
            }
            let places = others.iter().fold(word & block.open, |places, set| match places {
                0 => 0,
                _ => places & set.word(at),
            });
            if let Some((rank, offset)) = block.lowest_of(places)
                && best.is_none_or(|(least, _)| rank < least)
            {
                best = Some((rank, at * BLOCK + offset));
            }
        }
        best.map(|(_, place)| place)
    }

    /// Places, open or not, that have all the labels, in order.
    pub(crate) fn having(&self, labels: &[Label<'_>]) -> Vec<Place> {
        let Some(sets) = self.sets(labels) else {
            return Vec::new();
        };
        let Some((rarest, others)) = sets.split_first() else {
            return Vec::new();
        };
        let mut places = Vec::new();
        for &(at, word) in &rarest.0 {
            let word = others.iter().fold(word, |word, set| word & set.word(at));
            places.extend(bits(word).map(|offset| at * BLOCK + offset));
        }
        places
    }

    /// Skills some online node has, sorted.
    pub(crate) fn skills(&self) -> impl Iterator<Item = &String> {
        self.skills.keys()
    }

    /// The label's sets, rarest first; none when nobody has one of them.
    fn sets(&self, labels: &[Label<'_>]) -> Option<Vec<&Members>> {
        let mut sets = labels
            .iter()
            .map(|label| self.set(*label))
            .collect::<Option<Vec<_>>>()?;
        sets.sort_by_key(|set| set.0.len());
        Some(sets)
    }

    fn set(&self, label: Label<'_>) -> Option<&Members> {
        match label {
            Label::Skill(name) => self.skills.get(name),
            Label::Tag(name) => self.tags.get(name),
            Label::Gpu => Some(&self.gpu),
        }
    }
}

fn entry<'a>(labels: &'a mut BTreeMap<String, Members>, name: &str) -> &'a mut Members {
    labels.entry(name.to_owned()).or_default()
}

fn forget(labels: &mut BTreeMap<String, Members>, name: &str, place: Place) {
    let Some(members) = labels.get_mut(name) else { return };
    members.remove(place);
    if members.0.is_empty() {
        labels.remove(name);
    }
}

const fn split(place: Place) -> (usize, u64) {
    (place / BLOCK, 1 << (place % BLOCK))
}

/// Numbers of the bits that are set, lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros() as usize;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{FileFailurePersistence, RngSeed};
    use uuid::Uuid;

    use super::*;

    /// Three blocks and a bit.
    const PLACES: usize = 200;
    const LABELS: [Label<'_>; 4] = [Label::Skill("a"), Label::Skill("b"), Label::Tag("a"), Label::Gpu];

    #[derive(Debug, Clone)]
    enum Op {
        Label { at: usize, label: usize, on: bool },
        Rank { at: usize, score: Option<u8> },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..PLACES, 0..LABELS.len(), prop::bool::weighted(0.7)).prop_map(|(at, label, on)| Op::Label {
                at,
                label,
                on
            }),
            (0..PLACES, prop::option::weighted(0.8, 0..6_u8)).prop_map(|(at, score)| Op::Rank { at, score }),
        ]
    }

    fn rank(at: usize, score: u8) -> Rank {
        Rank::new(f64::from(score), 0, NodeId(Uuid::from_u128(at as u128)))
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(0x1DE8),
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
                env!("CARGO_MANIFEST_DIR"), "/tests/index.regressions"
            )))),
            ..ProptestConfig::with_cases(200)
        })]

        #[test]
        fn finds_what_a_scan_finds(ops in prop::collection::vec(op(), 1..1_500), asked in 1..16_usize) {
            let mut index = Index::default();
            let mut labels = [[false; LABELS.len()]; PLACES];
            let mut ranks = [None; PLACES];
            for op in ops {
                match op {
                    Op::Label { at, label, on } => {
                        labels[at][label] = on;
                        if on { index.add_label(LABELS[label], at) } else { index.remove_label(LABELS[label], at) }
                    }
                    Op::Rank { at, score } => {
                        ranks[at] = score.map(|score| rank(at, score));
                        index.set_rank(at, ranks[at]);
                    }
                }
            }
            for block in &index.blocks {
                prop_assert_eq!(block.lowest, block.ranks.iter().flatten().min().copied());
            }
            let asked: Vec<usize> = (0..LABELS.len()).filter(|label| asked >> label & 1 == 1).collect();
            let names: Vec<Label<'_>> = asked.iter().map(|&label| LABELS[label]).collect();
            let having: Vec<usize> = (0..PLACES).filter(|&at| asked.iter().all(|&label| labels[at][label])).collect();
            let best = having.iter().copied().filter(|&at| ranks[at].is_some()).min_by_key(|&at| ranks[at]);
            prop_assert_eq!(index.best(&names), best);
            prop_assert_eq!(index.having(&names), having);
        }
    }

    #[test]
    fn a_label_that_nobody_has_is_forgotten() {
        let mut index = Index::default();
        index.add_label(Label::Skill("a"), 70);
        index.add_label(Label::Skill("a"), 70);
        assert!(index.has(Label::Skill("a"), 70) && !index.has(Label::Skill("a"), 6));
        index.remove_label(Label::Skill("a"), 70);
        assert_eq!(index.skills().count(), 0);
    }
}
