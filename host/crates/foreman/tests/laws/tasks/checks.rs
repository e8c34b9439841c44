//! What must hold of every action, when it is given, and of the state after every event.

use std::collections::BTreeSet;

use venom_foreman::{Action, Event, LinkId, Moment, Settlement};
use venom_protocol::{ErrorCode, NodeId, RequestId, TaskId};

use super::{Flight, Live, Tasks, settings};

impl Tasks {
    pub(super) fn check(&mut self, event: &Event, action: &Action) {
        match action {
            Action::SendCall {
                request_id,
                node_id,
                link,
            } => self.check_sent(event, *request_id, *node_id, *link),
            Action::CompleteCall { request_id, .. } | Action::FailCall { request_id, .. } => {
                self.land(*request_id, false);
            }
            Action::SettleTask {
                request_id,
                task_id,
                fence,
                node_id,
                settlement,
            } => self.check_settled(event, (*request_id, *task_id, *fence), *node_id, settlement),
            Action::CancelCall { request_id, link } => {
                assert!(self.links[link].protocol >= 2, "a v1 peer was asked to cancel");
                assert_eq!(self.flying[request_id].node, self.links[link].node);
            }
            Action::PingLink { link } => {
                let node = self.links[link].node;
                let mut tasks = self.flying.values().filter(|flight| flight.task.is_some());
                assert!(tasks.any(|flight| flight.node == node), "asked a node without tasks");
            }
            Action::CloseLink { link, .. } => match event {
                // refused at the door: nothing becomes of the node that is in
                Event::NodeConnected { link: new, .. } if new == link => {
                    self.links.remove(link);
                }
                _ => self.unlink(*link),
            },
            Action::NodeForgotten { node_id } => {
                self.drained.remove(node_id);
                self.chosen.remove(node_id);
            }
            _ => {}
        }
    }

    pub(super) fn check_sent(&mut self, event: &Event, request_id: RequestId, node: NodeId, link: LinkId) {
        let live = &self.links[&link];
        assert_eq!(live.node, node);
        assert!(self.is_willing(live), "sent to {live:?}");
        let lease = self.leased.iter().find(|(_, lease)| lease.1 == request_id);
        let task = lease.map(|(task, _)| *task);
        if let Some(task) = task {
            assert!(self.room(live) > 0, "sent a task to a node without room, {live:?}");
            assert!(self.fits(live, &self.tasks[&task].needs), "sent a task to {live:?}");
            let twice = self.flying.values().any(|flight| flight.task == Some(task));
            assert!(!twice, "a task is on two nodes");
            self.tasks.get_mut(&task).unwrap().last_node = Some(node);
        } else {
            assert!(
                matches!(event, Event::CallRequested { .. }),
                "nobody asked for {request_id}"
            );
        }
        let flight = Flight {
            node,
            task,
            yielded: false,
        };
        assert!(self.flying.insert(request_id, flight).is_none(), "sent twice");
        self.serial += 1;
        self.chosen.insert(node, self.serial);
        self.add_credits(node, -1);
    }

    pub(super) fn check_settled(
        &mut self,
        event: &Event,
        (request_id, task_id, fence): (RequestId, TaskId, u64),
        node: Option<NodeId>,
        settlement: &Settlement,
    ) {
        let lease = self.leased.remove(&task_id).expect("only an open lease is settled");
        assert_eq!((lease.0, lease.1), (fence, request_id));
        let ran = self.flying.contains_key(&request_id);
        if ran {
            let on = self.flying[&request_id].node;
            assert!(node.is_none_or(|node| node == on));
            let told = matches!(
                event,
                Event::Tick | Event::TaskCancelRequested { .. } | Event::TaskLeased(_)
            );
            let runs_on = told && self.live(on).is_some_and(|live| live.protocol == 1);
            self.land(request_id, runs_on);
            self.learn(event, on, settlement);
        } else {
            assert_eq!(node, None);
            assert!(
                matches!(settlement, Settlement::Return | Settlement::Cancel { .. }),
                "{settlement:?} of a held task"
            );
        }
        let task = self.tasks.get_mut(&task_id).unwrap();
        match settlement {
            Settlement::Retry { lost_node, .. } => {
                assert!(task.losses + 1 < settings().poison_losses || !lost_node);
                task.losses += u32::from(*lost_node);
                self.waiting.insert(task_id);
            }
            Settlement::Return => {
                task.attempt -= 1;
                self.waiting.insert(task_id);
            }
            Settlement::Complete | Settlement::Fail { .. } | Settlement::Cancel { .. } => {}
        }
        // the lease that ended this one is open now
        if let Event::TaskLeased(order) = event
            && order.task_id == task_id
            && order.fence != fence
        {
            self.waiting.remove(&task_id);
            self.leased.insert(task_id, (order.fence, order.request_id, self.now));
            self.tasks.get_mut(&task_id).unwrap().attempt = order.attempt;
        }
    }

    /// What the end of a task says of its node.
    pub(super) fn learn(&mut self, event: &Event, node: NodeId, settlement: &Settlement) {
        let until = Moment(self.now.0 + settings().pause);
        let pauses = match event {
            Event::CallFinished { report, .. } => {
                matches!(report.code, Some(ErrorCode::Busy | ErrorCode::Draining)) && !report.success
            }
            Event::CallAbandoned { .. } => true,
            _ => false,
        };
        let gives_up = matches!(event, Event::Tick)
            && matches!(
                settlement,
                Settlement::Retry {
                    code: ErrorCode::NodeLost,
                    ..
                } | Settlement::Fail {
                    code: ErrorCode::NodeLost,
                    ..
                }
            );
        if let Some(live) = self.live_mut(node) {
            if pauses {
                live.paused_until = until;
            }
            live.given_up |= gives_up;
        }
    }

    /// A call ends.
    pub(super) fn land(&mut self, request_id: RequestId, runs_on: bool) {
        let flight = self.flying.remove(&request_id).expect("only a call in flight ends");
        self.over.push((request_id, flight.node));
        let lent = i64::from(flight.yielded);
        self.add_credits(flight.node, 1 - lent - i64::from(runs_on));
        if runs_on {
            self.overdue.insert(request_id, flight.node);
        }
    }

    pub(super) fn lose_leases(&mut self, all: &BTreeSet<TaskId>) {
        for task in all {
            let (_, request_id, _) = self.leased.remove(task).expect("settled though it is lost");
            if let Some(flight) = self.flying.get(&request_id) {
                let runs_on = self.live(flight.node).is_some_and(|live| live.protocol == 1);
                self.land(request_id, runs_on);
            }
            self.waiting.insert(*task);
        }
    }

    pub(super) fn check_state(&self) {
        let running = self.flying.values().filter(|flight| flight.task.is_some()).count();
        let counts = self.foreman.counts();
        assert_eq!(counts.calls_in_flight, self.flying.len());
        assert_eq!(counts.tasks_running, running);
        assert_eq!(counts.tasks_held, self.leased.len() - running);
        for (task, fence, node) in self.foreman.assigned() {
            let (open, request_id, _) = self.leased[&task];
            assert_eq!((open, self.flying[&request_id].node), (fence, node));
            assert_eq!(self.foreman.task_of(request_id).unwrap().task_id, task);
        }
        assert_eq!(self.foreman.assigned().count(), running);
        for (task, (_, request_id, since)) in &self.leased {
            if self.flying.contains_key(request_id) {
                continue;
            }
            let needs = &self.tasks[task].needs;
            let could: Vec<&Live> = self
                .links
                .values()
                .filter(|live| self.fits(live, needs) && self.is_willing(live))
                .collect();
            assert!(!could.is_empty(), "held though no node is left for it");
            let now: i64 = could
                .iter()
                .filter(|live| live.paused_until == Moment::default())
                .map(|live| self.room(live))
                .sum();
            assert_eq!(now, 0, "held though there is room");
            let held = self.now.since(*since);
            assert!(held <= settings().hold, "held for {held:?}");
        }
    }
}
