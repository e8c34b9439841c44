//! What the foreman knows of one node.

use std::collections::BTreeSet;

use venom_protocol::{Capabilities, NodeId, RequestId};

use crate::health::Health;
use crate::index::{Rank, Standing};
use crate::{LinkId, Moment, Settings};

/// Where a node is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Connected.
    Online {
        /// Its one live link.
        link: LinkId,
    },
    /// Said goodbye; the link is open for the answers still due.
    Leaving {
        /// Its one live link.
        link: LinkId,
    },
    /// No link.
    Offline {
        /// Since when.
        since: Moment,
        /// For people.
        reason: String,
    },
}

/// One node, for listing and for the driver to look things up.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRecord {
    pub(crate) node_id: NodeId,
    pub(crate) name: String,
    pub(crate) capabilities: Capabilities,
    pub(crate) protocol: u32,
    pub(crate) presence: Presence,
    pub(crate) registered_at: Moment,
    pub(crate) last_seen: Moment,
    pub(crate) cpu: f64,
    pub(crate) memory: f64,
    /// Calls of others: what the last heartbeat counted beyond ours.
    pub(crate) foreign_tasks: u32,
    pub(crate) concurrency: Option<u32>,
    /// Credits of the last heartbeat, less what was sent and plus what ended since. May fall below zero: a
    /// call for this very node is sent without looking at them.
    pub(crate) credits_left: Option<i64>,
    pub(crate) boot_id: Option<String>,
    pub(crate) drained_by_operator: bool,
    pub(crate) drains_itself: bool,
    pub(crate) calls: BTreeSet<RequestId>,
    /// Those of `calls` that were sent over an older link of the same process.
    pub(crate) adopted: BTreeSet<RequestId>,
    /// Calls that are over for us but run on there, since a v1 peer cannot be told to stop.
    pub(crate) overdue: BTreeSet<RequestId>,
    /// How many of `calls` wait for the hive and leave their credit to others.
    pub(crate) yielded: u32,
    /// How many of `calls` are tasks.
    pub(crate) tasks: u32,
    /// What it is asked while it holds tasks and says nothing.
    pub(crate) silence: Silence,
    /// It is given no task until then.
    pub(crate) paused_until: Option<Moment>,
    /// When it was chosen last, counted in choices.
    pub(crate) chosen: u64,
    pub(crate) health: Health,
}

/// A node that holds tasks and says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Silence {
    /// It holds tasks since then.
    pub(crate) laden_since: Moment,
    /// First and last time it was asked for a sign of life, since it gave one.
    pub(crate) asked: Option<(Moment, Moment)>,
    /// Its tasks were given up: it gets none until it gives a sign of life.
    pub(crate) gave_up: bool,
}

impl NodeRecord {
    /// Its id.
    #[must_use]
    pub const fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Swarm protocol it speaks.
    #[must_use]
    pub const fn protocol(&self) -> u32 {
        self.protocol
    }

    /// Where it is in its life.
    #[must_use]
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Connected, and no goodbye said.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        matches!(self.presence, Presence::Online { .. })
    }

    /// Its live link.
    #[must_use]
    pub const fn link(&self) -> Option<LinkId> {
        match self.presence {
            Presence::Online { link } | Presence::Leaving { link } => Some(link),
            Presence::Offline { .. } => None,
        }
    }

    /// First seen by this foreman.
    #[must_use]
    pub const fn registered_at(&self) -> Moment {
        self.registered_at
    }

    /// Last sign of life.
    #[must_use]
    pub const fn last_seen(&self) -> Moment {
        self.last_seen
    }

    /// Processor use, 0..1, by its last heartbeat.
    #[must_use]
    pub const fn cpu(&self) -> f64 {
        self.cpu
    }

    /// Memory use, 0..1, by its last heartbeat.
    #[must_use]
    pub const fn memory(&self) -> f64 {
        self.memory
    }

    /// Calls running on it: those of this foreman and, by its last heartbeat, others.
    #[must_use]
    pub fn active_tasks(&self) -> u32 {
        self.in_hand().saturating_add(self.foreign_tasks)
    }

    /// Share of its calls that failed lately through its own fault, 0..1.
    #[must_use]
    pub const fn failures(&self) -> f64 {
        self.health.failures
    }

    /// How late its answers were lately, beside the hive's fastest, 0..1.
    #[must_use]
    pub const fn lateness(&self) -> f64 {
        self.health.lateness
    }

    /// Calls of this foreman running on it.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        u32::try_from(self.calls.len()).unwrap_or(u32::MAX)
    }

    /// It takes nothing new, by its own word or an operator's.
    #[must_use]
    pub const fn draining(&self) -> bool {
        self.drained_by_operator || self.drains_itself
    }

    /// Calls of this foreman that it has in hand, those included that are over for us.
    pub(crate) fn in_hand(&self) -> u32 {
        let overdue = u32::try_from(self.overdue.len()).unwrap_or(u32::MAX);
        self.in_flight().saturating_add(overdue)
    }

    /// It is to take a call chosen for it by load.
    pub(crate) fn is_open(&self, settings: &Settings) -> bool {
        self.is_willing() && !self.is_full(settings) && self.slots(u32::MAX) > 0
    }

    /// It takes new work, now or once it has room.
    pub(crate) const fn is_willing(&self) -> bool {
        self.is_online() && !self.draining()
    }

    /// It has as many calls as any node may have.
    pub(crate) fn is_full(&self, settings: &Settings) -> bool {
        self.in_hand() >= settings.max_in_flight_per_node
    }

    /// Calls it takes beside those it has; `unsaid` in all when it never said how many it takes.
    fn slots(&self, unsaid: u32) -> u32 {
        match (self.credits_left, self.concurrency) {
            (Some(credits), _) => u32::try_from(credits.max(0)).unwrap_or(u32::MAX),
            (None, said) => {
                let taken = self.in_hand().saturating_sub(self.yielded);
                said.unwrap_or(unsaid).saturating_sub(taken)
            }
        }
    }

    /// Tasks it takes now.
    pub(crate) fn room(&self, settings: &Settings) -> u16 {
        if !self.is_willing() || self.silence.gave_up || self.paused_until.is_some() {
            return 0;
        }
        let left = settings.max_in_flight_per_node.saturating_sub(self.in_hand());
        let room = self.slots(settings.tasks_without_credits).min(left);
        u16::try_from(room).unwrap_or(u16::MAX)
    }

    /// What the index is told.
    pub(crate) fn standing(&self, settings: &Settings) -> Standing {
        let weights = &settings.weights;
        let score = weights.score(self.cpu, self.memory, self.active_tasks())
            + weights.penalty(self.health.failures, self.health.lateness);
        Standing {
            rank: Rank::new(score, self.in_flight(), self.node_id),
            chosen: self.chosen,
            willing: self.is_willing(),
            open: self.is_open(settings),
            room: self.room(settings),
        }
    }

    /// For messages.
    pub(crate) fn label(&self) -> String {
        format!("node {} ({})", self.name, self.node_id)
    }
}
