//! What lanes stand for, remembered: reading a lane's text for each task and each plan would cost more than all the rest.

use std::collections::HashMap;
use std::sync::Arc;

use venom_protocol::{Lane, LaneNeeds, Priority};

use crate::turns::LEVELS;

/// Lanes remembered at most; then all are forgotten and read anew as they come up. Twice what a nexus looks at.
const MOST: usize = 20_000;

/// What is known of a lane.
#[derive(Debug)]
struct KnownLane {
    /// None when the text is no lane.
    needs: Option<Arc<LaneNeeds>>,
    /// When a task of it was leased last, counted in leases, by priority: each priority has its own turns.
    served: [u64; LEVELS],
}

/// The lanes known.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    known: HashMap<Lane, KnownLane>,
    leases: u64,
}

impl Lanes {
    /// What a lane stands for, if it is one, and when it was served last at this priority.
    pub(crate) fn look(&mut self, lane: &Lane, priority: Priority) -> Option<(Arc<LaneNeeds>, u64)> {
        let level = usize::from(priority.level());
        if let Some(known) = self.known.get(lane) {
            let served = known.served.get(level).copied().unwrap_or(0);
            return Some((Arc::clone(known.needs.as_ref()?), served));
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let needs = lane.needs().ok().map(Arc::new);
        let known = KnownLane {
            needs: needs.clone(),
            served: [0; LEVELS],
        };
        self.known.insert(lane.clone(), known);
        Some((needs?, 0))
    }

    /// A task of the lane was leased; gives what the lane stands for.
    pub(crate) fn picked(&mut self, lane: &Lane, priority: Priority) -> Option<Arc<LaneNeeds>> {
        self.leases += 1;
        let (needs, _) = self.look(lane, priority)?;
        let known = self.known.get_mut(lane)?;
        if let Some(served) = known.served.get_mut(usize::from(priority.level())) {
            *served = self.leases;
        }
        Some(needs)
    }
}
