//! Tasks: leased, placed, settled. Each lease is in the ledger once, held or running, and leaves it with the one action
//! that settles it.

use std::collections::BTreeMap;
use std::sync::Arc;

use venom_protocol::{ErrorCode, LaneNeeds, NodeId, RequestId, TaskId};

use crate::calls::{Run, Slot, Work};
use crate::index::{Members, Place};
use crate::task::{CallReport, Settlement, TaskOrder};
use crate::verdict::{RunEnd, cancel, verdict};
use crate::{Action, Foreman, Moment, NodeRecord};

/// Where a leased task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spot {
    /// It waits for room, under this number.
    Held(u64),
    /// A node has it.
    Running(RequestId),
}

/// Where the tasks of a group run.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) places: Members,
    running: BTreeMap<Place, u32>,
}

impl Foreman {
    pub(crate) fn lease(&mut self, now: Moment, order: Box<TaskOrder>, out: &mut Vec<Action>) {
        match self.fence_of(order.task_id) {
            Some(known) if known == order.fence => return,
            // it was leased to another meanwhile, and to us again: the lease we know is over
            Some(known) if known < order.fence => self.take_back(now, order.task_id, out),
            Some(_) => return settle(&order, None, Settlement::Return, out),
            None => {}
        }
        self.turns.picked(order.priority);
        let Some(needs) = self.lanes.picked(&order.lane, order.priority) else {
            let message = format!("`{}` is no lane", order.lane);
            let code = ErrorCode::InvalidParams;
            return settle(&order, None, Settlement::Fail { code, message }, out);
        };
        self.place_or_hold(now, order, needs, out);
    }

    fn place_or_hold(&mut self, now: Moment, order: Box<TaskOrder>, needs: Arc<LaneNeeds>, out: &mut Vec<Action>) {
        if self.calls.contains_key(&order.request_id) {
            return settle(&order, None, Settlement::Return, out);
        }
        match self.choose_for_task(&order, &needs) {
            Some(place) => self.run(now, order, needs, place, out),
            None if self.held.has_room() && self.is_possible(&needs) => {
                let task_id = order.task_id;
                let number = self.held.insert(now, order, needs);
                self.tasks.insert(task_id, Spot::Held(number));
            }
            None => settle(&order, None, Settlement::Return, out),
        }
    }

    /// Sends a task to a node.
    pub(crate) fn run(
        &mut self,
        now: Moment,
        order: Box<TaskOrder>,
        needs: Arc<LaneNeeds>,
        place: Place,
        out: &mut Vec<Action>,
    ) {
        let request_id = order.request_id;
        let due = now.0.saturating_add(order.timeout).saturating_add(self.settings.grace);
        let run = Run {
            order,
            needs,
            deadline: Moment(due),
            cancelled: false,
        };
        self.send(now, request_id, place, Work::Task(run), out);
    }

    /// A run is on its way: what is kept of it beside the call.
    pub(crate) fn enter_run(&mut self, now: Moment, request_id: RequestId, place: Place, run: &Run) {
        self.tasks.insert(run.order.task_id, Spot::Running(request_id));
        self.deadlines.insert((run.deadline, request_id));
        if let Some(name) = &run.needs.group {
            let group = self.groups.entry(name.clone()).or_default();
            *group.running.entry(place).or_default() += 1;
            group.places.insert(place);
        }
        if let Some(node) = self.record_mut(place) {
            node.tasks += 1;
            if node.tasks == 1 {
                node.silence.laden_since = now;
                self.laden.insert(place);
            }
        }
    }

    /// A run is over: nothing is kept of it.
    pub(crate) fn leave_run(&mut self, request_id: RequestId, place: Place, run: &Run) {
        self.tasks.remove(&run.order.task_id);
        self.deadlines.remove(&(run.deadline, request_id));
        if let Some(name) = &run.needs.group {
            self.leave_group(name, place);
        }
        if let Some(node) = self.record_mut(place) {
            node.tasks = node.tasks.saturating_sub(1);
            if node.tasks == 0 {
                self.laden.remove(&place);
            }
        }
    }

    fn leave_group(&mut self, name: &str, place: Place) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if let Some(running) = group.running.get_mut(&place) {
            *running -= 1;
            if *running == 0 {
                group.running.remove(&place);
                group.places.remove(place);
            }
        }
        if group.running.is_empty() {
            self.groups.remove(name);
        }
    }

    /// A node answered a run, which is off the books.
    pub(crate) fn run_answered(
        &mut self,
        now: Moment,
        place: Place,
        run: &Run,
        report: &CallReport,
        out: &mut Vec<Action>,
    ) {
        if matches!(report.failed_with(), Some(ErrorCode::Busy | ErrorCode::Draining)) {
            self.pause(now, place);
        }
        self.settle_run(place, run, RunEnd::Answered(report), out);
    }

    /// Settles a run that is off the books.
    pub(crate) fn settle_run(&self, place: Place, run: &Run, end: RunEnd<'_>, out: &mut Vec<Action>) {
        let settlement = verdict(&run.order, end, run.cancelled, self.settings.poison_losses);
        settle(&run.order, self.record(place).map(NodeRecord::node_id), settlement, out);
    }

    /// The call could not be written to the link.
    pub(crate) fn unsent(&mut self, now: Moment, request_id: RequestId, out: &mut Vec<Action>) {
        let Some((place, run)) = self.end_run(request_id, Slot::Free) else {
            return;
        };
        let settlement = if run.cancelled { cancel() } else { Settlement::Return };
        settle(&run.order, None, settlement, out);
        self.pause(now, place);
        self.after_end(now, place, out);
    }

    /// The deadline of a run passed.
    pub(crate) fn overrun(&mut self, now: Moment, request_id: RequestId, out: &mut Vec<Action>) {
        let Some((place, order, cancelled)) = self.running(request_id) else {
            return;
        };
        let timeout = order.timeout.as_secs_f64();
        // when it is cancelled, the node was told before
        let slot = if cancelled {
            Slot::Free
        } else {
            self.judge(now, place, true, None);
            self.tell_to_stop(place, request_id, out)
        };
        let Some((_, run)) = self.end_run(request_id, slot) else {
            return;
        };
        let label = self.record(place).map(NodeRecord::label).unwrap_or_default();
        let grace = self.settings.grace.as_secs_f64();
        let message = format!("{label} gave no answer within {timeout} s and {grace} s of grace");
        self.settle_run(place, &run, RunEnd::Overran(&message), out);
        self.after_end(now, place, out);
    }

    pub(crate) fn cancel_task(&mut self, now: Moment, task_id: TaskId, out: &mut Vec<Action>) {
        match self.tasks.get(&task_id).copied() {
            Some(Spot::Held(number)) => self.settle_held(number, cancel(), out),
            Some(Spot::Running(request_id)) => self.cancel_run(now, request_id, out),
            None => {}
        }
    }

    fn cancel_run(&mut self, now: Moment, request_id: RequestId, out: &mut Vec<Action>) {
        let Some((place, _, false)) = self.running(request_id) else {
            return;
        };
        let slot = self.tell_to_stop(place, request_id, out);
        if slot == Slot::Taken {
            let Some((_, run)) = self.end_run(request_id, slot) else {
                return;
            };
            settle(&run.order, self.record(place).map(NodeRecord::node_id), cancel(), out);
            return self.after_end(now, place, out);
        }
        let due = Moment(now.0.saturating_add(self.settings.grace));
        if let Some(Work::Task(run)) = self.calls.get_mut(&request_id).map(|call| &mut call.work) {
            run.cancelled = true;
            self.deadlines.remove(&(run.deadline, request_id));
            run.deadline = run.deadline.min(due);
            self.deadlines.insert((run.deadline, request_id));
        }
    }

    /// Ends a lease that is no longer ours.
    fn take_back(&mut self, now: Moment, task_id: TaskId, out: &mut Vec<Action>) {
        match self.tasks.get(&task_id).copied() {
            Some(Spot::Held(number)) => self.settle_held(number, Settlement::Return, out),
            Some(Spot::Running(request_id)) => {
                let Some((place, run)) = self.stop_run(request_id, out) else {
                    return;
                };
                let node_id = self.record(place).map(NodeRecord::node_id);
                settle(&run.order, node_id, Settlement::Return, out);
                self.after_end(now, place, out);
            }
            None => {}
        }
    }

    /// All leases are others' now.
    pub(crate) fn lose_leases(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.held.clear();
        for (_, spot) in std::mem::take(&mut self.tasks) {
            if let Spot::Running(request_id) = spot
                && let Some((place, _)) = self.stop_run(request_id, out)
            {
                self.after_end(now, place, out);
            }
        }
    }

    /// Takes a run off its node and the books.
    fn stop_run(&mut self, request_id: RequestId, out: &mut Vec<Action>) -> Option<(Place, Run)> {
        let (place, ..) = self.running(request_id)?;
        let slot = self.tell_to_stop(place, request_id, out);
        self.end_run(request_id, slot)
    }

    fn end_run(&mut self, request_id: RequestId, slot: Slot) -> Option<(Place, Run)> {
        self.running(request_id)?;
        let call = self.end(request_id, slot)?;
        match call.work {
            Work::Task(run) => Some((call.place, run)),
            Work::Direct { .. } => None,
        }
    }

    /// A run: where, of what, and whether somebody wants it stopped.
    fn running(&self, request_id: RequestId) -> Option<(Place, &TaskOrder, bool)> {
        let call = self.calls.get(&request_id)?;
        match &call.work {
            Work::Task(run) => Some((call.place, &run.order, run.cancelled)),
            Work::Direct { .. } => None,
        }
    }

    fn fence_of(&self, task_id: TaskId) -> Option<u64> {
        match self.tasks.get(&task_id)? {
            Spot::Held(number) => Some(self.held.get(*number)?.order.fence),
            Spot::Running(request_id) => Some(self.task_of(*request_id)?.fence),
        }
    }

    /// The task whose run this call is.
    #[must_use]
    pub fn task_of(&self, request_id: RequestId) -> Option<&TaskOrder> {
        self.running(request_id).map(|(_, order, _)| order)
    }

    /// Node that a call in flight, a task's or not, was sent to.
    #[must_use]
    pub fn node_running(&self, request_id: RequestId) -> Option<NodeId> {
        let place = self.calls.get(&request_id)?.place;
        self.record(place).map(NodeRecord::node_id)
    }

    /// Tasks that nodes have now: task, fencing token, node.
    pub fn assigned(&self) -> impl Iterator<Item = (TaskId, u64, NodeId)> {
        self.tasks.iter().filter_map(|(task_id, spot)| {
            let Spot::Running(request_id) = *spot else { return None };
            let fence = self.task_of(request_id)?.fence;
            Some((*task_id, fence, self.node_running(request_id)?))
        })
    }
}

/// Says how a lease ends. It must be off the books, or never have been on them.
pub(crate) fn settle(order: &TaskOrder, node_id: Option<NodeId>, settlement: Settlement, out: &mut Vec<Action>) {
    out.push(Action::SettleTask {
        request_id: order.request_id,
        task_id: order.task_id,
        fence: order.fence,
        node_id,
        settlement,
    });
}
