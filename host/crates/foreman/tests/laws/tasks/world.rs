//! The naive hive: who has room and fits, who is best, and what events do to it.

use venom_foreman::{Event, LinkId, Moment, NodeRecord, TaskOrder};
use venom_protocol::{Lane, NodeId, RequestId, Requirements, Strategy};

use super::super::model::SKILLS;
use super::{Live, Tasks, settings};

impl Tasks {
    pub(super) fn live(&self, node: NodeId) -> Option<&Live> {
        self.links.values().find(|live| live.node == node)
    }

    pub(super) fn live_mut(&mut self, node: NodeId) -> Option<&mut Live> {
        self.links.values_mut().find(|live| live.node == node)
    }

    pub(super) fn in_hand(&self, node: NodeId) -> usize {
        let flying = self.flying.values().filter(|flight| flight.node == node);
        flying.count() + self.overdue.values().filter(|on| **on == node).count()
    }

    pub(super) fn is_willing(&self, live: &Live) -> bool {
        !live.leaving && !live.drains_itself && !self.drained.contains(&live.node)
    }

    /// Tasks a node takes now, the slow and obvious way.
    pub(super) fn room(&self, live: &Live) -> i64 {
        if !self.is_willing(live) || live.given_up || live.paused_until > self.now {
            return 0;
        }
        let in_hand = self.in_hand(live.node) as i64;
        let yielded = self
            .flying
            .values()
            .filter(|flight| flight.node == live.node && flight.yielded);
        let taken = in_hand - yielded.count() as i64;
        let slots = match (live.credits, live.concurrency) {
            (Some(credits), _) => credits,
            (None, Some(concurrency)) => i64::from(concurrency) - taken,
            (None, None) => i64::from(settings().tasks_without_credits) - taken,
        };
        slots.min(i64::from(settings().max_in_flight_per_node) - in_hand).max(0)
    }

    pub(super) fn fits(&self, live: &Live, (skill, needs, _): &(u8, Requirements, Option<String>)) -> bool {
        live.kit.skills.iter().any(|has| has == SKILLS[usize::from(*skill)])
            && needs.tags.iter().all(|tag| live.kit.tags.contains(tag))
            && !needs.exclude_tags.iter().any(|tag| live.kit.tags.contains(tag))
            && needs.node_id.is_none_or(|node| node == live.node)
    }

    pub(super) fn fitting(&self, lane: &Lane) -> Vec<&Live> {
        let task = self.tasks.values().find(|task| task.lane == *lane).unwrap();
        self.links
            .values()
            .filter(|live| self.fits(live, &task.needs))
            .collect()
    }

    pub(super) fn before(&mut self, event: &Event) {
        match event {
            Event::FrameSeen { link }
            | Event::Heartbeat { link, .. }
            | Event::StatusChanged { link, .. }
            | Event::CallFinished { link, .. } => {
                if let Some(live) = self.links.get_mut(link) {
                    live.given_up = false;
                }
            }
            _ => {}
        }
        match event {
            Event::LinkClosed { link, .. } => self.unlink(*link),
            Event::NodeLeft { link, .. } => {
                if let Some(live) = self.links.get_mut(link) {
                    live.leaving = true;
                }
            }
            Event::DrainRequested { node_id } if self.foreman.node(node_id).is_some() => {
                self.drained.insert(*node_id);
            }
            Event::UndrainRequested { node_id } => {
                self.drained.remove(node_id);
            }
            Event::StatusChanged {
                link,
                capabilities,
                draining,
            } => {
                if let Some(live) = self.links.get_mut(link).filter(|live| !live.leaving) {
                    live.kit = capabilities.clone();
                    live.drains_itself = *draining;
                }
            }
            Event::Heartbeat {
                link,
                active_tasks,
                credits,
                ..
            } => {
                let Some(node) = self.links.get(link).map(|live| live.node) else {
                    return;
                };
                let unseen = (self.in_hand(node) as i64 - i64::from(*active_tasks)).max(0);
                if let Some(live) = self.links.get_mut(link) {
                    live.credits = credits.map(|credits| i64::from(credits) - unseen);
                }
            }
            Event::CallYielded { link, request_id } => self.lend(*link, *request_id, true),
            Event::CallResumed { link, request_id } => self.lend(*link, *request_id, false),
            Event::CallFinished { link, request_id, .. } => {
                let node = self.links.get(link).map(|live| live.node);
                if let Some(node) = node.filter(|node| self.overdue.get(request_id) == Some(node)) {
                    self.overdue.remove(request_id);
                    self.add_credits(node, 1);
                }
            }
            Event::NodeConnected {
                link,
                node_id,
                capabilities,
                protocol,
                concurrency,
                ..
            } => {
                // taken back when the foreman refuses it
                let live = Live {
                    node: *node_id,
                    protocol: *protocol,
                    kit: capabilities.clone(),
                    leaving: false,
                    drains_itself: false,
                    concurrency: *concurrency,
                    credits: None,
                    given_up: false,
                    paused_until: Moment::default(),
                };
                self.links.insert(*link, live);
            }
            _ => {}
        }
    }

    pub(super) fn lend(&mut self, link: LinkId, request_id: RequestId, yields: bool) {
        let node = self.links[&link].node;
        let flight = self.flying.get_mut(&request_id).unwrap();
        if flight.node == node && flight.yielded != yields {
            flight.yielded = yields;
            self.add_credits(node, if yields { 1 } else { -1 });
        }
    }

    pub(super) fn add_credits(&mut self, node: NodeId, by: i64) {
        for live in self.links.values_mut().filter(|live| live.node == node) {
            live.credits = live.credits.map(|credits| credits + by);
        }
    }

    pub(super) fn unlink(&mut self, link: LinkId) {
        if let Some(live) = self.links.remove(&link) {
            self.overdue.retain(|_, node| *node != live.node);
        }
    }

    /// The slow and obvious way to choose: wishes in their order, then the strategy.
    pub(super) fn best(&self, order: &TaskOrder) -> Option<NodeId> {
        let needs = &self.tasks[&order.task_id].needs;
        let placement = &order.placement;
        let runs_group = |node: NodeId| {
            let mut tasks = self.flying.values().filter(|flight| flight.node == node);
            let group = needs.2.as_ref();
            group.is_some()
                && tasks.any(|flight| {
                    flight
                        .task
                        .is_some_and(|task| self.tasks[&task].needs.2.as_ref() == group)
                })
        };
        let somewhere = self.links.values().any(|live| runs_group(live.node));
        let key = |live: &&Live| {
            let node = self.foreman.node(&live.node).unwrap();
            let preferred = placement.prefer_tags.iter().any(|tag| live.kit.tags.contains(tag));
            let together = placement.with_group.filter(|_| somewhere);
            let first = match placement.strategy {
                Strategy::LeastLoaded => 0,
                Strategy::RoundRobin => self.chosen.get(&live.node).copied().unwrap_or(0),
                Strategy::Spread => u64::from(node.in_flight()),
            };
            (
                order.avoid == Some(live.node),
                together.is_some_and(|together| together != runs_group(live.node)),
                !preferred,
                first,
                score(node).to_bits(),
                node.in_flight(),
                live.node,
            )
        };
        let fitting = self
            .links
            .values()
            .filter(|live| self.fits(live, needs) && self.room(live) > 0);
        fitting.min_by_key(key).map(|live| live.node)
    }
}

pub(super) fn score(node: &NodeRecord) -> f64 {
    let tasks = (f64::from(node.active_tasks()) / 10.0).min(1.0);
    100.0 * (node.cpu() * 0.4 + node.memory() * 0.3 + tasks * 0.3)
        + 100.0 * (node.failures() * 0.2 + node.lateness() * 0.1)
}
