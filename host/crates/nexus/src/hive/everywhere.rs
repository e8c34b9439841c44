//! The nodes of all nexuses as one list, and words to the listeners of all.

use std::collections::HashMap;

use venom_protocol::{Event, NodeId, NodeView};

use super::Hive;

impl Hive {
    /// Nodes of this nexus and of those it shares a broker with. A node is listed once: where it is online, else here.
    pub(crate) fn nodes_everywhere(&self) -> Vec<NodeView> {
        let mut nodes = self.driver.nodes(|_| true);
        if !self.directory.has_peers() {
            return nodes;
        }
        let places = nodes.iter().enumerate();
        let places: HashMap<NodeId, usize> = places.map(|(place, node)| (node.node_id, place)).collect();
        for (_, node) in self.directory.nodes() {
            match places.get(&node.node_id).and_then(|place| nodes.get_mut(*place)) {
                Some(here) if here.is_online || !node.is_online => {}
                Some(here) => *here = node,
                None => nodes.push(node),
            }
        }
        nodes
    }

    /// Tells whoever listens now, here and on other nexuses.
    pub(crate) fn tell_in_passing(&self, event: Event) {
        self.events.publish_passing(|| event.clone());
        if self.directory.others_listen() {
            self.relay(event);
        }
    }

    /// Tells listeners here, for good, and those of other nexuses.
    pub(crate) fn tell_everybody(&self, event: Event) {
        self.events.publish(&event);
        if self.directory.others_listen() {
            self.relay(event);
        }
    }
}
