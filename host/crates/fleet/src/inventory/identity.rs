//! Which of the things that are known was seen. A thing is known by its MAC, else by the agent that runs on it, else by its address; and all
//! of that within one network of one site only.
//!
//! One MAC may answer for several addresses (a second address, a router that answers for others): at each it is a thing of its own, told
//! apart by the address; only where an address is left over has the thing moved.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

use super::asset::{Asset, Seen};

/// Whom each of the seen is: `seen[n]` is `known[matches[n]]`, or new. And what is the same thing as another and gives way to it:
/// `(from, into)`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Matches {
    pub(crate) matches: Vec<Option<usize>>,
    pub(crate) absorbed: Vec<(usize, usize)>,
}

/// Finds them. Each known thing is found once; the order of neither matters.
pub(crate) fn find(known: &[Asset], seen: &[Seen]) -> Matches {
    let mut search = Search::of(known, seen.len());
    for rule in [
        same_mac_same_ip,
        same_mac_elsewhere,
        its_mac_became_known,
        same_agent_same_ip,
        same_agent_elsewhere,
        same_ip,
    ] {
        for (place, seen) in seen.iter().enumerate() {
            if search.matches.get(place).is_some_and(Option::is_none)
                && let Some(found) = rule(&search, seen)
            {
                search.take(place, found);
            }
        }
    }
    let absorbed = search.absorbed(seen);
    Matches {
        matches: search.matches,
        absorbed,
    }
}

struct Search<'a> {
    known: &'a [Asset],
    by_ip: HashMap<IpAddr, Vec<usize>>,
    by_mac: HashMap<super::mac::Mac, Vec<usize>>,
    by_agent: HashMap<&'a str, Vec<usize>>,
    taken: HashSet<usize>,
    matches: Vec<Option<usize>>,
}

impl<'a> Search<'a> {
    fn of(known: &'a [Asset], seen: usize) -> Self {
        let index = |number: usize| known.get(number);
        // the likeliest first: there, seen last, and by id so that it is always the same
        let mut order: Vec<usize> = (0..known.len()).collect();
        order.sort_by(|one, other| match (index(*one), index(*other)) {
            (Some(one), Some(other)) => (one.is_gone.cmp(&other.is_gone))
                .then_with(|| other.last_seen.cmp(&one.last_seen))
                .then_with(|| one.id.cmp(&other.id)),
            _ => std::cmp::Ordering::Equal,
        });
        let known_in_order = || order.iter().filter_map(|number| Some((index(*number)?, *number)));
        Self {
            known,
            by_ip: grouped(known_in_order().map(|(asset, number)| (asset.ip, number))),
            by_mac: grouped(known_in_order().filter_map(|(asset, number)| Some((asset.mac?, number)))),
            by_agent: grouped(
                known_in_order().filter_map(|(asset, number)| Some((asset.runs.as_ref()?.as_str(), number))),
            ),
            taken: HashSet::new(),
            matches: vec![None; seen],
        }
    }

    fn take(&mut self, place: usize, found: usize) {
        self.taken.insert(found);
        if let Some(slot) = self.matches.get_mut(place) {
            *slot = Some(found);
        }
    }

    /// The first of these that nobody took and that fits.
    fn first(&self, among: Option<&Vec<usize>>, fits: impl Fn(&Asset) -> bool) -> Option<usize> {
        among?
            .iter()
            .copied()
            .find(|number| !self.taken.contains(number) && self.known.get(*number).is_some_and(&fits))
    }

    fn at_ip(&self, seen: &Seen, fits: impl Fn(&Asset) -> bool) -> Option<usize> {
        self.first(self.by_ip.get(&seen.ip), fits)
    }

    fn with_agent(&self, seen: &Seen, fits: impl Fn(&Asset) -> bool) -> Option<usize> {
        let agent = seen.runs.as_ref()?;
        self.first(self.by_agent.get(agent.as_str()), fits)
    }

    /// Those known by their address only, where a thing was found that is known by its MAC: they are that thing.
    fn absorbed(&mut self, seen: &[Seen]) -> Vec<(usize, usize)> {
        let mut absorbed = Vec::new();
        for (place, seen) in seen.iter().enumerate() {
            let Some(into) = self.matches.get(place).copied().flatten() else {
                continue;
            };
            if seen.mac.is_none() {
                continue;
            }
            while let Some(from) = self.at_ip(seen, |known| known.mac.is_none() && agents_agree(known, seen)) {
                self.taken.insert(from);
                absorbed.push((from, into));
            }
        }
        absorbed
    }
}

fn grouped<K: Eq + Hash>(entries: impl Iterator<Item = (K, usize)>) -> HashMap<K, Vec<usize>> {
    let mut groups: HashMap<K, Vec<usize>> = HashMap::new();
    for (key, number) in entries {
        groups.entry(key).or_default().push(number);
    }
    groups
}

fn same_mac_same_ip(search: &Search<'_>, seen: &Seen) -> Option<usize> {
    search.first(search.by_mac.get(&seen.mac?), |known| known.ip == seen.ip)
}

fn same_mac_elsewhere(search: &Search<'_>, seen: &Seen) -> Option<usize> {
    search.first(search.by_mac.get(&seen.mac?), |_| true)
}

fn its_mac_became_known(search: &Search<'_>, seen: &Seen) -> Option<usize> {
    seen.mac?;
    search
        .with_agent(seen, |known| known.mac.is_none())
        .or_else(|| search.at_ip(seen, |known| known.mac.is_none() && agents_agree(known, seen)))
}

fn same_agent_same_ip(search: &Search<'_>, seen: &Seen) -> Option<usize> {
    if seen.mac.is_some() {
        return None;
    }
    search.with_agent(seen, |known| known.ip == seen.ip)
}

fn same_agent_elsewhere(search: &Search<'_>, seen: &Seen) -> Option<usize> {
    if seen.mac.is_some() {
        return None;
    }
    search.with_agent(seen, |_| true)
}

/// Without a MAC, it is whatever was at that address last.
fn same_ip(search: &Search<'_>, seen: &Seen) -> Option<usize> {
    if seen.mac.is_some() {
        return None;
    }
    search.at_ip(seen, |known| agents_agree(known, seen))
}

/// Whether they may be one thing: two agents are two things.
fn agents_agree(known: &Asset, seen: &Seen) -> bool {
    match (&known.runs, &seen.runs) {
        (Some(known), Some(seen)) => known == seen,
        (None, _) | (_, None) => true,
    }
}
