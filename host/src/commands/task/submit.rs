//! `task submit`: one task from flags, or many from a file.

use std::time::Duration;

use venom_protocol::{TaskAccepted, TaskId, TaskRequest, TaskStatus, TasksAccepted};

use super::{bulk, ended, file, read, requests, show};
use crate::cli::SubmitArgs;
use crate::client::NexusClient;
use crate::failure::Failure;
use crate::output;
use crate::params::{self, Target};
use crate::settings::Seconds;

/// Submits, and prints ids or, after `--wait`, the result.
pub(super) async fn run(args: SubmitArgs, client: &NexusClient) -> Result<(), Failure> {
    match (&args.file, &args.target) {
        (Some(path), _) => many(read::read(&file::text_of(path, "tasks")?)?, args.json, client).await,
        (None, Some(target)) => one(&args, Target::parse(target)?, client).await,
        // clap lets neither through
        (None, None) => Err(Failure::usage("there is nothing to submit").help("write SKILL.METHOD or --file FILE")),
    }
}

async fn one(args: &SubmitArgs, target: Target, client: &NexusClient) -> Result<(), Failure> {
    let parameters = params::read(&args.params, std::io::stdin())?;
    let node_id = match &args.node {
        Some(node) => Some(client.find_node(node).await?.node_id),
        None => None,
    };
    let task = TaskRequest {
        parameters: Some(parameters),
        ..requests::of_flags(args, target, node_id)
    };
    let accepted: TaskAccepted = bulk::ask(client, &task).await?;
    match args.wait {
        Some(Seconds(wait)) => finish(accepted.task_id, wait, args.json, client).await,
        None if args.json => output::say_json(&accepted),
        None => output::say(accepted.task_id),
    }
}

/// Waits for the task's end and prints what came of it.
async fn finish(id: TaskId, wait: Duration, json: bool, client: &NexusClient) -> Result<(), Failure> {
    let task = ended(client, id, wait).await?;
    if json {
        output::say_json(&task)?;
        return if task.status == TaskStatus::Completed {
            Ok(())
        } else {
            Err(Failure::told())
        };
    }
    if !task.status.has_ended() {
        return Err(show::not_ended(&task, wait));
    }
    show::outcome(&task)
}

async fn many(tasks: Vec<TaskRequest>, json: bool, client: &NexusClient) -> Result<(), Failure> {
    let count = tasks.len();
    let bar = bulk::bar(count, "submitting");
    let mut accepted = TasksAccepted {
        task_ids: Vec::new(),
        existing: 0,
    };
    for chunk in bulk::chunks(tasks) {
        let answer: Result<TasksAccepted, _> = bulk::ask(client, &chunk).await;
        let answer = answer.map_err(|trouble| in_part(trouble.failure, accepted.task_ids.len(), count))?;
        if !json {
            bar.suspend(|| answer.task_ids.iter().try_for_each(output::say))?;
        }
        bar.inc(chunk.tasks.len() as u64);
        accepted.existing += answer.existing;
        accepted.task_ids.extend(answer.task_ids);
    }
    bar.finish_and_clear();
    if json {
        return output::say_json(&accepted);
    }
    if accepted.existing > 0 {
        output::note(format!("{} of {count} were known by their key", accepted.existing));
    }
    Ok(())
}

/// What failed in the middle says how far it got.
fn in_part(failure: Failure, done: usize, count: usize) -> Failure {
    if done == 0 {
        return failure;
    }
    Failure::new(format!("{done} of {count} tasks were submitted, the others were not"))
        .because(failure.summary())
        .help("give each task an `idempotency_key`: then the whole file can be submitted again and none starts twice")
}
