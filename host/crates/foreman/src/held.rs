//! Leased tasks that found no room when they came: they wait for a credit, before anything new is claimed, and go back
//! after a while or when no node is left that could ever take them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use venom_protocol::{Lane, LaneNeeds, Priority};

use crate::index::Place;
use crate::task::{Settlement, TaskOrder};
use crate::tasks::settle;
use crate::{Action, Foreman, Moment};

/// Most tasks held. What is planned is within the room there is, so only nodes that fill up otherwise, or leave, between
/// the plan and its leases bring any here.
const MOST: usize = 10_000;

/// A task that waits for room.
#[derive(Debug)]
pub(crate) struct HeldTask {
    pub(crate) order: Box<TaskOrder>,
    pub(crate) needs: Arc<LaneNeeds>,
    pub(crate) since: Moment,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// By number, which is by time.
    tasks: BTreeMap<u64, HeldTask>,
    /// The most urgent first, then the oldest.
    lanes: BTreeMap<Lane, BTreeSet<(Reverse<Priority>, u64)>>,
    next: u64,
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.tasks.len() < MOST
    }

    pub(crate) fn insert(&mut self, since: Moment, order: Box<TaskOrder>, needs: Arc<LaneNeeds>) -> u64 {
        let number = self.next;
        self.next += 1;
        let urgency = (Reverse(order.priority), number);
        self.lanes.entry(order.lane.clone()).or_default().insert(urgency);
        self.tasks.insert(number, HeldTask { order, needs, since });
        number
    }

    pub(crate) fn get(&self, number: u64) -> Option<&HeldTask> {
        self.tasks.get(&number)
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<HeldTask> {
        let held = self.tasks.remove(&number)?;
        if let Some(lane) = self.lanes.get_mut(&held.order.lane) {
            lane.remove(&(Reverse(held.order.priority), number));
            if lane.is_empty() {
                self.lanes.remove(&held.order.lane);
            }
        }
        Some(held)
    }

    pub(crate) fn clear(&mut self) {
        self.tasks.clear();
        self.lanes.clear();
    }

    /// The first of each lane.
    fn heads(&self) -> impl Iterator<Item = ((Reverse<Priority>, u64), &LaneNeeds)> {
        self.lanes.values().filter_map(|lane| {
            let head = *lane.first()?;
            Some((head, &*self.tasks.get(&head.1)?.needs))
        })
    }

    /// Those whose lanes' needs are hopeless, in order.
    fn hopeless(&self, is_possible: impl Fn(&LaneNeeds) -> bool) -> BTreeSet<u64> {
        let lanes = self.lanes.values().filter(|lane| {
            let head = lane.first().and_then(|head| self.tasks.get(&head.1));
            head.is_some_and(|head| !is_possible(&head.needs))
        });
        lanes.flatten().map(|(_, number)| *number).collect()
    }

    fn oldest(&self) -> Option<(u64, Moment)> {
        self.tasks.first_key_value().map(|(number, held)| (*number, held.since))
    }
}

impl Foreman {
    /// Places held tasks where room came about, and gives those back that no node is left for.
    pub(crate) fn serve_held(&mut self, now: Moment, out: &mut Vec<Action>) {
        while let Some(place) = self.freed.pop() {
            self.serve_place(now, place, out);
        }
        if std::mem::take(&mut self.fewer) {
            for number in self.held.hopeless(|needs| self.is_possible(needs)) {
                self.settle_held(number, Settlement::Return, out);
            }
        }
    }

    fn serve_place(&mut self, now: Moment, place: Place, out: &mut Vec<Action>) {
        while self.index.standing(place).is_some_and(|node| node.room > 0) {
            let fitting = self.held.heads().filter(|(_, needs)| self.fits_at(needs, place));
            let Some((_, number)) = fitting.map(|(urgency, _)| urgency).min() else {
                return;
            };
            let Some(held) = self.held.remove(number) else { return };
            self.tasks.remove(&held.order.task_id);
            // it may prefer another place that came free with this one
            let chosen = self.choose_for_task(&held.order, &held.needs).unwrap_or(place);
            if self.calls.contains_key(&held.order.request_id) {
                settle(&held.order, None, Settlement::Return, out);
            } else {
                self.run(now, held.order, held.needs, chosen, out);
            }
        }
    }

    /// Gives back what was held long enough.
    pub(crate) fn return_held(&mut self, now: Moment, out: &mut Vec<Action>) {
        while let Some((number, since)) = self.held.oldest()
            && now.since(since) >= self.settings.hold
        {
            self.settle_held(number, Settlement::Return, out);
        }
    }

    pub(crate) fn settle_held(&mut self, number: u64, settlement: Settlement, out: &mut Vec<Action>) {
        if let Some(held) = self.held.remove(number) {
            self.tasks.remove(&held.order.task_id);
            settle(&held.order, None, settlement, out);
        }
    }
}
