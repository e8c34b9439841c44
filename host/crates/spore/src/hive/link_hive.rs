//! The hive backend of a spore: every question goes to the nexus.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use venom_protocol::{HiveQuestion, HiveReply, HiveTask, HiveTaskState};
use venom_runtime::{BackendError, HiveBackend, HiveCaller, HiveOutcome, HiveRequest};

use super::{Line, mismatch};

/// See the module.
pub(super) struct LinkHive(pub(super) Arc<Line>);

#[async_trait]
impl HiveBackend for LinkHive {
    async fn submit(&self, caller: &HiveCaller, requests: Vec<HiveRequest>) -> Result<Vec<String>, BackendError> {
        let asked = requests.len();
        if asked == 0 {
            return Ok(Vec::new());
        }
        let question = HiveQuestion::Submit {
            tasks: requests.into_iter().map(task).collect(),
            traceparent: caller.traceparent.clone(),
        };
        match self.0.ask(caller, question).await? {
            HiveReply::Submitted { task_ids } if task_ids.len() == asked => {
                Ok(task_ids.iter().map(ToString::to_string).collect())
            }
            _ => Err(mismatch()),
        }
    }

    async fn await_tasks(
        &self,
        caller: &HiveCaller,
        task_ids: Vec<String>,
        timeout: Duration,
    ) -> Result<Vec<HiveOutcome>, BackendError> {
        let asked = task_ids.len();
        if asked == 0 {
            return Ok(Vec::new());
        }
        let question = HiveQuestion::Await {
            task_ids,
            timeout: timeout.as_secs_f64(),
        };
        let reply = self.0.wait(caller, question, timeout).await?;
        outcomes(reply, asked)
    }

    async fn status(&self, caller: &HiveCaller, task_id: String) -> Result<HiveOutcome, BackendError> {
        let reply = self.0.ask(caller, HiveQuestion::Status { task_id }).await?;
        outcomes(reply, 1)?.pop().ok_or_else(mismatch)
    }
}

fn task(request: HiveRequest) -> HiveTask {
    HiveTask {
        skill: request.skill,
        method: request.method,
        params: request.params,
        priority: request.priority,
        timeout: request.timeout.map(|timeout| timeout.as_secs_f64()),
    }
}

fn outcomes(reply: HiveReply, asked: usize) -> Result<Vec<HiveOutcome>, BackendError> {
    match reply {
        HiveReply::Outcomes { outcomes } if outcomes.len() == asked => Ok(outcomes.into_iter().map(outcome).collect()),
        _ => Err(mismatch()),
    }
}

fn outcome(state: HiveTaskState) -> HiveOutcome {
    // skills know no `blocked`: it waits, as pending does
    let status = if state.status == "blocked" {
        "pending".to_owned()
    } else {
        state.status
    };
    HiveOutcome {
        task_id: state.task_id,
        status,
        value: state.value,
        reason: state.reason,
    }
}
