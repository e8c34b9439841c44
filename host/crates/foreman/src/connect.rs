//! Links come and go: registering, coming back, clones, goodbyes, and what is left of a node without a link.

use std::collections::BTreeSet;

use venom_protocol::{Capabilities, NodeId, close};

use crate::health::Health;
use crate::index::{Place, labels};
use crate::node::Silence;
use crate::{Action, Foreman, LinkId, Moment, NodeRecord, Presence};

/// A node at the door.
pub(crate) struct Newcomer {
    pub(crate) link: LinkId,
    pub(crate) node_id: NodeId,
    pub(crate) name: String,
    pub(crate) capabilities: Capabilities,
    pub(crate) protocol: u32,
    pub(crate) concurrency: Option<u32>,
    pub(crate) boot_id: Option<String>,
}

impl Newcomer {
    /// The same process as `node`, as far as anyone can tell. v1 peers cannot.
    fn is_same_process(&self, node: &NodeRecord) -> bool {
        node.boot_id.is_some() && self.boot_id == node.boot_id
    }

    /// Another process with the id of one that is alive. Leaving the boot id out does not help.
    fn is_clone(&self, node: &NodeRecord, now: Moment, window: std::time::Duration) -> bool {
        node.is_online() && node.boot_id.is_some() && self.boot_id != node.boot_id && now.since(node.last_seen) < window
    }
}

impl Foreman {
    pub(crate) fn connect(&mut self, now: Moment, newcomer: Newcomer, out: &mut Vec<Action>) {
        if self.links.contains_key(&newcomer.link) {
            return;
        }
        match self.places.get(&newcomer.node_id).copied() {
            Some(place) => self.come_back(now, place, newcomer, out),
            None => self.register(now, newcomer, out),
        }
    }

    fn register(&mut self, now: Moment, newcomer: Newcomer, out: &mut Vec<Action>) {
        let place = self.vacant.pop_first().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        let (node_id, link) = (newcomer.node_id, newcomer.link);
        self.places.insert(node_id, place);
        if let Some(slot) = self.nodes.get_mut(place) {
            *slot = Some(NodeRecord {
                node_id,
                name: newcomer.name,
                capabilities: newcomer.capabilities,
                protocol: newcomer.protocol,
                presence: Presence::Online { link },
                registered_at: now,
                last_seen: now,
                cpu: 0.0,
                memory: 0.0,
                foreign_tasks: 0,
                concurrency: newcomer.concurrency,
                credits_left: None,
                boot_id: newcomer.boot_id,
                drained_by_operator: false,
                drains_itself: false,
                calls: BTreeSet::new(),
                adopted: BTreeSet::new(),
                overdue: BTreeSet::new(),
                yielded: 0,
                tasks: 0,
                silence: Silence::default(),
                paused_until: None,
                chosen: 0,
                health: Health::default(),
            });
        }
        self.enter(place, link);
        out.push(Action::NodeOnline {
            node_id,
            link,
            replaced: None,
        });
    }

    fn come_back(&mut self, now: Moment, place: Place, newcomer: Newcomer, out: &mut Vec<Action>) {
        let window = self.settings.clone_window;
        let Some(node) = self.record(place) else { return };
        if newcomer.is_clone(node, now, window) {
            refuse_clone(node, newcomer, out);
            return;
        }
        let (node_id, link) = (newcomer.node_id, newcomer.link);
        let same_process = newcomer.is_same_process(node);
        let replaced = node.link().filter(|_| node.is_online());
        if let Some(old) = node.link() {
            out.push(Action::CloseLink {
                link: old,
                code: close::NORMAL,
                reason: "replaced by a newer connection of the same node".to_owned(),
            });
            if !same_process {
                self.lose_all(now, place, "it connected anew", out);
            }
        }
        self.exit(place);
        if let Some(node) = self.record_mut(place) {
            take_over(node, now, newcomer);
        }
        self.enter(place, link);
        out.push(Action::NodeOnline {
            node_id,
            link,
            replaced,
        });
    }

    /// Goodbye: nothing new, but what runs may still be answered.
    pub(crate) fn leave(&mut self, now: Moment, link: LinkId, reason: &str, out: &mut Vec<Action>) {
        let Some(&place) = self.links.get(&link) else { return };
        if !self.record(place).is_some_and(NodeRecord::is_online) {
            return;
        }
        self.exit(place);
        self.links.insert(link, place);
        let Some(node) = self.record_mut(place) else { return };
        node.presence = Presence::Leaving { link };
        node.last_seen = now;
        let (node_id, idle) = (node.node_id, node.calls.is_empty());
        out.push(Action::NodeOffline {
            node_id,
            reason: or_default(reason, "it said goodbye"),
        });
        if idle {
            self.close_left(now, place, out);
        }
    }

    /// A node that said goodbye has answered everything.
    pub(crate) fn close_left(&mut self, now: Moment, place: Place, out: &mut Vec<Action>) {
        let Some(Presence::Leaving { link }) = self.record(place).map(|node| node.presence.clone()) else {
            return;
        };
        out.push(Action::CloseLink {
            link,
            code: close::NORMAL,
            reason: "goodbye".to_owned(),
        });
        self.go_offline(now, place, "it said goodbye", out);
    }

    pub(crate) fn link_closed(
        &mut self,
        now: Moment,
        link: LinkId,
        graceful: bool,
        reason: &str,
        out: &mut Vec<Action>,
    ) {
        if let Some(&place) = self.links.get(&link) {
            let default = if graceful {
                "it said goodbye"
            } else {
                "its connection broke"
            };
            self.go_offline(now, place, &or_default(reason, default), out);
        }
    }

    /// Ends a node's link and with it the calls; the node stays listed.
    pub(crate) fn go_offline(&mut self, now: Moment, place: Place, reason: &str, out: &mut Vec<Action>) {
        let was_online = self.record(place).is_some_and(NodeRecord::is_online);
        self.lose_all(now, place, reason, out);
        self.exit(place);
        let Some(node) = self.record_mut(place) else { return };
        node.presence = Presence::Offline {
            since: now,
            reason: reason.to_owned(),
        };
        node.drains_itself = false;
        node.overdue.clear();
        let node_id = node.node_id;
        self.offline.insert((now, node_id));
        if was_online {
            out.push(Action::NodeOffline {
                node_id,
                reason: reason.to_owned(),
            });
        }
        self.forget_oldest(out);
    }

    /// Puts an online node's link and labels in.
    fn enter(&mut self, place: Place, link: LinkId) {
        let Some(node) = self.nodes.get(place).and_then(Option::as_ref) else {
            return;
        };
        for label in labels(&node.capabilities) {
            self.index.add_label(label, place);
        }
        self.links.insert(link, place);
        self.online += 1;
        self.rerank(place);
    }

    /// Takes a node out of links, index and the list of offline ones, whichever it is in.
    fn exit(&mut self, place: Place) {
        let Some(node) = self.nodes.get(place).and_then(Option::as_ref) else {
            return;
        };
        if let Presence::Offline { since, .. } = &node.presence {
            self.offline.remove(&(*since, node.node_id));
        }
        if let Some(link) = node.link() {
            self.links.remove(&link);
        }
        if node.is_online() {
            self.online -= 1;
            for label in labels(&node.capabilities) {
                self.index.remove_label(label, place);
            }
            self.index.set(place, None);
            self.fewer |= !self.held.is_empty();
        }
    }

    fn forget_oldest(&mut self, out: &mut Vec<Action>) {
        while self.offline.len() > self.settings.max_offline_nodes {
            let Some((_, node_id)) = self.offline.pop_first() else {
                return;
            };
            if let Some(place) = self.places.remove(&node_id)
                && let Some(slot) = self.nodes.get_mut(place)
            {
                *slot = None;
                self.vacant.insert(place);
            }
            out.push(Action::NodeForgotten { node_id });
        }
    }
}

fn refuse_clone(node: &NodeRecord, newcomer: Newcomer, out: &mut Vec<Action>) {
    out.push(Action::CloneAlarm {
        node_id: node.node_id,
        link: newcomer.link,
        name: newcomer.name,
    });
    out.push(Action::CloseLink {
        link: newcomer.link,
        code: close::POLICY,
        // names are up to 128 characters, a close reason 123 bytes: the id says it as well
        reason: format!("node id {} is in use; give each node its own", node.node_id),
    });
}

/// The same node over a new link. What an operator said holds; what the node said is new.
fn take_over(node: &mut NodeRecord, now: Moment, newcomer: Newcomer) {
    node.adopted = node.calls.clone();
    node.name = newcomer.name;
    node.capabilities = newcomer.capabilities;
    node.protocol = newcomer.protocol;
    node.presence = Presence::Online { link: newcomer.link };
    node.last_seen = now;
    node.foreign_tasks = 0;
    node.concurrency = newcomer.concurrency;
    node.credits_left = None;
    node.boot_id = newcomer.boot_id;
    node.drains_itself = false;
    node.overdue.clear();
    node.silence.laden_since = now;
    node.silence.asked = None;
    node.silence.gave_up = false;
    node.paused_until = None;
}

fn or_default(reason: &str, default: &str) -> String {
    if reason.is_empty() { default } else { reason }.to_owned()
}
