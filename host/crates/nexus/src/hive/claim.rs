//! Takes work from the broker, as much as the spores of this nexus have room for, and hands it to the driver.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use venom_broker::{Ending, EndingKind, Lease, Want};
use venom_foreman::TaskOrder;
use venom_protocol::{ErrorCode, ExecuteSkill, NodeId, RequestId, TaskId, TaskRun, TaskSpec};

use super::{Hive, params};

/// Most tasks of one claim: enough to keep the round trips few, little enough that the first are on their way
/// while the next are claimed.
const BATCH: usize = 512;
/// Wait after a broker did not answer.
const PAUSE: Duration = Duration::from_millis(200);

impl Hive {
    /// Claims whenever there may be work and room, for ever.
    pub(super) async fn claim(self: Arc<Self>) {
        loop {
            let again = self.claim_all().await;
            let woken = self.desk.to_claim.notified();
            match again {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, woken).await;
                }
                None => woken.await,
            }
        }
    }

    /// Claims until there is no work or no room. Gives when to look again for what a group holds back.
    async fn claim_all(&self) -> Option<tokio::time::Instant> {
        loop {
            if self.stopping.is_cancelled() {
                return None;
            }
            let (mark, open, again) = self.ready.look();
            let plan = if open.is_empty() {
                None
            } else {
                Some(self.driver.plan(&open, BATCH))
            };
            let Some(plan) = plan.filter(|plan| plan.total > 0) else {
                return again;
            };
            let wants = plan.wants.into_iter().map(|want| Want {
                lane: want.lane,
                priority: want.priority,
                most: want.most,
            });
            let began = Instant::now();
            let claim = match self.broker.claim(self.session, wants.collect(), plan.total).await {
                Ok(claim) => claim,
                Err(error) => {
                    self.unwell(&error);
                    self.suspect_strays();
                    tokio::time::sleep(PAUSE).await;
                    return Some(tokio::time::Instant::now());
                }
            };
            self.metrics.claim_seconds.observe(began.elapsed().as_secs_f64());
            let nothing = claim.leases.is_empty();
            for (lane, priority) in claim.empty {
                self.ready.remove(lane, priority, mark);
            }
            let held_back = !claim.held_back.is_empty();
            for (lane, priority, wait) in claim.held_back {
                self.ready.hold_back(lane, priority, tokio::time::Instant::now() + wait);
            }
            self.take(claim.leases);
            if nothing && !held_back && self.ready.look().1.len() == open.len() {
                // no session yet, or others were faster everywhere: not again before something happens
                return Some(tokio::time::Instant::now() + PAUSE);
            }
        }
    }

    /// Hands leases to the driver; those that cannot be run end here.
    fn take(&self, leases: Vec<Lease>) {
        if leases.is_empty() {
            return;
        }
        self.metrics.claimed.inc_by(leases.len() as u64);
        let mut orders = Vec::with_capacity(leases.len());
        for lease in leases {
            let (id, fence) = (lease.id, lease.fence);
            match order(lease) {
                Ok(order) => orders.push(order),
                Err(why) => self.desk.end(Ending {
                    id,
                    fence,
                    node: None,
                    started_at: 0,
                    kind: EndingKind::Failed {
                        code: ErrorCode::InvalidParams,
                        error: why,
                    },
                }),
            }
        }
        self.driver.lease(orders);
    }
}

/// What the foreman and the link need to know of a lease.
fn order(lease: Lease) -> Result<(TaskOrder, Box<ExecuteSkill>), String> {
    let spec: TaskSpec =
        serde_json::from_str(&lease.body).map_err(|error| format!("record of the task cannot be read: {error}"))?;
    let parameters = if spec.depends_on.is_empty() || !params::mentions_results(spec.parameters.get()) {
        spec.parameters
    } else {
        let results: HashMap<TaskId, String> = lease.inputs.into_iter().collect();
        params::fill(&spec.parameters, &results).map_err(|why| format!("parameters: {why}"))?
    };
    let timeout = Duration::try_from_secs_f64(spec.timeout).map_err(|error| format!("timeout: {error}"))?;
    let request_id = RequestId::random();
    let message = Box::new(ExecuteSkill {
        request_id,
        // the foreman names the node
        node_id: NodeId(uuid::Uuid::nil()),
        skill_name: spec.skill_name,
        method_name: spec.method_name,
        parameters,
        timeout: spec.timeout,
        traceparent: spec.traceparent,
        task: Some(TaskRun {
            task_id: lease.id,
            attempt: lease.attempt,
            depth: spec.depth,
        }),
    });
    let order = TaskOrder {
        request_id,
        task_id: lease.id,
        fence: lease.fence,
        attempt: lease.attempt,
        losses: lease.losses,
        max_retries: spec.max_retries,
        lane: lease.lane,
        priority: lease.priority,
        placement: spec.placement,
        backoff: spec.backoff,
        timeout,
        avoid: lease.last_node,
    };
    Ok((order, message))
}
