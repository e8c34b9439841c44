//! The state and its one entrance, [`Foreman::step`]. What the events do is in `connect` (links), `liveness`
//! (heartbeats, silence, draining), `calls` (the ledger) and `choose` (placement).

use std::collections::{BTreeSet, HashMap};

use venom_protocol::{NodeId, RequestId};

use crate::calls::Call;
use crate::connect::Newcomer;
use crate::index::{Index, Place};
use crate::{Action, Event, LinkId, Moment, NodeRecord, Settings};

/// Nodes and calls in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Nodes online.
    pub online: usize,
    /// Nodes listed.
    pub total: usize,
    /// Calls sent and not ended.
    pub calls_in_flight: usize,
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
        }
    }

    /// Takes one event and says what to do about it, in order. Never fails; an event about a link, node or
    /// call that is not (or no longer) known does nothing.
    ///
    /// After a `CloseLink` the link is forgotten: whatever still comes from it does nothing.
    pub fn step(&mut self, now: Moment, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
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
                self.connect(now, newcomer, &mut out);
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
                self.heartbeat(now, link, (cpu, memory), active_tasks, credits, &mut out);
            }
            Event::StatusChanged {
                link,
                capabilities,
                draining,
            } => {
                self.seen(now, link);
                self.status(link, capabilities, draining, &mut out);
            }
            Event::NodeLeft { link, reason } => self.leave(now, link, &reason, &mut out),
            Event::LinkClosed {
                link, graceful, reason, ..
            } => self.link_closed(now, link, graceful, &reason, &mut out),
            Event::DrainRequested { node_id } => self.drain(node_id, true, &mut out),
            Event::UndrainRequested { node_id } => self.drain(node_id, false, &mut out),
            Event::CallRequested {
                request_id,
                target,
                skill,
            } => self.request(request_id, &target, skill, &mut out),
            Event::CallFinished { link, request_id } => {
                self.seen(now, link);
                self.finish(now, link, request_id, &mut out);
            }
            Event::CallTimedOut { request_id } => self.time_out(now, request_id, &mut out),
            Event::CallAbandoned { request_id } => self.abandon(now, request_id, &mut out),
            Event::Tick => self.drop_silent(now, &mut out),
        }
        out
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
        let open = node.is_open(&self.settings);
        self.index
            .set_rank(place, open.then(|| node.rank(&self.settings.weights)));
    }
}
