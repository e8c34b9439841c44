//! Which waiting work to claim: the most urgent first, never more than there is room for.

use std::sync::Arc;

use venom_protocol::{Lane, LaneNeeds, Priority};

use crate::Foreman;
use crate::index::Union;
use crate::turns::LEVELS;

/// Wants of one plan at most, beside those set aside for lower priorities. What does not fit comes with the next plan, as
/// lanes take turns.
const MOST_WANTS: usize = 128;

/// What to claim.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In this order. A lane may come twice: first with what is set aside for its priority.
    pub wants: Vec<PlanWant>,
    /// Never more than this in all.
    pub total: usize,
}

/// Work to take from one lane at one priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanWant {
    /// Which lane.
    pub lane: Lane,
    /// At which priority.
    pub priority: Priority,
    /// At most so many.
    pub most: usize,
}

/// A lane that waits.
struct Candidate<'a> {
    lane: &'a Lane,
    priority: Priority,
    needs: Arc<LaneNeeds>,
    served: u64,
}

/// A lane that waits and has room.
struct Servable<'a> {
    lane: &'a Lane,
    priority: Priority,
    room: u64,
}

impl Foreman {
    /// Which waiting work to claim now, of `ready`, at most `batch` in all: most urgent first, never more of a lane than
    /// the nodes that fit take now, nor more in all than they take together. Lanes of a priority take turns, those
    /// served longest ago first.
    ///
    /// What a plan claims must be told (as [`crate::Event::TaskLeased`]) before the next plan is made: until then the room
    /// is not taken.
    pub fn plan(&mut self, ready: &[(Lane, Priority)], batch: usize) -> Plan {
        if batch == 0 || ready.is_empty() || self.index.room() == 0 {
            return Plan::default();
        }
        let candidates = self.candidates(ready);
        let waiting = candidates
            .iter()
            .fold(0, |levels, candidate| levels | 1_u16 << candidate.priority.level());
        let batch = u64::try_from(batch).unwrap_or(u64::MAX);
        let mut union = Union::up_to(batch.min(self.index.room()));
        let servable = self.servable(&candidates, batch, &mut union);
        let total = union.room();
        let mut most = [0; LEVELS];
        for lane in &servable {
            if let Some(most) = most.get_mut(usize::from(lane.priority.level())) {
                *most += lane.room;
            }
        }
        let reserved = self.turns.reserve(self.settings.low_share, waiting, most, total);
        let mut wants = set_aside(&reserved, &servable);
        wants.extend(
            servable
                .iter()
                .take(MOST_WANTS)
                .map(|lane| lane.want(lane.room.min(total))),
        );
        Plan {
            wants,
            total: usize::try_from(total).unwrap_or(usize::MAX),
        }
    }

    /// Lanes that wait, in the order they are to be served.
    fn candidates<'a>(&mut self, ready: &'a [(Lane, Priority)]) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::with_capacity(ready.len());
        for (lane, priority) in ready {
            if let Some((needs, served)) = self.lanes.look(lane, *priority) {
                candidates.push(Candidate {
                    lane,
                    priority: *priority,
                    needs,
                    served,
                });
            }
        }
        // stable: lanes that were never served come as they were given
        candidates.sort_by_key(|lane| (std::cmp::Reverse(lane.priority), lane.served));
        candidates
    }

    /// Those with room: as many as a plan may hold, and of each priority at least the first.
    fn servable<'a>(&self, candidates: &[Candidate<'a>], batch: u64, union: &mut Union) -> Vec<Servable<'a>> {
        let mut servable: Vec<Servable<'a>> = Vec::new();
        for candidate in candidates {
            let known = servable.last().is_some_and(|last| last.priority == candidate.priority);
            if servable.len() >= MOST_WANTS && known {
                continue;
            }
            let room = self.room_for(&candidate.needs, batch, union);
            if room > 0 {
                servable.push(Servable {
                    lane: candidate.lane,
                    priority: candidate.priority,
                    room,
                });
            }
        }
        servable
    }
}

impl Servable<'_> {
    fn want(&self, most: u64) -> PlanWant {
        PlanWant {
            lane: self.lane.clone(),
            priority: self.priority,
            most: usize::try_from(most).unwrap_or(usize::MAX),
        }
    }
}

/// Wants for picks set aside for priorities, in their order, spread over the lanes of each.
fn set_aside(reserved: &[usize], servable: &[Servable<'_>]) -> Vec<PlanWant> {
    let mut taken = vec![0; servable.len()];
    let mut order = Vec::new();
    for level in reserved {
        let lanes = servable.iter().zip(&mut taken).enumerate();
        let open =
            lanes.filter(|(_, (lane, taken))| usize::from(lane.priority.level()) == *level && **taken < lane.room);
        if let Some((at, (_, taken))) = open.min_by_key(|(_, (_, taken))| **taken) {
            if *taken == 0 {
                order.push(at);
            }
            *taken += 1;
        }
    }
    let wants = order
        .into_iter()
        .filter_map(|at| Some((servable.get(at)?, *taken.get(at)?)));
    wants.map(|(lane, taken)| lane.want(taken)).collect()
}
