//! `map`: one method over many items, as durable tasks, with a last method over the results.

mod follow;
mod items;

use std::sync::Arc;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use venom_protocol::{MapItem, MapResult, TaskId, TaskRequest, TaskStatus, TasksRequest};

use self::follow::Followed;
use crate::cli::MapArgs;
use crate::client::NexusClient;
use crate::commands::task::bulk::{self, patiently};
use crate::commands::task::{blank, file, requirements};
use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::params::Target;
use crate::settings::{ClientSettings, Seconds};
use crate::signals::Signals;

/// What came of a map.
enum Ended {
    /// All ended, or the time was up.
    Through(MapResult),
    /// Somebody pressed Ctrl-C.
    Stopped(MapResult),
}

/// Runs the method over the items and prints what came of them.
pub(crate) async fn run(args: MapArgs, settings: ClientSettings, data: DataDir) -> Result<(), Failure> {
    let target = Target::parse(&args.target)?;
    let reduce = args.reduce.as_deref().map(Target::parse).transpose()?;
    let items = items::read(&file::text_of(&args.items, "items")?)?;
    let client = Arc::new(NexusClient::new(&settings, &data)?);
    let signals = Signals::watch()?;
    let Seconds(wait) = args.wait;
    let mapping = Mapping {
        until: Instant::now() + wait,
        client,
        reduce,
        stop: signals.drain.clone(),
        run: TaskId::random(),
        args,
    };
    let ended = tokio::select! {
        ended = mapping.run(target, items) => ended?,
        () = signals.quit.cancelled() => return Err(left_at_once()),
    };
    match ended {
        Ended::Through(result) => report(&result, mapping.args.json),
        Ended::Stopped(result) => {
            // Prints what there is; why there is no more is the failure below.
            let _incomplete = report(&result, mapping.args.json);
            Err(stopped(&result))
        }
    }
}

struct Mapping {
    client: Arc<NexusClient>,
    args: MapArgs,
    reduce: Option<Target>,
    until: Instant,
    stop: CancellationToken,
    /// First part of the idempotency keys: a request whose answer was lost can be repeated.
    run: TaskId,
}

impl Mapping {
    async fn run(&self, target: Target, items: Vec<Box<serde_json::value::RawValue>>) -> Result<Ended, Failure> {
        let base = self.base(target);
        let tasks = items.into_iter().enumerate().map(|(index, item)| {
            Ok(TaskRequest {
                parameters: Some(items::parameters(item, &self.args.param)?),
                idempotency_key: Some(format!("map:{}:{index}", self.run)),
                ..base.clone()
            })
        });
        let tasks: Vec<TaskRequest> = tasks.collect::<Result<_, Failure>>()?;
        let count = tasks.len();
        let bar = bulk::bar(count, &self.args.target);
        let ids = self.submit(bulk::chunks(tasks)).await?;
        let mut followed = Followed::new(Arc::clone(&self.client), ids, bar.clone());
        if !self.stop.is_cancelled() {
            followed.wait(self.until, &self.stop).await?;
        }
        if self.stop.is_cancelled() {
            bar.suspend(|| output::note("taking back what has not begun; Ctrl-C again leaves at once"));
        }
        followed.last_look(self.stop.is_cancelled()).await?;
        bar.finish_and_clear();
        if self.stop.is_cancelled() {
            return Ok(Ended::Stopped(MapResult::of(followed.items("Interrupted"))));
        }
        let mut result = MapResult::of(followed.items("Timeout"));
        if let Some(reduce) = &self.reduce {
            match self.reduce(reduce, &base, &result).await {
                Ok(value) => result.reduced = Some(value),
                Err(why) => result.reduce_error = Some(why),
            }
        }
        Ok(Ended::Through(result))
    }

    /// What all tasks have in common.
    fn base(&self, target: Target) -> TaskRequest {
        TaskRequest {
            priority: self.args.priority,
            timeout: self.args.timeout.map(|Seconds(time)| time.as_secs_f64()),
            max_retries: self.args.max_retries,
            requirements: requirements(&self.args.nodes, None),
            ..blank(target)
        }
    }

    /// Ids in the order of the items. A nexus that is not there at the beginning is a failure; one that goes away in
    /// the middle is waited for.
    async fn submit(&self, chunks: Vec<TasksRequest>) -> Result<Vec<TaskId>, Failure> {
        let mut ids = Vec::new();
        for chunk in chunks {
            if self.stop.is_cancelled() {
                break;
            }
            let ask = || bulk::submit(&self.client, &chunk);
            let answer = match ask().await {
                Err(trouble) if trouble.may_pass() && (trouble.status.is_some() || !ids.is_empty()) => {
                    patiently(self.until, ask).await
                }
                answer => answer,
            };
            ids.extend(answer.map_err(|trouble| in_part(trouble.failure, ids.len()))?);
        }
        Ok(ids)
    }

    async fn reduce(&self, target: &Target, base: &TaskRequest, mapped: &MapResult) -> Result<Value, String> {
        let pending = mapped.summary.pending;
        if pending > 0 {
            return Err(format!("{pending} items had not ended, so nothing was reduced"));
        }
        let completed = mapped
            .results
            .iter()
            .filter(|item| item.status == TaskStatus::Completed);
        let results: Vec<&Value> = completed
            .map(|item| item.result.as_ref().unwrap_or(&Value::Null))
            .collect();
        let parameters = Map::from_iter([(self.args.reduce_param.clone(), json!(results))]);
        let task = TaskRequest {
            skill_name: target.skill.clone(),
            method_name: target.method.clone(),
            parameters: Some(to_raw_value(&parameters).map_err(|error| error.to_string())?),
            idempotency_key: Some(format!("map:{}:reduce", self.run)),
            ..base.clone()
        };
        let chunk = TasksRequest { tasks: vec![task] };
        let submitted = patiently(self.until, || bulk::submit(&self.client, &chunk)).await;
        let ids = submitted.map_err(|trouble| trouble.failure.summary())?;
        let mut followed = Followed::new(Arc::clone(&self.client), ids, bulk::bar(1, &self.args.target));
        followed
            .wait(self.until, &self.stop)
            .await
            .map_err(|failure| failure.summary())?;
        let item = followed.items("Timeout").pop();
        let item = item.ok_or("the reduce step was not taken")?;
        match (item.status, item.error) {
            (TaskStatus::Completed, _) => Ok(item.result.unwrap_or(Value::Null)),
            (TaskStatus::Pending, Some(why)) => Err(format!("{why}: task {} goes on", item.task_id)),
            (_, why) => Err(why.unwrap_or_else(|| "it gave no reason".to_owned())),
        }
    }
}

/// Results to stdout, numbers to stderr.
fn report(result: &MapResult, json: bool) -> Result<(), Failure> {
    if json {
        output::say_json(result)?;
    } else {
        for item in &result.results {
            output::say(line(item)?)?;
        }
        if let Some(reduced) = &result.reduced {
            output::say(json!({ "reduced": reduced }))?;
        }
        let numbers = &result.summary;
        output::note(format!(
            "{} items: {} completed, {} failed, {} pending ({})",
            numbers.total_tasks, numbers.completed, numbers.failed, numbers.pending, numbers.success_rate
        ));
    }
    match &result.reduce_error {
        Some(why) if !json => return Err(Failure::new("the reduce step failed").because(why)),
        Some(_) => return Err(Failure::told()),
        None => {}
    }
    if result.summary.completed == result.summary.total_tasks {
        Ok(())
    } else {
        Err(Failure::told())
    }
}

fn line(item: &MapItem) -> Result<String, Failure> {
    serde_json::to_string(item).or_fail("cannot write the answer as JSON")
}

fn in_part(failure: Failure, done: usize) -> Failure {
    if done == 0 {
        return failure;
    }
    Failure::new(format!("only {done} items were submitted"))
        .because(failure.summary())
        .help("those run; `venom-host task list --status completed` shows what came of them")
}

fn stopped(result: &MapResult) -> Failure {
    let cancelled = result
        .results
        .iter()
        .filter(|item| item.status == TaskStatus::Cancelled)
        .count();
    Failure::new("the map was interrupted").because(format!(
        "{cancelled} items were taken back, {} had begun and go on",
        result.summary.pending
    ))
}

fn left_at_once() -> Failure {
    Failure::new("the map was interrupted at once").because("what was submitted goes on")
}
