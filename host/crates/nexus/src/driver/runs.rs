//! Tasks on this nexus: leased, sent, settled. The same lock as for calls; the foreman decides, this carries out.

use std::collections::HashMap;

use serde_json::json;
use venom_broker::{Ending, EndingKind, State, StoredTask};
use venom_foreman::{CallReport, Event, LinkId, Plan, Settlement, TaskOrder};
use venom_protocol::{
    ErrorCode, Event as Notice, ExecuteSkill, Lane, NodeId, Priority, Progress, RequestId, Response, TaskId,
};

use super::{Core, Driver};
use crate::link::Outgoing;

/// Leases handed to the foreman before others get the lock.
const AT_ONCE: usize = 32;

/// A leased task.
pub(super) struct Run {
    task_id: TaskId,
    fence: u64,
    skill: String,
    depth: u32,
    attempt: u32,
    /// Until it is sent.
    message: Option<Box<ExecuteSkill>>,
    /// Once it is sent.
    node: Option<NodeId>,
    /// Milliseconds since 1970; 0 until it is sent.
    started_at: u64,
    /// Others can see where it runs.
    noted: bool,
    /// Tasks it has submitted.
    children: u32,
}

/// All leased tasks.
#[derive(Default)]
pub(super) struct Runs {
    by_request: HashMap<RequestId, Run>,
    by_task: HashMap<TaskId, RequestId>,
}

/// A running call that asks something of the hive.
pub(crate) struct Asking {
    pub(crate) skill: String,
    /// 0: called by a person.
    pub(crate) depth: u32,
}

impl Runs {
    pub(super) fn get(&self, request_id: RequestId) -> Option<&Run> {
        self.by_request.get(&request_id)
    }

    fn insert(&mut self, request_id: RequestId, run: Run) {
        self.by_task.insert(run.task_id, request_id);
        self.by_request.insert(request_id, run);
    }

    fn remove(&mut self, request_id: RequestId) -> Option<Run> {
        let run = self.by_request.remove(&request_id)?;
        // a later lease of the same task may be here already
        if self.by_task.get(&run.task_id) == Some(&request_id) {
            self.by_task.remove(&run.task_id);
        }
        Some(run)
    }

    fn of_task(&self, task: TaskId) -> Option<&Run> {
        self.by_request.get(self.by_task.get(&task)?)
    }
}

impl Driver {
    /// What to claim now, of what may wait.
    pub(crate) fn plan(&self, open: &[(Lane, Priority)], batch: usize) -> Plan {
        self.lock().foreman.plan(open, batch)
    }

    /// Takes leases: each is placed on a node, now or soon, or given back.
    pub(crate) fn lease(&self, orders: Vec<(TaskOrder, Box<ExecuteSkill>)>) {
        let mut orders = orders.into_iter();
        loop {
            let mut core = self.lock();
            let mut taken = 0;
            for (order, message) in orders.by_ref().take(AT_ONCE) {
                taken += 1;
                let run = Run {
                    task_id: order.task_id,
                    fence: order.fence,
                    skill: message.skill_name.clone(),
                    depth: message.task.map_or(0, |task| task.depth),
                    attempt: order.attempt,
                    message: Some(message),
                    node: None,
                    started_at: 0,
                    noted: false,
                    children: 0,
                };
                core.runs.insert(order.request_id, run);
                self.step(&mut core, Event::TaskLeased(Box::new(order)), None);
            }
            if taken < AT_ONCE {
                return;
            }
        }
    }

    /// Stops a task that runs or waits here, if it does.
    pub(crate) fn cancel_task(&self, task_id: TaskId) {
        self.tell(Event::TaskCancelRequested { task_id });
    }

    /// The leases are others' now: what runs is stopped and its endings go nowhere.
    pub(crate) fn lose_leases(&self) {
        let mut core = self.lock();
        self.step(&mut core, Event::LeasesLost, None);
        core.runs = Runs::default();
    }

    /// Where tasks run that others have not been told of. Those are taken as told from now on.
    pub(crate) fn unnoted(&self) -> Vec<(TaskId, u64, NodeId)> {
        let mut core = self.lock();
        let fresh = core.runs.by_request.values_mut().filter(|run| !run.noted);
        fresh
            .filter_map(|run| {
                run.noted = run.node.is_some();
                Some((run.task_id, run.fence, run.node?))
            })
            .collect()
    }

    /// Telling others of these did not work.
    pub(crate) fn not_noted(&self, assigned: &[(TaskId, u64, NodeId)]) {
        let mut core = self.lock();
        for (task, ..) in assigned {
            let Some(request_id) = core.runs.by_task.get(task).copied() else {
                continue;
            };
            if let Some(run) = core.runs.by_request.get_mut(&request_id) {
                run.noted = false;
            }
        }
    }

    /// Fills in the node of a task that runs here and was not noted yet.
    pub(crate) fn assigned(&self, task: &mut StoredTask) {
        if task.state != State::Running {
            return;
        }
        let core = self.lock();
        if let Some(run) = core.runs.of_task(task.id).filter(|run| run.fence == task.fence) {
            task.node = run.node.or(task.node);
        }
    }

    /// Whether this lease is in hand.
    pub(crate) fn holds(&self, task: TaskId, fence: u64) -> bool {
        self.lock().runs.of_task(task).is_some_and(|run| run.fence == fence)
    }

    /// The call that asks, when it runs on that node.
    pub(crate) fn asking(&self, node: NodeId, request_id: RequestId) -> Option<Asking> {
        let core = self.lock();
        if let Some(run) = core.runs.get(request_id).filter(|run| run.node == Some(node)) {
            return Some(Asking {
                skill: run.skill.clone(),
                depth: run.depth,
            });
        }
        let call = core.calls.get(&request_id).filter(|call| call.node_id == Some(node))?;
        Some(Asking {
            skill: call.skill.clone(),
            depth: 0,
        })
    }

    /// Counts tasks a call submits. False: that would be more than `most`.
    pub(crate) fn take_children(&self, request_id: RequestId, count: usize, most: u32) -> bool {
        let mut guard = self.lock();
        let core = &mut *guard;
        let children = match core.runs.by_request.get_mut(&request_id) {
            Some(run) => Some(&mut run.children),
            None => core.calls.get_mut(&request_id).map(|call| &mut call.children),
        };
        let Some(children) = children else { return false };
        let wanted = u32::try_from(count).ok().and_then(|count| children.checked_add(count));
        match wanted.filter(|wanted| *wanted <= most) {
            Some(wanted) => {
                *children = wanted;
                true
            }
            None => false,
        }
    }

    /// A running task said something: to its log, and to those who listen now. False: no task.
    pub(super) fn task_progressed(&self, core: &Core, from: NodeId, progress: &Progress) -> bool {
        let Some(run) = core.runs.get(progress.request_id) else {
            return false;
        };
        if run.node != Some(from) {
            return true;
        }
        if !self.desk.say(run.task_id, progress.update.clone()) {
            self.metrics.tasks.progress_dropped.inc();
        }
        let (task_id, attempt) = (run.task_id, run.attempt);
        self.events.publish_passing(|| {
            Notice::new(
                "TASK_PROGRESS",
                format!("task {task_id} goes on"),
                json!({ "task_id": task_id, "attempt": attempt, "node_id": from, "update": progress.update }),
            )
        });
        true
    }

    /// Writes a task to a link. What follows when that does not work.
    pub(super) fn send_task(
        &self,
        core: &mut Core,
        request_id: RequestId,
        node: NodeId,
        link: LinkId,
    ) -> Option<Event> {
        let handle = core.links.get(&link).cloned();
        let run = core.runs.by_request.get_mut(&request_id)?;
        let mut message = run.message.take()?;
        message.node_id = node;
        run.node = Some(node);
        run.started_at = now_ms();
        let (task_id, attempt) = (run.task_id, run.attempt);
        let sent = handle.is_some_and(|handle| {
            if handle.protocol < 2 {
                // Python spores of the first protocol know neither
                message.task = None;
                message.traceparent = None;
            }
            handle.send(Outgoing::Execute(message))
        });
        if sent {
            self.events.publish_passing(|| {
                Notice::new(
                    "TASK_STARTED",
                    format!("task {task_id} was sent to node {node}"),
                    json!({ "task_id": task_id, "attempt": attempt, "node_id": node }),
                )
            });
            return None;
        }
        let report = CallReport {
            success: false,
            code: Some(ErrorCode::Busy),
            error: Some("the link to the node is full".to_owned()),
            seconds: 0.0,
        };
        Some(Event::CallFinished {
            link,
            request_id,
            report,
        })
    }

    /// Hands the end of a lease to be written down.
    pub(super) fn settle(
        &self,
        core: &mut Core,
        request_id: RequestId,
        node: Option<NodeId>,
        settlement: Settlement,
        answer: &mut Option<Response>,
    ) {
        let Some(run) = core.runs.remove(request_id) else {
            return;
        };
        let kind = match settlement {
            Settlement::Complete => self.completed(answer.take()),
            Settlement::Fail { code, message } => EndingKind::Failed { code, error: message },
            Settlement::Retry {
                delay,
                code,
                message,
                lost_node,
            } => EndingKind::Retry {
                delay,
                code,
                error: message,
                lost_node,
            },
            Settlement::Cancel { reason } => EndingKind::Cancelled { reason },
            Settlement::Return => EndingKind::Returned,
        };
        self.desk.end(Ending {
            id: run.task_id,
            fence: run.fence,
            node: node.or(run.node),
            started_at: run.started_at,
            kind,
        });
    }

    fn completed(&self, answer: Option<Response>) -> EndingKind {
        let result = answer.and_then(|response| response.result);
        let result = result.map_or_else(|| "null".to_owned(), |raw| Box::<str>::from(raw).into_string());
        let most = self.max_result;
        if result.len() as u64 <= most.0 {
            return EndingKind::Completed { result };
        }
        EndingKind::Failed {
            code: ErrorCode::LimitExceeded,
            error: format!(
                "the result takes {} bytes, and at most {most} are kept; let it answer less, or write a file",
                result.len()
            ),
        }
    }
}

/// Milliseconds since 1970 by this machine's clock.
fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
