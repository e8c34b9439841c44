//! What the foreman knows of one node.

use venom_protocol::{Capabilities, NodeId};

use crate::{LinkId, Moment};

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
        todo!()
    }

    /// Calls of this foreman running on it.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        todo!()
    }

    /// It takes nothing new, by its own word or an operator's.
    #[must_use]
    pub fn draining(&self) -> bool {
        todo!()
    }
}
