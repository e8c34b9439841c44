//! One discovery, taken in: a pure rule from what is known of a network and what one sweep saw there to what is known then.

use std::collections::{HashMap, HashSet};

use super::asset::{Asset, Change, Seen};
use super::identity;
use super::merge::{self, Look};
use super::range::{self, Target};

/// One discovery, cleaned.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    pub(crate) target: Target,
    pub(crate) look: Look,
    /// Whether a newer one of the same agent and target was taken in before.
    pub(crate) is_late: bool,
    /// Each thing once.
    pub(crate) seen: Vec<Seen>,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Those that were known and were touched, as they are known now.
    pub(crate) touched: Vec<Asset>,
    /// Those that are new.
    pub(crate) added: Vec<Asset>,
    /// Ids that are no more, and under which id what is kept of them goes on.
    pub(crate) absorbed: Vec<(String, String)>,
    pub(crate) changes: Vec<Change>,
}

/// Takes it in. `known` must hold all of the network that is at an address, has a MAC or runs an agent that was seen, and all that is there in the
/// target when the sweep is complete.
pub(crate) fn take_in(known: &[Asset], sweep: &Sweep, mut new_id: impl FnMut() -> String) -> Taken {
    let found = identity::find(known, &sweep.seen);
    let mut taken = Taken::default();
    let mut touched: HashSet<usize> = HashSet::new();
    let mut absorbed: HashMap<usize, Vec<usize>> = HashMap::new();
    for (from, into) in &found.absorbed {
        absorbed.entry(*into).or_default().push(*from);
    }
    for (seen, number) in sweep.seen.iter().zip(&found.matches) {
        let Some((number, asset)) = number.and_then(|number| Some((number, known.get(number)?))) else {
            let (asset, change) = merge::first_sight(new_id(), seen, &sweep.look);
            taken.added.push(asset);
            taken.changes.push(change);
            continue;
        };
        touched.insert(number);
        if sweep.is_late {
            let next = merge::fill(asset, seen);
            if next != *asset {
                taken.touched.push(next);
            }
            continue;
        }
        let mut asset = asset.clone();
        for from in absorbed.remove(&number).unwrap_or_default() {
            if let Some(other) = known.get(from) {
                touched.insert(from);
                asset = merge::absorb(&asset, other);
                taken.absorbed.push((other.id.clone(), asset.id.clone()));
            }
        }
        let (next, changes) = merge::merge(&asset, seen, &sweep.look);
        taken.touched.push(next);
        taken.changes.extend(changes);
    }
    if sweep.look.is_complete && !sweep.is_late {
        miss_the_others(known, sweep, &touched, &mut taken);
    }
    taken
}

fn miss_the_others(known: &[Asset], sweep: &Sweep, touched: &HashSet<usize>, taken: &mut Taken) {
    let Some(range) = sweep.target.range else {
        return;
    };
    for (number, asset) in known.iter().enumerate() {
        if asset.is_gone || touched.contains(&number) || !range.covers(range::order(asset.ip)) {
            continue;
        }
        let (next, change) = merge::miss(asset, sweep.look.misses_until_gone);
        taken.touched.push(next);
        taken.changes.extend(change);
    }
}
