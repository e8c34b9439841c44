//! What running skills ask of the hive over their spore's link. The grants were checked in the sandbox; here it is
//! checked that the asking call runs on that very spore, how deep and how wide it may submit, and that a skill sees
//! only tasks of its own.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio_util::task::TaskTracker;
use venom_broker::{BrokerError, Outcome, StoredTask};
use venom_foreman::{Event, LinkId};
use venom_protocol::{
    CacheKey, HiveAnswer, HiveAsk, HiveQuestion, HiveRefusal, HiveReply, HiveTask, HiveTaskState, NodeId, RequestId,
    TaskId, TaskRequest, TaskSpec,
};

use super::bells::LOOK_ANYWAY;
use super::intake::Submitter;
use super::{Hive, NotTaken};
use crate::driver::Asking;
use crate::link::{LinkHandle, Outgoing};

/// Questions being answered at one time, over all links; most of them wait for tasks to end.
const MOST_AT_ONCE: usize = 20_000;
/// Longest a skill waits in one question.
const MAX_WAIT: Duration = Duration::from_secs(86_400);
/// Tasks one question may wait for.
const MAX_AWAITED: usize = 50_000;

/// Why a question is not answered.
type Refused = (HiveRefusal, String);

impl Hive {
    /// Answers a question of a call that runs on this node, when it is answered, over the same link.
    pub(crate) fn ask(self: &Arc<Self>, node: NodeId, link: LinkId, to: LinkHandle, ask: HiveAsk, tasks: &TaskTracker) {
        self.metrics.questions.inc();
        let ask_id = ask.ask_id;
        if self.asked.len() >= MOST_AT_ONCE {
            let reason =
                format!("the nexus answers {MOST_AT_ONCE} questions at one time, which is all it takes; try again");
            return answer(&to, ask_id, Err((HiveRefusal::Limit, reason)));
        }
        let counted = self.asked.token();
        let hive = Arc::clone(self);
        let request_id = ask.request_id;
        tasks.spawn(async move {
            tokio::select! {
                reply = hive.reply(node, link, ask) => answer(&to, ask_id, reply),
                // nobody there to hear it
                () = to.closed() => {}
                () = hive.over(node, request_id) => {}
                () = hive.stopping.cancelled() => {
                    answer(&to, ask_id, Err((HiveRefusal::Unavailable, "the nexus is shutting down".to_owned())));
                }
            }
            drop(counted);
        });
    }

    /// Waits until the call has ended: nobody wants its answers any more.
    async fn over(&self, node: NodeId, request_id: RequestId) {
        while self.driver.asking(node, request_id).is_some() {
            tokio::time::sleep(LOOK_ANYWAY).await;
        }
        // a call that does not run there (any more) is told so before this is over
        tokio::time::sleep(LOOK_ANYWAY).await;
    }

    async fn reply(self: &Arc<Self>, node: NodeId, link: LinkId, ask: HiveAsk) -> Result<HiveReply, Refused> {
        let request_id = ask.request_id;
        let asking = self
            .driver
            .asking(node, request_id)
            .filter(|asking| asking.skill == ask.skill);
        let asking = asking.ok_or_else(|| {
            let text = format!(
                "call {request_id} of {} does not run on this node (any more)",
                ask.skill
            );
            (HiveRefusal::Invalid, text)
        })?;
        match ask.question {
            HiveQuestion::Submit { tasks, traceparent } => {
                self.submit_for(&asking, request_id, tasks, traceparent).await
            }
            HiveQuestion::Await { task_ids, timeout } => {
                let _yielded = Yielded::new(self, link, request_id);
                self.wait_for(&asking, &task_ids, timeout).await
            }
            HiveQuestion::Status { task_id } => self.wait_for(&asking, &[task_id], 0.0).await,
            cache => self.cache(cache).await.map_err(refused),
        }
    }

    async fn submit_for(
        &self,
        asking: &Asking,
        request_id: RequestId,
        tasks: Vec<HiveTask>,
        traceparent: Option<String>,
    ) -> Result<HiveReply, Refused> {
        let depth = asking.depth + 1;
        let limits = &self.settings;
        if depth > limits.max_depth {
            let text = format!(
                "tasks may submit tasks {} deep, and this would be {depth}",
                limits.max_depth
            );
            return Err((HiveRefusal::Limit, text));
        }
        if !self.driver.take_children(request_id, tasks.len(), limits.max_children) {
            let text = format!(
                "one call may submit {} tasks, and this one wants more",
                limits.max_children
            );
            return Err((HiveRefusal::Limit, text));
        }
        let requests: Result<Vec<_>, _> = tasks.into_iter().map(request).collect();
        let from = Submitter {
            owner: Some(asking.skill.clone()),
            depth,
            traceparent,
        };
        let submitted = self.submit(requests?, &from).await.map_err(|error| match error {
            NotTaken::Wrong(why) => (HiveRefusal::Invalid, why),
            NotTaken::Broker(error) => refused(error),
        })?;
        let task_ids = submitted.into_iter().map(|task| task.id).collect();
        Ok(HiveReply::Submitted { task_ids })
    }

    async fn wait_for(self: &Arc<Self>, asking: &Asking, names: &[String], seconds: f64) -> Result<HiveReply, Refused> {
        if names.len() > MAX_AWAITED {
            let text = format!(
                "{} tasks in one question, and at most {MAX_AWAITED} are taken",
                names.len()
            );
            return Err((HiveRefusal::Limit, text));
        }
        let ids: Result<Vec<TaskId>, _> = names
            .iter()
            .map(|name| name.parse().map_err(|_| unknown(name)))
            .collect();
        let ids = ids?;
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(MAX_WAIT).min(MAX_WAIT);
        let known = self.all(&ids, wait).await.map_err(refused)?;
        let state = |id: &TaskId| {
            let task = known
                .get(id)
                .filter(|task| owner(task).as_deref() == Some(&asking.skill));
            task.map(state_of).ok_or_else(|| unknown(&id.to_string()))
        };
        let outcomes = ids.iter().map(state).collect::<Result<_, _>>()?;
        Ok(HiveReply::Outcomes { outcomes })
    }

    async fn cache(&self, question: HiveQuestion) -> Result<HiveReply, BrokerError> {
        let broker = &self.broker;
        let reply = match question {
            HiveQuestion::CacheGet {
                at: CacheKey { namespace, key },
            } => HiveReply::Value {
                value: broker
                    .cache_get(&namespace, &key)
                    .await?
                    .map(|(value, _)| STANDARD.encode(value)),
            },
            HiveQuestion::CacheTtl {
                at: CacheKey { namespace, key },
            } => HiveReply::Ttl {
                left_ms: broker
                    .cache_get(&namespace, &key)
                    .await?
                    .map(|(_, left)| milliseconds(left)),
            },
            HiveQuestion::CacheDelete {
                at: CacheKey { namespace, key },
            } => HiveReply::Done {
                existed: broker.cache_delete(&namespace, &key).await?,
            },
            HiveQuestion::CacheSet {
                at: CacheKey { namespace, key },
                quota,
                value,
                ttl_ms,
            } => match STANDARD.decode(value) {
                Ok(value) => {
                    broker
                        .cache_set(&namespace, quota, &key, value, Duration::from_millis(ttl_ms))
                        .await?;
                    HiveReply::Done { existed: true }
                }
                Err(error) => HiveReply::Refused {
                    refusal: HiveRefusal::Invalid,
                    reason: format!("value is no base64: {error}"),
                },
            },
            HiveQuestion::Submit { .. } | HiveQuestion::Await { .. } | HiveQuestion::Status { .. } => {
                HiveReply::Refused {
                    refusal: HiveRefusal::Invalid,
                    reason: "no question about the cache".to_owned(),
                }
            }
        };
        Ok(reply)
    }
}

/// A call gives its credit to others while this lives.
struct Yielded<'a> {
    hive: &'a Hive,
    link: LinkId,
    request_id: RequestId,
}

impl<'a> Yielded<'a> {
    fn new(hive: &'a Hive, link: LinkId, request_id: RequestId) -> Self {
        hive.driver.tell(Event::CallYielded { link, request_id });
        Self { hive, link, request_id }
    }
}

impl Drop for Yielded<'_> {
    fn drop(&mut self) {
        let (link, request_id) = (self.link, self.request_id);
        self.hive.driver.tell(Event::CallResumed { link, request_id });
    }
}

fn answer(to: &LinkHandle, ask_id: u64, reply: Result<HiveReply, Refused>) {
    let reply = reply.unwrap_or_else(|(refusal, reason)| HiveReply::Refused { refusal, reason });
    if !to.send(Outgoing::Answer(Box::new(HiveAnswer { ask_id, reply }))) {
        tracing::debug!(ask_id, "answer did not fit into the link's queue");
    }
}

fn request(task: HiveTask) -> Result<TaskRequest, Refused> {
    let invalid = |why: String| (HiveRefusal::Invalid, why);
    let priority = match task.priority.as_str() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|error: venom_protocol::InvalidPriority| invalid(error.to_string()))?,
        ),
    };
    let parameters = serde_json::value::RawValue::from_string(task.params)
        .map_err(|error| invalid(format!("params of {} are no JSON: {error}", task.skill)))?;
    Ok(TaskRequest {
        parameters: Some(parameters),
        priority,
        timeout: task.timeout,
        ..TaskRequest::new(task.skill, task.method)
    })
}

fn owner(task: &StoredTask) -> Option<String> {
    serde_json::from_str::<TaskSpec>(&task.body).ok()?.owner
}

fn state_of(task: &StoredTask) -> HiveTaskState {
    let (value, reason) = match &task.outcome {
        Some(Outcome::Completed(json)) => (Some(json.clone()), None),
        Some(Outcome::Failed(_, text) | Outcome::Cancelled(text)) if task.state.has_ended() => {
            (None, Some(text.clone()))
        }
        _ => (None, None),
    };
    HiveTaskState {
        task_id: task.id.to_string(),
        status: task.state.status().to_string(),
        value,
        reason,
    }
}

fn unknown(name: &str) -> Refused {
    let shown: String = name.chars().take(64).collect();
    (
        HiveRefusal::NotFound,
        format!("no task `{shown}` of this skill is known"),
    )
}

fn refused(error: BrokerError) -> Refused {
    let refusal = match &error {
        BrokerError::CacheFull { .. } | BrokerError::QueueFull { .. } | BrokerError::RecordTooBig { .. } => {
            HiveRefusal::Limit
        }
        BrokerError::UnknownDependency { .. } | BrokerError::KeyReused { .. } => HiveRefusal::Invalid,
        BrokerError::Unavailable { .. }
        | BrokerError::Refused { .. }
        | BrokerError::OutOfSpace { .. }
        | BrokerError::Corrupt { .. } => HiveRefusal::Unavailable,
    };
    (refusal, error.to_string())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
