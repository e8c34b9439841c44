//! The state and its one entrance, [`Foreman::step`]. What the events do is in `connect` (links), `liveness`
//! (heartbeats, silence, draining), `calls` (the ledger), `tasks`, `held` and `leases` (tasks and what time does to
//! them), `plan` (what to claim) and `choose` (placement).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use venom_protocol::{NodeId, RequestId, TaskId};

use crate::calls::Call;
use crate::connect::Newcomer;
use crate::health::Pace;
use crate::held::Held;
use crate::index::{Index, Place};
use crate::lanes::Lanes;
use crate::tasks::{Group, Spot};
use crate::turns::Turns;
use crate::{Action, Event, LinkId, Moment, NodeRecord, Settings};

/// Nodes and calls in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Nodes online.
    pub online: usize,
    /// Nodes listed.
    pub total: usize,
    /// Calls sent and not ended, those of tasks included.
    pub calls_in_flight: usize,
    /// Tasks that nodes have.
    pub tasks_running: usize,
    /// Tasks that are leased and wait for room on a node.
    pub tasks_held: usize,
}

/// The foreman. One per nexus; the driver owns it and feeds it one event at a time.
#[derive(Debug)]
pub struct Foreman {
    pub(crate) settings: Settings,
    pub(crate) nodes: Vec<Option<NodeRecord>>,
    /// Places in `nodes` that are free.
    pub(crate) vacant: BTreeSet<Place>,
    pub(crate) places: HashMap<NodeId, Place>,
    /// Live links; never more than one of a node.
    pub(crate) links: HashMap<LinkId, Place>,
    /// Offline nodes, those longest offline first.
    pub(crate) offline: BTreeSet<(Moment, NodeId)>,
    pub(crate) index: Index,
    pub(crate) online: usize,
    pub(crate) calls: HashMap<RequestId, Call>,
    /// Leased tasks, each once.
    pub(crate) tasks: BTreeMap<TaskId, Spot>,
    pub(crate) held: Held,
    /// When runs have to have been answered.
    pub(crate) deadlines: BTreeSet<(Moment, RequestId)>,
    /// Nodes with tasks.
    pub(crate) laden: BTreeSet<Place>,
    /// Nodes that get no task until then. An entry may be stale: the node says when.
    pub(crate) pauses: BTreeSet<(Moment, Place)>,
    pub(crate) groups: HashMap<String, Group>,
    pub(crate) lanes: Lanes,
    pub(crate) turns: Turns,
    pub(crate) pace: Pace,
    /// Calls and tasks sent so far, to tell who was chosen last.
    pub(crate) choices: u64,
    /// Nodes that may have come to room while tasks are held.
    pub(crate) freed: Vec<Place>,
    /// There may be fewer nodes that fit than before, while tasks are held.
    pub(crate) fewer: bool,
}

impl Foreman {
    /// A foreman that knows no node.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            nodes: Vec::new(),
            vacant: BTreeSet::new(),
            places: HashMap::new(),
            links: HashMap::new(),
            offline: BTreeSet::new(),
            index: Index::default(),
            online: 0,
            calls: HashMap::new(),
            tasks: BTreeMap::new(),
            held: Held::default(),
            deadlines: BTreeSet::new(),
            laden: BTreeSet::new(),
            pauses: BTreeSet::new(),
            groups: HashMap::new(),
            lanes: Lanes::default(),
            turns: Turns::default(),
            pace: Pace::default(),
            choices: 0,
            freed: Vec::new(),
            fewer: false,
        }
    }

    /// Takes one event and says what to do about it, in order. Never fails; an event about a link, node or
    /// call that is not (or no longer) known does nothing.
    ///
    /// After a `CloseLink` the link is forgotten: whatever still comes from it does nothing.
    pub fn step(&mut self, now: Moment, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.take(now, event, &mut out);
        self.serve_held(now, &mut out);
        out
    }

    fn take(&mut self, now: Moment, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::NodeConnected {
                link,
                node_id,
                name,
                capabilities,
                protocol,
                concurrency,
                boot_id,
            } => {
                let newcomer = Newcomer {
                    link,
                    node_id,
                    name,
                    capabilities,
                    protocol,
                    concurrency,
                    boot_id,
                };
                self.connect(now, newcomer, out);
            }
            Event::FrameSeen { link } => self.seen(now, link),
            Event::Heartbeat {
                link,
                cpu,
                memory,
                active_tasks,
                credits,
            } => {
                self.seen(now, link);
                self.heartbeat(now, link, (cpu, memory), active_tasks, credits, out);
            }
            Event::StatusChanged {
                link,
                capabilities,
                draining,
            } => {
                self.seen(now, link);
                self.status(link, capabilities, draining, out);
            }
            Event::NodeLeft { link, reason } => self.leave(now, link, &reason, out),
            Event::LinkClosed {
                link, graceful, reason, ..
            } => self.link_closed(now, link, graceful, &reason, out),
            Event::DrainRequested { node_id } => self.drain(node_id, true, out),
            Event::UndrainRequested { node_id } => self.drain(node_id, false, out),
            Event::CallRequested {
                request_id,
                target,
                skill,
            } => self.request(now, request_id, &target, skill, out),
            Event::CallFinished {
                link,
                request_id,
                report,
            } => {
                self.seen(now, link);
                self.finish(now, link, request_id, &report, out);
            }
            Event::CallYielded { link, request_id } => self.yielded(link, request_id),
            Event::CallResumed { link, request_id } => self.resumed(link, request_id),
            Event::CallTimedOut { request_id } => self.time_out(now, request_id, out),
            Event::CallAbandoned { request_id } => self.abandon(now, request_id, out),
            Event::TaskLeased(order) => self.lease(now, order, out),
            Event::TaskCancelRequested { task_id } => self.cancel_task(now, task_id, out),
            Event::LeasesLost => self.lose_leases(now, out),
            Event::Tick => self.tick(now, out),
        }
    }

    /// All nodes listed, in the order they were first seen (roughly: places of forgotten ones are reused).
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.iter().flatten()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, node_id: &NodeId) -> Option<&NodeRecord> {
        self.record(*self.places.get(node_id)?)
    }

    /// Node that a live link belongs to.
    #[must_use]
    pub fn node_of(&self, link: LinkId) -> Option<&NodeRecord> {
        self.record(*self.links.get(&link)?)
    }

    /// Nodes and calls in numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            online: self.online,
            total: self.places.len(),
            calls_in_flight: self.calls.len(),
            tasks_running: self.tasks.len() - self.held.len(),
            tasks_held: self.held.len(),
        }
    }

    pub(crate) fn record(&self, place: Place) -> Option<&NodeRecord> {
        self.nodes.get(place)?.as_ref()
    }

    pub(crate) fn record_mut(&mut self, place: Place) -> Option<&mut NodeRecord> {
        self.nodes.get_mut(place)?.as_mut()
    }

    /// Tells the index what changed on a node: its load, calls, credits or whether it takes any.
    pub(crate) fn rerank(&mut self, place: Place) {
        let Some(node) = self.nodes.get(place).and_then(Option::as_ref) else {
            return;
        };
        let standing = node.is_online().then(|| node.standing(&self.settings));
        self.index.set(place, standing);
        if !self.held.is_empty() {
            self.fewer |= standing.is_none_or(|node| !node.willing);
            if standing.is_some_and(|node| node.room > 0) {
                self.freed.push(place);
            }
        }
    }
}
