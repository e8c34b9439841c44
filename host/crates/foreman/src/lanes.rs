//! What lanes stand for, remembered: reading a lane's text for each task and each plan would cost more than all the rest.

use std::collections::HashMap;
use std::sync::Arc;

use venom_protocol::{Lane, LaneNeeds};

/// Lanes remembered at most; then all are forgotten and read anew as they come up. Twice what a nexus looks at.
const MOST: usize = 20_000;

/// What is known of a lane.
#[derive(Debug, Clone)]
pub(crate) struct KnownLane {
    /// None when the text is no lane.
    pub(crate) needs: Option<Arc<LaneNeeds>>,
    /// When a task of it was leased last, counted in leases.
    pub(crate) served: u64,
}

/// The lanes known.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    known: HashMap<Lane, KnownLane>,
    leases: u64,
}

impl Lanes {
    /// What a lane stands for, and when it was served last.
    pub(crate) fn look(&mut self, lane: &Lane) -> KnownLane {
        if let Some(known) = self.known.get(lane) {
            return known.clone();
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let needs = lane.needs().ok().map(Arc::new);
        let known = KnownLane { needs, served: 0 };
        self.known.insert(lane.clone(), known.clone());
        known
    }

    /// A task of the lane was leased; gives what the lane stands for.
    pub(crate) fn picked(&mut self, lane: &Lane) -> Option<Arc<LaneNeeds>> {
        self.leases += 1;
        let needs = self.look(lane).needs;
        if let Some(known) = self.known.get_mut(lane) {
            known.served = self.leases;
        }
        needs
    }
}
