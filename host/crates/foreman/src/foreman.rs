//! The state and its one entrance, [`Foreman::step`].

use venom_protocol::NodeId;

use crate::{Action, Event, Moment, NodeRecord, Settings};

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
    settings: Settings,
}

impl Foreman {
    /// A foreman that knows no node.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Takes one event and says what to do about it, in order. Never fails; an event about a link, node or
    /// call that is not (or no longer) known does nothing.
    pub fn step(&mut self, _now: Moment, _event: Event) -> Vec<Action> {
        let _ = self.settings;
        todo!()
    }

    /// All nodes listed, in the order they were first seen (roughly: places of forgotten ones are reused).
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        std::iter::empty()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, _node_id: &NodeId) -> Option<&NodeRecord> {
        todo!()
    }

    /// Nodes and calls in numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        todo!()
    }
}
