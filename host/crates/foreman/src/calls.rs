//! The ledger of calls in flight: each is entered once, when it is sent, and leaves once, when it ends.

use venom_protocol::{ErrorCode, RequestId};

use crate::index::Place;
use crate::{Action, Foreman, LinkId, Moment, Target};

/// A call in flight.
#[derive(Debug)]
pub(crate) struct Call {
    /// Node it went to.
    pub(crate) place: Place,
    pub(crate) skill: String,
}

impl Foreman {
    pub(crate) fn request(&mut self, request_id: RequestId, target: &Target, skill: String, out: &mut Vec<Action>) {
        if self.calls.contains_key(&request_id) {
            return;
        }
        match self.choose(target, &skill) {
            Ok(place) => self.send(request_id, place, skill, out),
            Err(rejection) => out.push(Action::RejectCall { request_id, rejection }),
        }
    }

    fn send(&mut self, request_id: RequestId, place: Place, skill: String, out: &mut Vec<Action>) {
        let Some(node) = self.record_mut(place) else { return };
        let Some(link) = node.link() else { return };
        out.push(Action::SendCall {
            request_id,
            node_id: node.node_id,
            link,
        });
        node.calls.insert(request_id);
        node.credits_left = node.credits_left.map(|credits| credits - 1);
        self.calls.insert(request_id, Call { place, skill });
        self.rerank(place);
    }

    /// An answer came; believed only over the live link of the node that has the call.
    pub(crate) fn finish(&mut self, now: Moment, link: LinkId, request_id: RequestId, out: &mut Vec<Action>) {
        let Some(&place) = self.links.get(&link) else { return };
        if self.calls.get(&request_id).is_none_or(|call| call.place != place) {
            return;
        }
        if let Some(node) = self.record(place) {
            out.push(Action::CompleteCall {
                request_id,
                node_id: node.node_id,
            });
        }
        self.end(request_id);
        self.after_end(now, place, out);
    }

    pub(crate) fn time_out(&mut self, now: Moment, request_id: RequestId, out: &mut Vec<Action>) {
        self.stop(now, request_id, ErrorCode::TimedOut, "the deadline passed", out);
    }

    pub(crate) fn abandon(&mut self, now: Moment, request_id: RequestId, out: &mut Vec<Action>) {
        self.stop(now, request_id, ErrorCode::Cancelled, "the caller went away", out);
    }

    fn stop(&mut self, now: Moment, request_id: RequestId, code: ErrorCode, why: &str, out: &mut Vec<Action>) {
        let Some(place) = self.calls.get(&request_id).map(|call| call.place) else {
            return;
        };
        if let Some(node) = self.record(place)
            && node.protocol >= 2
            && let Some(link) = node.link()
        {
            out.push(Action::CancelCall { request_id, link });
        }
        self.fail(request_id, code, why, out);
        self.after_end(now, place, out);
    }

    /// Fails one call, if it is in flight.
    pub(crate) fn fail(&mut self, request_id: RequestId, code: ErrorCode, why: &str, out: &mut Vec<Action>) {
        let Some(call) = self.end(request_id) else { return };
        let Some(node) = self.record(call.place) else { return };
        out.push(Action::FailCall {
            request_id,
            code,
            message: format!("call of {} on {} failed: {why}", call.skill, node.label()),
        });
    }

    /// Fails all calls of a node that is gone.
    pub(crate) fn fail_all(&mut self, place: Place, why: &str, out: &mut Vec<Action>) {
        let Some(node) = self.record_mut(place) else { return };
        let lost = node.calls.clone();
        for request_id in lost {
            self.fail(request_id, ErrorCode::NodeLost, why, out);
        }
    }

    /// Takes a call off the books.
    fn end(&mut self, request_id: RequestId) -> Option<Call> {
        let call = self.calls.remove(&request_id)?;
        if let Some(node) = self.record_mut(call.place) {
            node.calls.remove(&request_id);
            node.adopted.remove(&request_id);
            node.credits_left = node.credits_left.map(|credits| credits + 1);
        }
        self.rerank(call.place);
        Some(call)
    }

    /// What the end of a node's last call means.
    pub(crate) fn after_end(&mut self, now: Moment, place: Place, out: &mut Vec<Action>) {
        let Some(node) = self.record(place) else { return };
        if !node.calls.is_empty() {
            return;
        }
        if node.draining() {
            out.push(Action::NodeDrained { node_id: node.node_id });
        }
        self.close_left(now, place, out);
    }
}
