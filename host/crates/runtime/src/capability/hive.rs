//! The `hive` interface: what a skill may submit is decided here (grants, number, depth) before any backend is
//! asked.

use std::time::Duration;

use tokio::time::Instant;
use venom_bundle::capability::pattern_matches;

use super::Refusal;
use super::refusal::policy_key;
use crate::bindings::GuestError;
use crate::bindings::venom::skill::hive::{Host, Outcome, Request};
use crate::state::CallState;
use crate::stop::Stop;
use crate::{HiveCaller, HiveOutcome, HiveRequest};

/// Longest chain of skills that submit skills. A loop of two skills ends here.
const MAX_DEPTH: u32 = 8;

impl CallState {
    /// The running call, as backends know it.
    pub(super) fn hive_caller(&self) -> HiveCaller {
        HiveCaller {
            skill: self.rights.skill.to_string(),
            request_id: self.task.request_id,
            task_id: self.journal.task_id.clone(),
            depth: self.task.depth.saturating_add(1),
            traceparent: self.journal.traceparent.clone(),
        }
    }

    fn may_submit(&self, request: &Request) -> Result<(), GuestError> {
        let target = format!("{}.{}", request.skill, request.method);
        if self
            .rights
            .grants
            .hive
            .iter()
            .any(|pattern| pattern_matches(pattern, &target))
        {
            return Ok(());
        }
        let skill = policy_key(&self.rights.skill);
        Err(GuestError::from(Refusal {
            capability: "hive",
            reason: "submitting it is not granted".to_owned(),
            missing_grant: format!("[skills.{skill}]\nhive = [{target:?}]"),
            target,
        }))
    }

    /// Asking after tasks is for skills that may submit some.
    fn may_ask(&self, target: &str) -> Result<(), GuestError> {
        if !self.rights.grants.hive.is_empty() {
            return Ok(());
        }
        let skill = policy_key(&self.rights.skill);
        Err(GuestError::from(Refusal {
            capability: "hive",
            target: target.to_owned(),
            reason: "no tasks are granted".to_owned(),
            missing_grant: format!("[skills.{skill}]\nhive = [\"EchoSkill.*\"]"),
        }))
    }

    fn take_submissions(&mut self, requests: &[Request]) -> Result<(), GuestError> {
        let limit = self.rights.budgets().submissions;
        let wanted = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let left = self.left.submissions.checked_sub(wanted);
        self.left.submissions = left.ok_or_else(|| Stop::budget("submissions", limit))?;
        Ok(())
    }
}

impl Host for CallState {
    async fn submit(&mut self, requests: Vec<Request>) -> Result<Vec<String>, GuestError> {
        requests.iter().try_for_each(|request| self.may_submit(request))?;
        let caller = self.hive_caller();
        if caller.depth > MAX_DEPTH {
            return Err(GuestError::Limit(format!(
                "tasks may submit tasks {MAX_DEPTH} deep; this one is at depth {}",
                self.task.depth
            )));
        }
        self.take_submissions(&requests)?;
        let requests = requests.into_iter().map(HiveRequest::from).collect();
        Ok(self.rights.backends.hive.submit(&caller, requests).await?)
    }

    async fn await_tasks(&mut self, task_ids: Vec<String>, timeout_seconds: u32) -> Result<Vec<Outcome>, GuestError> {
        self.may_ask(task_ids.first().map_or("", String::as_str))?;
        let remaining = self.task.deadline.saturating_duration_since(Instant::now());
        let timeout = Duration::from_secs(timeout_seconds.into()).min(remaining);
        let caller = self.hive_caller();
        let outcomes = self
            .rights
            .backends
            .hive
            .await_tasks(&caller, task_ids, timeout)
            .await?;
        Ok(outcomes.into_iter().map(Outcome::from).collect())
    }

    async fn status(&mut self, task_id: String) -> Result<Outcome, GuestError> {
        self.may_ask(&task_id)?;
        let caller = self.hive_caller();
        Ok(self.rights.backends.hive.status(&caller, task_id).await?.into())
    }
}

impl From<Request> for HiveRequest {
    fn from(request: Request) -> Self {
        Self {
            skill: request.skill,
            method: request.method,
            params: request.params,
            priority: request.priority,
            timeout: (request.timeout_seconds > 0).then(|| Duration::from_secs(request.timeout_seconds.into())),
        }
    }
}

impl From<HiveOutcome> for Outcome {
    fn from(outcome: HiveOutcome) -> Self {
        Self {
            task_id: outcome.task_id,
            status: outcome.status,
            value: outcome.value,
            reason: outcome.reason,
        }
    }
}
