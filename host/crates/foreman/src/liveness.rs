//! Signs of life and their absence, load, and draining.

use venom_protocol::{Capabilities, NodeId, close};

use crate::calls::Slot;
use crate::index::{Place, labels};
use crate::{Action, Foreman, LinkId, Moment, NodeRecord};

impl Foreman {
    pub(crate) fn seen(&mut self, now: Moment, link: LinkId) {
        if let Some(&place) = self.links.get(&link)
            && let Some(node) = self.record_mut(place)
        {
            node.last_seen = node.last_seen.max(now);
            if node.silence.asked.is_some() || node.silence.gave_up {
                self.heard(place);
            }
        }
    }

    pub(crate) fn heartbeat(
        &mut self,
        now: Moment,
        link: LinkId,
        (cpu, memory): (f64, f64),
        active_tasks: u32,
        credits: Option<u32>,
        out: &mut Vec<Action>,
    ) {
        let Some(&place) = self.links.get(&link) else { return };
        let Some(node) = self.record_mut(place) else { return };
        node.cpu = share(cpu);
        node.memory = share(memory);
        node.health.fade(now);
        let in_hand = node.in_hand();
        node.foreign_tasks = active_tasks.saturating_sub(in_hand);
        // calls on their way there are not yet taken off the credits it sent
        let unseen = in_hand.saturating_sub(active_tasks);
        node.credits_left = credits.map(|credits| i64::from(credits) - i64::from(unseen));
        // its answers came before the heartbeat, over the same link: what is left was lost with the old one
        let lost = if active_tasks == 0 {
            std::mem::take(&mut node.adopted)
        } else {
            Default::default()
        };
        for request_id in lost {
            let why = "it came back and no longer runs the call";
            self.lose(now, request_id, Slot::Free, why, out);
            self.after_end(now, place, out);
        }
        self.rerank(place);
    }

    pub(crate) fn status(&mut self, link: LinkId, capabilities: Capabilities, draining: bool, out: &mut Vec<Action>) {
        let Some(&place) = self.links.get(&link) else { return };
        let Some(node) = self.nodes.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        if !node.is_online() {
            return;
        }
        let was_draining = node.draining();
        node.drains_itself = draining;
        if node.capabilities != capabilities {
            for label in labels(&node.capabilities) {
                self.index.remove_label(label, place);
            }
            for label in labels(&capabilities) {
                self.index.add_label(label, place);
            }
            node.capabilities = capabilities;
            self.fewer |= !self.held.is_empty();
            out.push(Action::NodeChanged { node_id: node.node_id });
        }
        self.tell_draining(place, was_draining, out);
    }

    /// An operator's word.
    pub(crate) fn drain(&mut self, node_id: NodeId, drain: bool, out: &mut Vec<Action>) {
        let Some(&place) = self.places.get(&node_id) else {
            return;
        };
        let Some(node) = self.record_mut(place) else { return };
        let was_draining = node.draining();
        node.drained_by_operator = drain;
        self.tell_draining(place, was_draining, out);
    }

    fn tell_draining(&mut self, place: Place, was_draining: bool, out: &mut Vec<Action>) {
        self.rerank(place);
        let Some(node) = self.record(place) else { return };
        let node_id = node.node_id;
        match (was_draining, node.draining()) {
            (false, true) => {
                let in_flight = node.in_flight();
                out.push(Action::NodeDraining { node_id, in_flight });
                if in_flight == 0 {
                    out.push(Action::NodeDrained { node_id });
                }
            }
            (true, false) => out.push(Action::NodeResumed { node_id }),
            (false, false) | (true, true) => {}
        }
    }

    /// Takes nodes that fell silent off. A v1 peer that hangs comes back when its socket is closed.
    pub(crate) fn drop_silent(&mut self, now: Moment, out: &mut Vec<Action>) {
        let timeout = self.settings.heartbeat_timeout;
        let is_silent = |node: &NodeRecord| node.link().is_some() && now.since(node.last_seen) >= timeout;
        let silent: Vec<Place> = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.as_ref().is_some_and(is_silent))
            .map(|(place, _)| place)
            .collect();
        let reason = format!("no frame for {} s", timeout.as_secs_f64());
        for place in silent {
            if let Some(link) = self.record(place).and_then(NodeRecord::link) {
                out.push(Action::CloseLink {
                    link,
                    code: close::GOING_AWAY,
                    reason: reason.clone(),
                });
            }
            self.go_offline(now, place, &reason, out);
        }
    }
}

/// A share 0..1; no number is no load.
fn share(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}
