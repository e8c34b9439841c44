//! The ledger of calls in flight, those of tasks included: each is entered once, when it is sent, and leaves once, when
//! it ends.

use std::sync::Arc;

use venom_protocol::{ErrorCode, LaneNeeds, RequestId};

use crate::health::is_of_the_node;
use crate::index::Place;
use crate::task::{CallReport, TaskOrder};
use crate::verdict::RunEnd;
use crate::{Action, Foreman, LinkId, Moment, Target};

/// A call in flight.
#[derive(Debug)]
pub(crate) struct Call {
    /// Node it went to.
    pub(crate) place: Place,
    pub(crate) sent: Moment,
    /// It waits for the hive and leaves its credit to others.
    pub(crate) yielded: bool,
    pub(crate) work: Work,
}

/// What a call is for.
#[derive(Debug)]
pub(crate) enum Work {
    /// A caller waits.
    Direct { skill: String },
    /// A lease waits.
    Task(Run),
}

/// One run of a task.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) order: Box<TaskOrder>,
    pub(crate) needs: Arc<LaneNeeds>,
    /// When the node has to have answered.
    pub(crate) deadline: Moment,
    /// Somebody wants it stopped, and the node was told.
    pub(crate) cancelled: bool,
}

/// What the end of a call does to the place it took on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Others may have it.
    Free,
    /// The call runs on there: nobody may have it until the node answers.
    Taken,
}

impl Foreman {
    pub(crate) fn request(
        &mut self,
        now: Moment,
        request_id: RequestId,
        target: &Target,
        skill: String,
        out: &mut Vec<Action>,
    ) {
        if self.calls.contains_key(&request_id) {
            return;
        }
        match self.choose(target, &skill) {
            Ok(place) => self.send(now, request_id, place, Work::Direct { skill }, out),
            Err(rejection) => out.push(Action::RejectCall { request_id, rejection }),
        }
    }

    /// Sends a call whose id is not in flight.
    pub(crate) fn send(&mut self, now: Moment, request_id: RequestId, place: Place, work: Work, out: &mut Vec<Action>) {
        self.choices += 1;
        let chosen = self.choices;
        let Some(node) = self.record_mut(place) else { return };
        let Some(link) = node.link() else { return };
        out.push(Action::SendCall {
            request_id,
            node_id: node.node_id,
            link,
        });
        node.calls.insert(request_id);
        node.credits_left = node.credits_left.map(|credits| credits - 1);
        node.chosen = chosen;
        if let Work::Task(run) = &work {
            self.enter_run(now, request_id, place, run);
        }
        let call = Call {
            place,
            sent: now,
            yielded: false,
            work,
        };
        self.calls.insert(request_id, call);
        self.rerank(place);
    }

    /// An answer came; believed only over the live link of the node that has the call.
    pub(crate) fn finish(
        &mut self,
        now: Moment,
        link: LinkId,
        request_id: RequestId,
        report: &CallReport,
        out: &mut Vec<Action>,
    ) {
        let Some(&place) = self.links.get(&link) else { return };
        let Some(call) = self.calls.get(&request_id).filter(|call| call.place == place) else {
            self.answer_overdue(place, request_id);
            return;
        };
        let late = self.pace.lateness(now.since(call.sent), report.seconds);
        let failed = report.failed_with().is_some_and(is_of_the_node);
        self.judge(now, place, failed, Some(late));
        let Some(call) = self.end(request_id, Slot::Free) else {
            return;
        };
        match call.work {
            Work::Direct { .. } => {
                if let Some(node) = self.record(place) {
                    let node_id = node.node_id;
                    out.push(Action::CompleteCall { request_id, node_id });
                }
            }
            Work::Task(run) => self.run_answered(now, place, &run, report, out),
        }
        self.after_end(now, place, out);
    }

    /// A call that was given up long ago: its place is free at last.
    fn answer_overdue(&mut self, place: Place, request_id: RequestId) {
        if let Some(node) = self.record_mut(place)
            && node.overdue.remove(&request_id)
        {
            node.credits_left = node.credits_left.map(|credits| credits + 1);
            self.rerank(place);
        }
    }

    pub(crate) fn yielded(&mut self, link: LinkId, request_id: RequestId) {
        let place = self.links.get(&link).copied();
        let call = self.calls.get_mut(&request_id);
        if let Some(call) = call.filter(|call| Some(call.place) == place && !call.yielded) {
            call.yielded = true;
            let place = call.place;
            if let Some(node) = self.record_mut(place) {
                node.yielded += 1;
                node.credits_left = node.credits_left.map(|credits| credits + 1);
            }
            self.rerank(place);
        }
    }

    pub(crate) fn resumed(&mut self, link: LinkId, request_id: RequestId) {
        let place = self.links.get(&link).copied();
        let call = self.calls.get_mut(&request_id);
        if let Some(call) = call.filter(|call| Some(call.place) == place && call.yielded) {
            call.yielded = false;
            let place = call.place;
            if let Some(node) = self.record_mut(place) {
                node.yielded = node.yielded.saturating_sub(1);
                node.credits_left = node.credits_left.map(|credits| credits - 1);
            }
            self.rerank(place);
        }
    }

    pub(crate) fn time_out(&mut self, now: Moment, request_id: RequestId, out: &mut Vec<Action>) {
        match self.calls.get(&request_id).map(|call| (call.place, &call.work)) {
            Some((_, Work::Task(_))) => self.overrun(now, request_id, out),
            Some((place, Work::Direct { .. })) => {
                self.judge(now, place, true, None);
                self.stop(now, request_id, ErrorCode::TimedOut, "the deadline passed", out);
            }
            None => {}
        }
    }

    pub(crate) fn abandon(&mut self, now: Moment, request_id: RequestId, out: &mut Vec<Action>) {
        match self.calls.get(&request_id).map(|call| &call.work) {
            Some(Work::Task(_)) => self.unsent(now, request_id, out),
            Some(Work::Direct { .. }) => {
                self.stop(now, request_id, ErrorCode::Cancelled, "the caller went away", out);
            }
            None => {}
        }
    }

    /// Stops a direct call.
    fn stop(&mut self, now: Moment, request_id: RequestId, code: ErrorCode, why: &str, out: &mut Vec<Action>) {
        let Some(place) = self.calls.get(&request_id).map(|call| call.place) else {
            return;
        };
        self.tell_to_stop(place, request_id, out);
        if let Some(call) = self.end(request_id, Slot::Free) {
            self.fail(request_id, &call, code, why, out);
        }
        self.after_end(now, place, out);
    }

    /// Asks a node to stop a call; a v1 peer cannot be asked and runs on.
    pub(crate) fn tell_to_stop(&self, place: Place, request_id: RequestId, out: &mut Vec<Action>) -> Slot {
        let Some(node) = self.record(place) else {
            return Slot::Free;
        };
        if node.protocol < 2 {
            return Slot::Taken;
        }
        if let Some(link) = node.link() {
            out.push(Action::CancelCall { request_id, link });
        }
        Slot::Free
    }

    /// Tells the caller of a direct call that is off the books.
    fn fail(&self, request_id: RequestId, call: &Call, code: ErrorCode, why: &str, out: &mut Vec<Action>) {
        let (Work::Direct { skill }, Some(node)) = (&call.work, self.record(call.place)) else {
            return;
        };
        out.push(Action::FailCall {
            request_id,
            code,
            message: format!("call of {skill} on {} failed: {why}", node.label()),
        });
    }

    /// Ends a call whose node no longer has it.
    pub(crate) fn lose(&mut self, now: Moment, request_id: RequestId, slot: Slot, why: &str, out: &mut Vec<Action>) {
        let Some(place) = self.calls.get(&request_id).map(|call| call.place) else {
            return;
        };
        self.judge(now, place, true, None);
        let Some(call) = self.end(request_id, slot) else { return };
        match &call.work {
            Work::Direct { .. } => self.fail(request_id, &call, ErrorCode::NodeLost, why, out),
            Work::Task(run) => {
                let label = self.record(place).map(crate::NodeRecord::label).unwrap_or_default();
                let why = format!("{label} was lost: {why}");
                self.settle_run(place, run, RunEnd::Lost(&why), out);
            }
        }
    }

    /// Ends all calls of a node that is gone.
    pub(crate) fn lose_all(&mut self, now: Moment, place: Place, why: &str, out: &mut Vec<Action>) {
        let Some(node) = self.record(place) else { return };
        for request_id in node.calls.clone() {
            self.lose(now, request_id, Slot::Free, why, out);
        }
    }

    /// Takes a call off the books.
    pub(crate) fn end(&mut self, request_id: RequestId, slot: Slot) -> Option<Call> {
        let call = self.calls.remove(&request_id)?;
        if let Some(node) = self.record_mut(call.place) {
            node.calls.remove(&request_id);
            node.adopted.remove(&request_id);
            let mut freed = 1;
            if call.yielded {
                node.yielded = node.yielded.saturating_sub(1);
                freed -= 1;
            }
            if slot == Slot::Taken {
                node.overdue.insert(request_id);
                freed -= 1;
            }
            node.credits_left = node.credits_left.map(|credits| credits + freed);
        }
        if let Work::Task(run) = &call.work {
            self.leave_run(request_id, call.place, run);
        }
        self.rerank(call.place);
        Some(call)
    }

    /// Remembers how a call went with its node. The rank follows with the end of the call.
    pub(crate) fn judge(&mut self, now: Moment, place: Place, failed: bool, late: Option<f64>) {
        if let Some(node) = self.record_mut(place) {
            node.health.note(now, failed, late);
        }
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
