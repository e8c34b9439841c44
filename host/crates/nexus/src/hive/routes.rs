//! Messages between nexuses that share a broker: calls to spores whose link is on another one, drains, events. Lossy,
//! as calls are: a caller that hears nothing gets its timeout.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use venom_broker::BrokerError;
use venom_foreman::{Rejection, Target};
use venom_protocol::{
    Broadcast, ControlBroadcast, ErrorCode, Event, ExecuteSkill, NodeId, RequestId, Requirements, Response, SessionId,
    Timestamp, encode,
};

use super::Hive;
use crate::driver::{Ending, NewCall};
use crate::link::Outgoing;
use crate::releases::is_about_releases;

/// The other nexus has the call's own timeout to answer, and this to say so.
const MARGIN: Duration = Duration::from_secs(1);

/// Messages on their way that nobody waits for. A broker slower than that loses some.
const MOST_RELAYS: usize = 1_000;

/// Calls sent to other nexuses.
pub(super) type Waiting = Mutex<HashMap<RequestId, oneshot::Sender<Outcome>>>;

/// What one nexus says to another.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Message {
    /// Run this and answer.
    Call(Box<Call>),
    /// What came of a call.
    Answer { request_id: RequestId, outcome: Outcome },
    /// The caller went away.
    Cancel { request_id: RequestId },
    /// Drain a node, or end that.
    Drain { node_id: NodeId, on: bool },
    /// For those who listen there.
    Events { events: Vec<Event> },
}

#[derive(Debug, Serialize, Deserialize)]
struct Call {
    request_id: RequestId,
    /// This node, or the best.
    node_id: Option<NodeId>,
    needs: Requirements,
    skill: String,
    method: String,
    /// JSON text.
    parameters: String,
    timeout: f64,
    traceparent: Option<String>,
}

/// What came of a call, for the wire.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Outcome {
    Answered {
        node_id: NodeId,
        success: bool,
        /// JSON text.
        result: Option<String>,
        error: Option<String>,
        error_code: Option<ErrorCode>,
        execution_time: f64,
    },
    Failed {
        node_id: Option<NodeId>,
        code: ErrorCode,
        message: String,
    },
}

/// Where a call goes.
pub(crate) struct Routed {
    /// Nexus that has the link.
    pub(crate) session: SessionId,
    /// This node, or the best there.
    pub(crate) node_id: Option<NodeId>,
    pub(crate) needs: Requirements,
}

impl Hive {
    /// A nexus that has an online node that fits, for a call none here takes: the one with the least loaded.
    pub(crate) fn elsewhere(&self, needs: &Requirements, skill: &str) -> Option<Routed> {
        let nodes = self.directory.nodes();
        let fitting = nodes.iter().filter(|(_, node)| {
            let has = &node.capabilities;
            node.is_online
                && !node.draining
                && needs.node_id.is_none_or(|wanted| wanted == node.node_id)
                && (!needs.gpu || has.has_gpu)
                && has.skills.iter().any(|name| name == skill)
                && needs.capabilities.iter().all(|name| has.skills.contains(name))
                && needs.tags.iter().all(|tag| has.tags.contains(tag))
                && !needs.exclude_tags.iter().any(|tag| has.tags.contains(tag))
        });
        let (session, _) = fitting.min_by_key(|(_, node)| (node.active_tasks, node.node_id))?;
        Some(Routed {
            session: *session,
            node_id: None,
            needs: needs.clone(),
        })
    }

    /// Runs a call on a spore of another nexus.
    pub(crate) async fn call_elsewhere(&self, to: Routed, message: Box<ExecuteSkill>, timeout: Duration) -> Ending {
        let (request_id, node_id) = (message.request_id, to.node_id);
        let (answer, outcome) = oneshot::channel();
        self.waiting().insert(request_id, answer);
        let mut guard = Guard {
            hive: self,
            session: to.session,
            request_id,
            wanted: true,
        };
        let call = Message::Call(Box::new(Call {
            request_id,
            node_id,
            needs: to.needs,
            skill: message.skill_name,
            method: message.method_name,
            parameters: message.parameters.get().to_owned(),
            timeout: timeout.as_secs_f64(),
            traceparent: message.traceparent,
        }));
        let lost = |why: &str| Ending::Failed(node_id, ErrorCode::NodeLost, why.to_owned());
        match self.say(Some(to.session), &call).await {
            Ok(true) => {}
            Ok(false) => return lost("the nexus that has the node's link is gone; try again"),
            Err(error) => {
                return lost(&format!(
                    "the nexus that has the node's link cannot be reached: {error}"
                ));
            }
        }
        match tokio::time::timeout(timeout + MARGIN, outcome).await {
            Ok(Ok(outcome)) => {
                guard.wanted = false;
                ending(request_id, outcome)
            }
            Ok(Err(_)) => lost("the call was dropped; this is a fault of the nexus"),
            Err(_) => {
                let text = format!("the nexus that has the node's link did not answer within {timeout:?}");
                Ending::Failed(node_id, ErrorCode::TimedOut, text)
            }
        }
    }

    /// Drains a node of another nexus, or ends that. False: nobody heard.
    pub(crate) async fn drain_elsewhere(&self, to: SessionId, node_id: NodeId, on: bool) -> Result<bool, BrokerError> {
        self.say(Some(to), &Message::Drain { node_id, on }).await
    }

    /// Tells listeners on other nexuses. Lossy; never waits.
    pub(super) fn relay(&self, event: Event) {
        self.send_later(None, &Message::Events { events: vec![event] });
    }

    /// Sends without waiting for it. Dropped when too many are on their way: these messages may be lost anyway.
    fn send_later(&self, to: Option<SessionId>, message: &Message) {
        if self.relays.len() >= MOST_RELAYS {
            return;
        }
        let text = match serde_json::to_string(message) {
            Ok(text) => text,
            Err(error) => return tracing::error!(%error, "message to another nexus cannot be written as JSON"),
        };
        let (broker, session) = (Arc::clone(&self.broker), self.session);
        self.relays.spawn(async move {
            if let Err(error) = broker.send(session, to, text).await {
                tracing::debug!(%error, "message did not reach the other nexus");
            }
        });
    }

    async fn say(&self, to: Option<SessionId>, message: &Message) -> Result<bool, BrokerError> {
        let text = serde_json::to_string(message).unwrap_or_default();
        self.broker.send(self.session, to, text).await
    }

    pub(super) fn on_message(self: &Arc<Self>, from: SessionId, text: &str, tasks: &TaskTracker) {
        let message: Message = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => return tracing::warn!(%from, %error, "message of another nexus cannot be read"),
        };
        match message {
            Message::Call(call) => self.serve(from, *call, tasks),
            Message::Answer { request_id, outcome } => {
                if let Some(waiting) = self.waiting().remove(&request_id) {
                    // a caller that is gone needs no answer
                    let _ = waiting.send(outcome);
                }
            }
            Message::Cancel { request_id } => self.driver.abandon_call(request_id),
            Message::Drain { node_id, on } => self.driver.drain(node_id, on),
            Message::Events { events } => {
                for event in events {
                    self.events.publish_passing(move || event);
                }
            }
        }
    }

    fn serve(self: &Arc<Self>, from: SessionId, call: Call, tasks: &TaskTracker) {
        let hive = Arc::clone(self);
        tasks.spawn(async move {
            let request_id = call.request_id;
            let outcome = hive.run(call).await;
            if let Err(error) = hive.say(Some(from), &Message::Answer { request_id, outcome }).await {
                tracing::warn!(%from, %error, "answer did not reach the other nexus");
            }
        });
    }

    async fn run(&self, call: Call) -> Outcome {
        let failed = |code, message: String| Outcome::Failed {
            node_id: call.node_id,
            code,
            message,
        };
        let Ok(timeout) = Duration::try_from_secs_f64(call.timeout) else {
            return failed(ErrorCode::InvalidParams, "timeout cannot be read".to_owned());
        };
        let Ok(parameters) = RawValue::from_string(call.parameters) else {
            return failed(ErrorCode::InvalidParams, "parameters cannot be read".to_owned());
        };
        let target = match call.node_id {
            Some(node_id) => Target::Node(node_id),
            None => Target::Best(call.needs),
        };
        let message = Box::new(ExecuteSkill {
            request_id: call.request_id,
            node_id: NodeId(uuid::Uuid::nil()),
            skill_name: call.skill,
            method_name: call.method,
            parameters,
            timeout: call.timeout,
            traceparent: call.traceparent,
            task: None,
        });
        outcome(self.driver.call(NewCall { target, message }, timeout).await)
    }

    /// A text on the broadcast channel, from anybody: passed on to our spores when it reads as a control broadcast and
    /// is one that untrusted voices may give.
    pub(super) fn on_broadcast(&self, text: &str) {
        let control: ControlBroadcast = match serde_json::from_str(text) {
            Ok(control) => control,
            Err(error) => return tracing::warn!(%error, "text on the broadcast channel is no control broadcast"),
        };
        if is_about_releases(&control) && self.leaves_updates.get().is_some() {
            return;
        }
        if control.command == "SHUTDOWN" {
            tracing::warn!(
                "SHUTDOWN on the broadcast channel is not passed on: give it by POST /api/v1/cluster/broadcast"
            );
            return;
        }
        self.pass_on(&control);
    }

    /// Hints about releases are passed on by those who keep releases, once they have looked.
    pub(crate) fn leave_updates_to_releases(&self) {
        self.leaves_updates.get_or_init(|| ());
    }

    /// Sends a control broadcast over every link of this nexus.
    pub(crate) fn pass_on(&self, control: &ControlBroadcast) {
        self.events.publish(&Event::new(
            "BROADCAST",
            format!("broadcast {}", control.command),
            serde_json::json!({ "command": control.command, "data": control.data }),
        ));
        let message = Broadcast {
            command: control.command.clone(),
            data: control.data.clone(),
            sent_at: control.timestamp,
        };
        // one text for all links: there may be ten thousand
        let text = match encode(&message, Timestamp::now()) {
            Ok(text) => Utf8Bytes::from(text),
            Err(error) => return tracing::error!(%error, "broadcast cannot be written as JSON"),
        };
        self.driver.for_each_link(|link| {
            if link.protocol >= 2 {
                link.send(Outgoing::Written(text.clone()));
            }
        });
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, oneshot::Sender<Outcome>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the call, and tells the other nexus when nobody wants its answer any more.
struct Guard<'a> {
    hive: &'a Hive,
    session: SessionId,
    request_id: RequestId,
    wanted: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.hive.waiting().remove(&self.request_id);
        if self.wanted {
            let request_id = self.request_id;
            self.hive
                .send_later(Some(self.session), &Message::Cancel { request_id });
        }
    }
}

fn outcome(ending: Ending) -> Outcome {
    match ending {
        Ending::Answered(node_id, response) => Outcome::Answered {
            node_id,
            success: response.success,
            result: response.result.map(|raw| raw.get().to_owned()),
            error: response.error,
            error_code: response.error_code,
            execution_time: response.execution_time,
        },
        Ending::Rejected(rejection) => Outcome::Failed {
            node_id: None,
            code: match rejection {
                // known a moment ago, so this is a loss and not a mistake of the caller
                Rejection::UnknownNode | Rejection::Offline | Rejection::NoneFits { .. } => ErrorCode::NodeLost,
                other => return rejected(&other),
            },
            message: rejection.to_string(),
        },
        Ending::Failed(node_id, code, message) => Outcome::Failed { node_id, code, message },
    }
}

fn rejected(rejection: &Rejection) -> Outcome {
    Outcome::Failed {
        node_id: None,
        code: rejection.code(),
        message: rejection.to_string(),
    }
}

fn ending(request_id: RequestId, outcome: Outcome) -> Ending {
    match outcome {
        Outcome::Failed { node_id, code, message } => Ending::Failed(node_id, code, message),
        Outcome::Answered {
            node_id,
            success,
            result,
            error,
            error_code,
            execution_time,
        } => Ending::Answered(
            node_id,
            Response {
                request_id,
                node_id,
                success,
                result: result.and_then(|text| RawValue::from_string(text).ok()),
                error,
                execution_time,
                error_code,
            },
        ),
    }
}
