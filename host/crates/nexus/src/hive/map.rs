//! One method over many items, and a last one over the results.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use tokio::time::Instant;
use venom_broker::{Outcome, StoredTask};
use venom_protocol::{MapItem, MapRequest, MapResult, Reduce, TaskId, TaskRequest, TaskStatus};

use super::intake::Submitter;
use super::{Hive, NotTaken};

/// When a request names none (CONTRACTS, hive).
const DEFAULT_WAIT: Duration = Duration::from_secs(300);
/// Longest that may be asked for.
const MAX_WAIT: Duration = Duration::from_secs(86_400);

impl Hive {
    /// Submits a task for each item, waits for them, and reduces what completed.
    pub(crate) async fn map(
        self: &Arc<Self>,
        mut request: MapRequest,
        from: &Submitter,
    ) -> Result<MapResult, NotTaken> {
        let deadline = Instant::now() + wait(request.wait_timeout)?;
        let reduce = request.reduce.take();
        let base = base(&request);
        let param = request.param.unwrap_or_else(|| "item".to_owned());
        let tasks = request.items.into_iter().map(|item| {
            let parameters = Some(parameters(item, &param).map_err(NotTaken::Wrong)?);
            Ok(TaskRequest {
                parameters,
                ..base.clone()
            })
        });
        let submitted = self.submit(tasks.collect::<Result<_, NotTaken>>()?, from).await?;
        let ids: Vec<TaskId> = submitted.into_iter().map(|task| task.id).collect();
        let left = deadline.saturating_duration_since(Instant::now());
        let mut known = self.all(&ids, left).await?;
        let items = ids.iter().enumerate();
        let mut result = MapResult::of(items.map(|(index, id)| item(*id, index, known.remove(id))).collect());
        if let Some(reduce) = reduce {
            match self.reduce(reduce, &base, &result, deadline, from).await {
                Ok(value) => result.reduced = Some(value),
                Err(why) => result.reduce_error = Some(why),
            }
        }
        Ok(result)
    }

    async fn reduce(
        self: &Arc<Self>,
        reduce: Reduce,
        base: &TaskRequest,
        mapped: &MapResult,
        deadline: Instant,
        from: &Submitter,
    ) -> Result<Value, String> {
        if mapped.summary.pending > 0 {
            return Err(format!(
                "{} items had not ended, so nothing was reduced",
                mapped.summary.pending
            ));
        }
        let results: Vec<&Value> = mapped
            .results
            .iter()
            .filter(|item| item.status == TaskStatus::Completed)
            .map(|item| item.result.as_ref().unwrap_or(&Value::Null))
            .collect();
        let param = reduce.param.unwrap_or_else(|| "results".to_owned());
        let parameters = to_raw_value(&Map::from_iter([(param, serde_json::json!(results))]));
        let task = TaskRequest {
            skill_name: reduce.skill_name,
            method_name: reduce.method_name,
            parameters: Some(parameters.map_err(|error| error.to_string())?),
            ..base.clone()
        };
        let submitted = self.submit(vec![task], from).await.map_err(|error| error.to_string())?;
        let id = submitted
            .first()
            .map(|task| task.id)
            .ok_or("the reduce step was not taken")?;
        let left = deadline.saturating_duration_since(Instant::now());
        let task = self.task(id, left).await.map_err(|error| error.to_string())?;
        match task.and_then(|task| task.outcome.filter(|_| task.state.has_ended())) {
            Some(Outcome::Completed(json)) => serde_json::from_str(&json).map_err(|error| error.to_string()),
            Some(Outcome::Failed(_, why) | Outcome::Cancelled(why)) => Err(why),
            None => Err(format!("Timeout: task {id} goes on")),
        }
    }
}

/// What all tasks of a map have in common.
fn base(request: &MapRequest) -> TaskRequest {
    TaskRequest {
        priority: request.priority,
        timeout: request.timeout,
        max_retries: request.max_retries,
        requirements: request.requirements.clone(),
        ..TaskRequest::new(&request.skill_name, &request.method_name)
    }
}

/// An object is the parameters itself, anything else goes under `param` (CONTRACTS, hive).
fn parameters(item: Box<RawValue>, param: &str) -> Result<Box<RawValue>, String> {
    if item.get().starts_with('{') {
        return Ok(item);
    }
    to_raw_value(&std::collections::BTreeMap::from([(param, item)])).map_err(|error| error.to_string())
}

fn item(task_id: TaskId, item_index: usize, task: Option<StoredTask>) -> MapItem {
    let (status, outcome) = match task {
        Some(task) if task.state.has_ended() => (task.state.status(), task.outcome),
        _ => (TaskStatus::Pending, None),
    };
    let (result, error) = match outcome {
        Some(Outcome::Completed(json)) => (serde_json::from_str(&json).ok(), None),
        Some(Outcome::Failed(_, why) | Outcome::Cancelled(why)) => (None, Some(why)),
        None => (None, Some("Timeout".to_owned())),
    };
    MapItem {
        task_id,
        status,
        result,
        error,
        item_index,
    }
}

fn wait(seconds: Option<f64>) -> Result<Duration, NotTaken> {
    let Some(seconds) = seconds else {
        return Ok(DEFAULT_WAIT);
    };
    let given = Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|given| *given <= MAX_WAIT);
    given.ok_or_else(|| {
        let most = MAX_WAIT.as_secs();
        NotTaken::Wrong(format!("wait_timeout is {seconds}, give seconds of 0 to {most}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_parameters_and_the_rest_goes_under_a_name() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        assert_eq!(parameters(raw(r#"{"a":1}"#), "item").unwrap().get(), r#"{"a":1}"#);
        assert_eq!(parameters(raw("[1]"), "item").unwrap().get(), r#"{"item":[1]}"#);
        assert_eq!(parameters(raw("\"x\""), "host").unwrap().get(), r#"{"host":"x"}"#);
    }

    #[test]
    fn what_has_not_ended_is_pending_with_the_word_timeout() {
        let id = TaskId::next();
        let item = item(id, 3, None);
        assert_eq!(
            (item.status, item.error.as_deref()),
            (TaskStatus::Pending, Some("Timeout"))
        );
        assert_eq!(item.item_index, 3);
    }
}
