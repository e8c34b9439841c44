//! `ParallelSkill`: runs one method of another skill over many items, as tasks of the hive, and gathers the results. It
//! waits within its own time: what has not ended by then is listed as pending, and goes on.

mod gather;
mod params;
mod result;

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use venom_sdk::hive::{self, Outcome, Request};
use venom_sdk::{Error, Result, progress};

use params::{Items, Priority, Reduce};
use result::{ItemResult, MapResult, TaskState};

/// Kept of the call's time for putting the answer together, or a tenth of it when that is less.
const RESERVE: Duration = Duration::from_secs(2);

/// The skill.
pub struct ParallelSkill;

/// Runs one method of a skill over many items, on all nodes of the hive.
#[venom_sdk::skill]
impl ParallelSkill {
    /// Runs a method once for each item and gathers the results in order; a second method may then be given all of them.
    /// Each run gets `{task_description, item, item_index, total_items}`.
    fn map_reduce(
        /// What this is about; every run is given it.
        task_description: String,
        /// A list, or the JSON text of one.
        items: Items,
        /// Skill to run.
        skill_name: String,
        /// Its method.
        method_name: String,
        /// 0 to 10, `high_priority` or `background`.
        #[default(Priority::new("background"))]
        priority: Priority,
        /// Seconds to wait for all runs; never longer than this call itself may take.
        #[default(300.0)]
        wait_timeout: f64,
        /// Run once over the list of results of the runs that completed.
        reduce: Option<Reduce>,
    ) -> Result<MapResult> {
        let map = Map {
            task_description,
            items,
            skill_name,
            method_name,
            priority,
            wait: seconds(wait_timeout)?,
        };
        let mut result = map.run()?;
        if let Some(reduce) = reduce {
            match map.reduce(&reduce, &result) {
                Ok(value) => result.reduced = Some(value),
                Err(error) => result.reduce_error = Some(error.to_string()),
            }
        }
        Ok(result)
    }

    /// Runs a method once for each subtask and gathers the results in order. Each run gets
    /// `{task_description, item, item_index, total_items}`.
    fn parallel_execute(
        /// What this is about; every run is given it.
        task_description: String,
        /// A list, or the JSON text of one.
        subtasks: Items,
        /// Skill to run.
        skill_name: String,
        /// Its method.
        method_name: String,
        /// 0 to 10, `high_priority` or `background`.
        #[default(Priority::new("high_priority"))]
        priority: Priority,
        /// Seconds to wait for all runs; never longer than this call itself may take.
        #[default(600.0)]
        wait_timeout: f64,
    ) -> Result<MapResult> {
        let map = Map {
            task_description,
            items: subtasks,
            skill_name,
            method_name,
            priority,
            wait: seconds(wait_timeout)?,
        };
        map.run()
    }

    /// Says where a task is that this skill submitted, and what came of it.
    fn get_task_status(
        /// The task.
        task_id: String,
    ) -> Result<TaskState> {
        TaskState::of(hive::status(&task_id)?)
    }
}

/// A checked request.
struct Map {
    task_description: String,
    items: Items,
    skill_name: String,
    method_name: String,
    priority: Priority,
    wait: Duration,
}

/// What each run is given.
#[derive(Serialize)]
struct RunParams<'a> {
    task_description: &'a str,
    item: &'a RawValue,
    item_index: usize,
    total_items: usize,
}

impl Map {
    fn run(&self) -> Result<MapResult> {
        let until = Instant::now() + self.wait.min(time_left());
        let requests = self.requests()?;
        if requests.is_empty() {
            return Ok(MapResult::of(Vec::new()));
        }
        let task_ids = hive::submit(requests)?;
        let outcomes = gather::gather(&task_ids, until)?;
        let results = task_ids.into_iter().zip(outcomes).enumerate();
        let results = results.map(|(index, (task_id, outcome))| match outcome {
            Some(outcome) => ItemResult::of(index, outcome),
            None => Ok(ItemResult::pending(index, task_id)),
        });
        Ok(MapResult::of(results.collect::<Result<_>>()?))
    }

    fn requests(&self) -> Result<Vec<Request>> {
        let total_items = self.items.0.len();
        let runs = self.items.0.iter().enumerate();
        runs.map(|(item_index, item)| {
            let params = RunParams {
                task_description: &self.task_description,
                item,
                item_index,
                total_items,
            };
            let request = Request::new(self.skill_name.as_str(), self.method_name.as_str(), &params)?;
            Ok(request.priority(self.priority.as_str()))
        })
        .collect()
    }

    /// Waits as long again, as far as the call's time allows.
    fn reduce(&self, reduce: &Reduce, mapped: &MapResult) -> Result<Box<RawValue>> {
        let until = Instant::now() + self.wait.min(time_left());
        let values: Vec<&RawValue> = mapped.values().collect();
        let params = std::collections::BTreeMap::from([(reduce.param.as_str(), values)]);
        let request = Request::new(reduce.skill_name.as_str(), reduce.method_name.as_str(), &params)?;
        let task_ids = hive::submit(vec![request.priority(self.priority.as_str())])?;
        let outcome = gather::wait_for_one(&task_ids, until)?;
        let outcome = outcome.ok_or_else(|| Error::TimedOut("Timeout".to_owned()))?;
        outcome.value::<Box<RawValue>>()
    }
}

/// Time this call has left, but for what it needs itself.
fn time_left() -> Duration {
    let remaining = progress::task().remaining;
    remaining.saturating_sub(RESERVE.min(remaining / 10))
}

fn seconds(wait_timeout: f64) -> Result<Duration> {
    // what is too long for a duration is too long for the call as well
    if wait_timeout >= 0.0 {
        return Ok(Duration::try_from_secs_f64(wait_timeout).unwrap_or(Duration::MAX));
    }
    Err(Error::InvalidParams(format!(
        "parameter `wait_timeout`: expected seconds from 0, got {wait_timeout}"
    )))
}

fn has_ended(outcome: &Outcome) -> bool {
    !matches!(outcome.status, hive::Status::Pending | hive::Status::Running)
}

#[cfg(test)]
mod tests;
