//! Tells the world, and a new node itself, what became of nodes.

use serde_json::json;
use venom_foreman::{Action, LinkId};
use venom_protocol::{Event as Notice, NodeId, PROTOCOL_VERSION};

use super::{Core, Driver};
use crate::link::Outgoing;

impl Driver {
    /// Tells the world (and, for a new one, the node) what became of a node.
    pub(super) fn announce(&self, core: &Core, action: Action) {
        match action {
            Action::NodeOnline { node_id, link, .. } => self.greet(core, node_id, link),
            Action::NodeOffline { node_id, reason } => {
                self.audit
                    .record("node_offline", json!({ "node_id": node_id, "reason": reason }));
                self.events.publish(&Notice::node_disconnected(node_id, &reason));
            }
            Action::NodeChanged { node_id } => {
                if let Some(node) = core.foreman.node(&node_id) {
                    let facts = json!({ "node_id": node_id, "node_name": node.name(),
                        "skills": node.capabilities().skills, "tags": node.capabilities().tags });
                    self.publish(
                        "NODE_CHANGED",
                        format!("node {} changed what it has", node.name()),
                        facts,
                    );
                }
            }
            Action::NodeDraining { node_id, in_flight } => self.publish(
                "NODE_DRAINING",
                format!("node {node_id} drains, {in_flight} calls run on it"),
                json!({ "node_id": node_id, "in_flight": in_flight }),
            ),
            Action::NodeDrained { node_id } => {
                self.publish(
                    "NODE_DRAINED",
                    format!("node {node_id} has drained"),
                    json!({ "node_id": node_id }),
                );
            }
            Action::NodeResumed { node_id } => {
                self.publish(
                    "NODE_RESUMED",
                    format!("node {node_id} takes calls again"),
                    json!({ "node_id": node_id }),
                );
            }
            Action::NodeForgotten { node_id } => {
                self.publish(
                    "NODE_FORGOTTEN",
                    format!("node {node_id} is no longer listed"),
                    json!({ "node_id": node_id }),
                );
            }
            Action::CloneAlarm { node_id, link, name } => {
                let facts = json!({ "node_id": node_id, "node_name": name, "link": link.0 });
                self.audit.record("clone_refused", facts.clone());
                self.publish(
                    "CLONE_REFUSED",
                    format!("{name} came with the id of live node {node_id}"),
                    facts,
                );
            }
            // carried out before
            Action::SendCall { .. }
            | Action::CompleteCall { .. }
            | Action::RejectCall { .. }
            | Action::FailCall { .. }
            | Action::CancelCall { .. }
            | Action::SettleTask { .. }
            | Action::PingLink { .. }
            | Action::CloseLink { .. } => {}
        }
    }

    fn greet(&self, core: &Core, node_id: NodeId, link: LinkId) {
        let (Some(node), Some(handle)) = (core.foreman.node(&node_id), core.links.get(&link)) else {
            return;
        };
        if node.protocol() >= PROTOCOL_VERSION {
            handle.send(Outgoing::Welcome(Box::new(self.welcome.clone())));
        }
        let has = node.capabilities();
        self.audit.record(
            "node_registered",
            json!({ "node_id": node_id, "node_name": node.name(), "peer": handle.peer, "protocol": node.protocol() }),
        );
        self.events
            .publish(&Notice::node_connected(node_id, node.name(), &has.skills, &has.tags));
    }

    fn publish(&self, kind: &str, message: String, facts: serde_json::Value) {
        self.events.publish(&Notice::new(kind, message, facts));
    }
}
