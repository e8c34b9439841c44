//! What the foreman knows of one node.

use std::collections::BTreeSet;

use venom_protocol::{Capabilities, NodeId, RequestId};

use crate::index::Rank;
use crate::{LinkId, LoadWeights, Moment, Settings};

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
        self.in_flight().saturating_add(self.foreign_tasks)
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

    /// It is to take a call chosen for it by load.
    pub(crate) fn is_open(&self, settings: &Settings) -> bool {
        self.is_online() && !self.draining() && !self.is_full(settings) && self.has_credit()
    }

    /// It has as many calls as any node may have.
    pub(crate) fn is_full(&self, settings: &Settings) -> bool {
        self.in_flight() >= settings.max_in_flight_per_node
    }

    fn has_credit(&self) -> bool {
        match (self.credits_left, self.concurrency) {
            (Some(credits), _) => credits > 0,
            (None, Some(concurrency)) => self.in_flight() < concurrency,
            (None, None) => true,
        }
    }

    pub(crate) fn rank(&self, weights: &LoadWeights) -> Rank {
        let score = weights.score(self.cpu, self.memory, self.active_tasks());
        Rank::new(score, self.in_flight(), self.node_id)
    }

    /// For messages.
    pub(crate) fn label(&self) -> String {
        format!("node {} ({})", self.name, self.node_id)
    }
}
