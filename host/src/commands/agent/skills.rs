//! The skills an agent runs by itself: those of this process, in the same sandbox and under the same policy as what its nexus
//! calls.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use venom_agent::RunSkill;
use venom_protocol::{ErrorCode, RequestId};
use venom_runtime::{Call, SkillSet};

/// Runs skills of a set.
pub(super) struct Skills(pub SkillSet);

#[async_trait]
impl RunSkill for Skills {
    async fn run(&self, skill: &str, method: &str, parameters: Value, timeout: Duration) -> Result<Value, String> {
        let text = parameters.to_string();
        let params = RawValue::from_string(text).map_err(|error| format!("the parameters are no JSON: {error}"))?;
        let request_id = RequestId::random();
        let call = Call {
            request_id,
            task_id: request_id.to_string(),
            traceparent: None,
            attempt: 1,
            method: method.to_owned(),
            params,
            timeout,
            // whoever no longer waits drops this future, and that ends the call
            cancel: CancellationToken::new(),
            progress: None,
            depth: 0,
        };
        let outcome = self.0.call(skill, call).await;
        let result = outcome.result.map_err(|error| match error.code {
            ErrorCode::UnknownSkill => format!(
                "{}; a skill comes with a release, or as a bundle in `skills/` of the data directory: `venom-host doctor` there says which are refused",
                error.message
            ),
            _ => error.message,
        })?;
        serde_json::from_str(result.get()).map_err(|error| format!("{skill}.{method} answered no JSON: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_skill_that_is_not_there_is_named() {
        let skills = Skills(SkillSet::empty());
        let ran = skills
            .run("NetScanSkill", "scan", Value::Null, Duration::from_secs(1))
            .await;
        let why = ran.unwrap_err();
        assert!(
            why.contains("no skill `NetScanSkill`") && why.contains("venom-host doctor"),
            "{why}"
        );
    }
}
