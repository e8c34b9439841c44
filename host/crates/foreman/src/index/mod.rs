//! Finds the best node that has a set of skills and tags, among ten thousand, in microseconds.
//!
//! Nodes sit in numbered places, 64 to a block. A block keeps the standing of each node; its head says which of them
//! are open for calls and have room for tasks, and bounds of what is in it. For each skill and tag there is a sparse bit set of
//! places. A search walks the blocks of the rarest label asked for, intersects bit sets, and skips every block whose
//! bound is no better than the best found (branch and bound); a changed standing touches one block only, however many
//! labels the node has. It knows nothing of links, calls or time.

mod block;
mod members;
mod search;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use venom_protocol::Capabilities;

use block::{BLOCK, Head, Rooms, Standings};
use members::Blocks;

pub(crate) use block::{Among, Order, Rank, Standing};
pub(crate) use members::Members;
pub(crate) use search::{Query, Union, Wish};

/// Place of a node; small numbers, reused.
pub(crate) type Place = usize;

/// The labels of a node with these capabilities.
pub(crate) fn labels(capabilities: &Capabilities) -> impl Iterator<Item = Label<'_>> {
    let skills = capabilities.skills.iter().map(|name| Label::Skill(name));
    let tags = capabilities.tags.iter().map(|name| Label::Tag(name));
    skills.chain(tags).chain(capabilities.has_gpu.then_some(Label::Gpu))
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

/// The index. Holds online nodes only.
#[derive(Debug, Default)]
pub(crate) struct Index {
    heads: Vec<Head>,
    rooms: Vec<Rooms>,
    standings: Vec<Standings>,
    /// Places with room for tasks, by block: what is in the heads too, but denser.
    roomy: Vec<u64>,
    /// Blocks with such places.
    roomy_blocks: Blocks,
    /// Tasks that all nodes together take now.
    room: u64,
    skills: HashMap<String, Members>,
    tags: HashMap<String, Members>,
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

    /// Puts a node in, changes how it stands, or (`None`) takes it out.
    pub(crate) fn set(&mut self, place: Place, standing: Option<Standing>) {
        let (at, offset) = (place / BLOCK, place % BLOCK);
        if self.heads.len() <= at {
            self.heads.resize_with(at + 1, || Head::EMPTY);
            self.rooms.resize(at + 1, [0; BLOCK]);
            self.roomy.resize(at + 1, 0);
            self.standings.resize_with(at + 1, || Standings::EMPTY);
        }
        let block = self.heads.get_mut(at).zip(self.standings.get_mut(at));
        let Some((head, standings)) = block else { return };
        let before = standings.replace(offset, standing);
        head.set(offset, before, standings);
        if let Some(roomy) = self.roomy.get_mut(at) {
            *roomy = head.roomy;
        }
        self.roomy_blocks.set(at, head.roomy != 0);
        let room = standing.map_or(0, |node| node.room);
        if let Some(known) = self.rooms.get_mut(at).and_then(|rooms| rooms.get_mut(offset)) {
            self.room = self.room - u64::from(*known) + u64::from(room);
            *known = room;
        }
    }

    /// How the node at `place` stands.
    pub(crate) fn standing(&self, place: Place) -> Option<&Standing> {
        self.standings.get(place / BLOCK)?.get(place % BLOCK)
    }

    /// Tasks that all nodes together take now.
    pub(crate) const fn room(&self) -> u64 {
        self.room
    }

    /// Whether the node at `place` has the label.
    pub(crate) fn has(&self, label: Label<'_>, place: Place) -> bool {
        let (block, bit) = split(place);
        self.set_of(label).is_some_and(|set| set.word(block) & bit != 0)
    }

    /// Skills some online node has, sorted.
    pub(crate) fn skills(&self) -> Vec<&String> {
        let mut skills: Vec<&String> = self.skills.keys().collect();
        skills.sort_unstable();
        skills
    }

    /// Places with the label; none when nobody has it.
    pub(crate) fn set_of(&self, label: Label<'_>) -> Option<&Members> {
        match label {
            Label::Skill(name) => self.skills.get(name),
            Label::Tag(name) => self.tags.get(name),
            Label::Gpu => Some(&self.gpu),
        }
    }
}

fn entry<'a>(labels: &'a mut HashMap<String, Members>, name: &str) -> &'a mut Members {
    labels.entry(name.to_owned()).or_default()
}

fn forget(labels: &mut HashMap<String, Members>, name: &str, place: Place) {
    let Some(members) = labels.get_mut(name) else { return };
    members.remove(place);
    if members.is_empty() {
        labels.remove(name);
    }
}

const fn split(place: usize) -> (usize, u64) {
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
