//! Drives the pure foreman: events in, actions out to links, callers and listeners.
//!
//! One lock around all of it. Nothing under the lock waits, writes to a socket or serialises parameters, so
//! a step costs microseconds and its actions are carried out in the order the foreman gave them.

mod announce;
mod runs;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use serde_json::json;
use tokio::sync::oneshot;
use venom_foreman::{
    Action, CallReport, Counts, Event, Foreman, LinkId, Moment, NodeRecord, Rejection, Settings, Target,
};
use venom_protocol::{
    Cancel, ErrorCode, Event as Notice, ExecuteSkill, Handshake, NodeId, NodeView, PROTOCOL_VERSION, Progress,
    RequestId, Response, Timestamp, UpdateReport, Welcome,
};

use crate::NexusSettings;
use crate::audit::Audit;
use crate::events::Events;
use crate::hive::Desk;
use crate::link::{LinkHandle, Outgoing};
use crate::metrics::{CallEnd, Metrics};
pub(crate) use runs::Asking;
use runs::Runs;

/// Leases on nodes and held tasks are looked at this often.
const MOST_TICK: Duration = Duration::from_millis(250);

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The node answered.
    Answered(NodeId, Response),
    /// It went nowhere.
    Rejected(Rejection),
    /// It was sent and there is no answer.
    Failed(Option<NodeId>, ErrorCode, String),
}

/// A call on its way.
struct Pending {
    answer: oneshot::Sender<Ending>,
    /// Until it is sent.
    message: Option<Box<ExecuteSkill>>,
    /// Once it is sent.
    node_id: Option<NodeId>,
    skill: String,
    /// Tasks it has submitted.
    children: u32,
}

/// A call to place.
pub(crate) struct NewCall {
    pub(crate) target: Target,
    pub(crate) message: Box<ExecuteSkill>,
}

struct Core {
    foreman: Foreman,
    links: HashMap<LinkId, LinkHandle>,
    calls: HashMap<RequestId, Pending>,
    runs: Runs,
    /// How nodes stand with updates, as they said last.
    updates: HashMap<NodeId, Arc<UpdateReport>>,
}

/// The foreman, its links and the calls that wait.
pub(crate) struct Driver {
    origin: Instant,
    origin_wall: Timestamp,
    core: Mutex<Core>,
    next_link: AtomicU64,
    welcome: Welcome,
    tick: Duration,
    events: Arc<Events>,
    metrics: Arc<Metrics>,
    audit: Audit,
    desk: Arc<Desk>,
    max_result: ByteSize,
}

impl Driver {
    /// A driver with no node.
    pub(crate) fn new(settings: &NexusSettings, events: Arc<Events>, metrics: Arc<Metrics>, audit: Audit) -> Self {
        let foreman = Foreman::new(Settings {
            weights: settings.weights,
            lease_ttl: settings.hive.lease_ttl,
            poison_losses: settings.hive.poison_losses,
            low_share: settings.hive.low_share,
            ..Settings::with_heartbeat_timeout(settings.heartbeat_timeout)
        });
        Self {
            origin: Instant::now(),
            origin_wall: Timestamp::now(),
            core: Mutex::new(Core {
                foreman,
                links: HashMap::new(),
                calls: HashMap::new(),
                runs: Runs::default(),
                updates: HashMap::new(),
            }),
            next_link: AtomicU64::new(1),
            welcome: Welcome {
                protocol: PROTOCOL_VERSION,
                heartbeat_timeout: settings.heartbeat_timeout.as_secs_f64(),
                version: settings.version.clone(),
            },
            tick: (settings.heartbeat_timeout / 8).clamp(Duration::from_millis(10), MOST_TICK),
            events,
            metrics,
            audit,
            desk: Arc::default(),
            max_result: settings.hive.max_result,
        }
    }

    /// What is handed to the hive.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// Time between two [`Event::Tick`]s; also how often a sign of life is worth passing on.
    pub(crate) fn tick(&self) -> Duration {
        self.tick
    }

    /// A number for a new link.
    pub(crate) fn new_link(&self) -> LinkId {
        LinkId(self.next_link.fetch_add(1, Ordering::Relaxed))
    }

    /// Passes on an event that carries nothing for the driver itself.
    pub(crate) fn tell(&self, event: Event) {
        let may_make_room = !matches!(event, Event::FrameSeen { .. } | Event::Tick);
        self.step(&mut self.lock(), event, None);
        if may_make_room {
            self.desk.to_claim.notify_one();
        }
    }

    /// Drains a node, or ends that.
    pub(crate) fn drain(&self, node_id: NodeId, on: bool) {
        self.tell(if on {
            Event::DrainRequested { node_id }
        } else {
            Event::UndrainRequested { node_id }
        });
    }

    /// Registers a spore whose token was right.
    pub(crate) fn register(&self, link: LinkId, handle: LinkHandle, handshake: Handshake) {
        let mut core = self.lock();
        core.links.insert(link, handle);
        let event = Event::NodeConnected {
            link,
            node_id: handshake.node_id,
            name: handshake.node_name,
            capabilities: handshake.capabilities,
            protocol: handshake.protocol.unwrap_or(1),
            concurrency: handshake.concurrency,
            boot_id: handshake.boot_id,
        };
        self.step(&mut core, event, None);
        drop(core);
        self.desk.to_claim.notify_one();
    }

    /// A link is gone.
    pub(crate) fn unregister(&self, link: LinkId, graceful: bool, reason: String) {
        let mut core = self.lock();
        core.links.remove(&link);
        self.step(&mut core, Event::LinkClosed { link, graceful, reason }, None);
    }

    /// A spore answered; whether that ends the call is for the foreman to say.
    pub(crate) fn answered(&self, link: LinkId, response: Response) {
        let request_id = response.request_id;
        let report = CallReport {
            success: response.success,
            code: response.error_code,
            error: response.error.clone(),
            seconds: response.execution_time,
        };
        let event = Event::CallFinished {
            link,
            request_id,
            report,
        };
        self.step(&mut self.lock(), event, Some(response));
        self.desk.to_claim.notify_one();
    }

    /// A running skill said something. Told to listeners when the call is that node's.
    pub(crate) fn progressed(&self, from: NodeId, progress: Progress) {
        let core = self.lock();
        if self.task_progressed(&core, from, &progress) {
            return;
        }
        if core
            .calls
            .get(&progress.request_id)
            .is_none_or(|call| call.node_id != Some(from))
        {
            return;
        }
        drop(core);
        self.events.publish_passing(|| {
            Notice::new(
                "CALL_PROGRESS",
                format!("call {} goes on", progress.request_id),
                json!({ "request_id": progress.request_id, "node_id": from, "update": progress.update }),
            )
        });
    }

    /// Places a call and waits for its end. Dropping the future abandons the call: the node is told, the
    /// ledger is cleared.
    pub(crate) async fn call(&self, call: NewCall, timeout: Duration) -> Ending {
        let request_id = call.message.request_id;
        let (answer, mut ending) = oneshot::channel();
        let pending = Pending {
            answer,
            node_id: None,
            message: None,
            skill: call.message.skill_name.clone(),
            children: 0,
        };
        // from here on, whatever happens to this future clears the ledger
        let mut guard = Abandon {
            driver: self,
            request_id,
            since: Instant::now(),
            armed: true,
        };
        self.place(call.target, call.message, pending);
        let ended = match tokio::time::timeout(timeout, &mut ending).await {
            Ok(ended) => ended.ok(),
            Err(_) => {
                self.tell(Event::CallTimedOut { request_id });
                // an answer may have come just before
                ending.try_recv().ok()
            }
        };
        guard.armed = false;
        let ended = ended.unwrap_or_else(|| {
            tracing::error!(%request_id, "call was dropped without an ending");
            self.abandon(request_id);
            Ending::Failed(
                None,
                ErrorCode::Unavailable,
                "the call was dropped; this is a fault of the nexus".to_owned(),
            )
        });
        self.metrics
            .call_ended(kind_of(&ended), guard.since.elapsed().as_secs_f64());
        ended
    }

    fn place(&self, target: Target, message: Box<ExecuteSkill>, pending: Pending) {
        let event = Event::CallRequested {
            request_id: message.request_id,
            target,
            skill: message.skill_name.clone(),
        };
        let mut core = self.lock();
        core.calls.insert(
            message.request_id,
            Pending {
                message: Some(message),
                ..pending
            },
        );
        self.step(&mut core, event, None);
    }

    /// Nobody wants the answer any more.
    pub(crate) fn abandon_call(&self, request_id: RequestId) {
        self.tell(Event::CallTimedOut { request_id });
    }

    fn abandon(&self, request_id: RequestId) {
        let mut core = self.lock();
        core.calls.remove(&request_id);
        self.step(&mut core, Event::CallAbandoned { request_id }, None);
    }

    /// One node, as it is shown.
    pub(crate) fn node(&self, node_id: &NodeId) -> Option<NodeView> {
        let core = self.lock();
        core.foreman.node(node_id).map(|record| self.view(&core, record))
    }

    /// All nodes, as they are shown.
    pub(crate) fn nodes(&self, filter: impl Fn(&NodeRecord) -> bool) -> Vec<NodeView> {
        let core = self.lock();
        core.foreman
            .nodes()
            .filter(|record| filter(record))
            .map(|record| self.view(&core, record))
            .collect()
    }

    /// How a node stands with updates now; gives what it said before. `None`: the node is not known, and what it says is
    /// not kept.
    pub(crate) fn updated(&self, report: Arc<UpdateReport>) -> Option<Option<Arc<UpdateReport>>> {
        let mut core = self.lock();
        core.foreman.node(&report.node_id)?;
        Some(core.updates.insert(report.node_id, report))
    }

    /// Nodes and calls in numbers.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().foreman.counts()
    }

    /// Calls `each` with every registered link.
    pub(crate) fn for_each_link(&self, each: impl Fn(&LinkHandle)) {
        self.lock().links.values().for_each(each);
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // a panic while it was held is a fault, but the others' calls must go on
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self, core: &Core, record: &NodeRecord) -> NodeView {
        NodeView {
            node_id: record.node_id(),
            node_name: record.name().to_owned(),
            capabilities: record.capabilities().clone(),
            last_heartbeat: self.wall(record.last_seen()),
            cpu_usage: record.cpu(),
            memory_usage: record.memory(),
            active_tasks: record.active_tasks(),
            is_online: record.is_online(),
            registered_at: self.wall(record.registered_at()),
            protocol: record.protocol(),
            draining: record.draining(),
            update: core.updates.get(&record.node_id()).cloned(),
        }
    }

    fn wall(&self, moment: Moment) -> Timestamp {
        let at = jiff::SignedDuration::try_from(moment.0).ok();
        let at = at.and_then(|since| self.origin_wall.0.checked_add(since).ok());
        at.map_or(self.origin_wall, Timestamp)
    }

    fn step(&self, core: &mut Core, event: Event, response: Option<Response>) {
        let now = Moment(self.origin.elapsed());
        let mut answer = response;
        let mut todo = VecDeque::from(core.foreman.step(now, event));
        while let Some(action) = todo.pop_front() {
            if let Some(follow_up) = self.carry_out(core, action, &mut answer) {
                todo.extend(core.foreman.step(now, follow_up));
            }
        }
    }

    /// Does one thing. May give an event that follows from it.
    fn carry_out(&self, core: &mut Core, action: Action, answer: &mut Option<Response>) -> Option<Event> {
        match action {
            Action::SendCall {
                request_id,
                node_id,
                link,
            } => {
                return match core.runs.get(request_id) {
                    Some(_) => self.send_task(core, request_id, node_id, link),
                    None => send_call(core, request_id, node_id, link),
                };
            }
            Action::SettleTask {
                request_id,
                node_id,
                settlement,
                ..
            } => self.settle(core, request_id, node_id, settlement, answer),
            Action::PingLink { link } => {
                if let Some(handle) = core.links.get(&link) {
                    handle.send(Outgoing::Ping);
                }
            }
            Action::CompleteCall { request_id, node_id } => {
                if let Some(response) = answer.take() {
                    end(core, request_id, |_| Ending::Answered(node_id, response));
                }
            }
            Action::RejectCall { request_id, rejection } => end(core, request_id, |_| Ending::Rejected(rejection)),
            Action::FailCall {
                request_id,
                code,
                message,
            } => end(core, request_id, |node| Ending::Failed(node, code, message)),
            Action::CancelCall { request_id, link } => {
                if let Some(handle) = core.links.get(&link) {
                    let reason = "the caller no longer waits".to_owned();
                    handle.send(Outgoing::Cancel(Box::new(Cancel { request_id, reason })));
                }
            }
            Action::CloseLink { link, code, reason } => {
                if let Some(handle) = core.links.get(&link) {
                    handle.close(code, reason);
                }
            }
            about_node => {
                if let Action::NodeForgotten { node_id } = &about_node {
                    core.updates.remove(node_id);
                }
                self.announce(core, about_node);
            }
        }
        None
    }
}

fn end(core: &mut Core, request_id: RequestId, ending: impl FnOnce(Option<NodeId>) -> Ending) {
    if let Some(call) = core.calls.remove(&request_id) {
        // a caller that is gone needs no answer
        let _ = call.answer.send(ending(call.node_id));
    }
}

fn send_call(core: &mut Core, request_id: RequestId, node_id: NodeId, link: LinkId) -> Option<Event> {
    let call = core.calls.get_mut(&request_id)?;
    let mut message = call.message.take()?;
    message.node_id = node_id;
    call.node_id = Some(node_id);
    if core
        .links
        .get(&link)
        .is_some_and(|handle| handle.send(Outgoing::Execute(message)))
    {
        return None;
    }
    let text = "the link to the node is full; try again later".to_owned();
    end(core, request_id, |node| Ending::Failed(node, ErrorCode::Busy, text));
    Some(Event::CallAbandoned { request_id })
}

/// Abandons its call when it is dropped.
struct Abandon<'a> {
    driver: &'a Driver,
    request_id: RequestId,
    since: Instant,
    armed: bool,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.driver
                .metrics
                .call_ended(CallEnd::abandoned, self.since.elapsed().as_secs_f64());
            self.driver.abandon(self.request_id);
        }
    }
}

fn kind_of(ending: &Ending) -> CallEnd {
    match ending {
        Ending::Answered(_, response) if response.success => CallEnd::succeeded,
        Ending::Failed(_, ErrorCode::TimedOut, _) => CallEnd::timed_out,
        Ending::Failed(_, ErrorCode::NodeLost, _) => CallEnd::node_lost,
        Ending::Answered(..) | Ending::Failed(..) => CallEnd::failed,
        Ending::Rejected(_) => CallEnd::rejected,
    }
}
