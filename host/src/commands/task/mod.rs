//! `task`: submitting durable work to a nexus, and looking after it.

pub(crate) mod bulk;
mod events;
pub(crate) mod file;
mod queues;
mod read;
mod requests;
mod show;
mod submit;
mod watch;

use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;
use venom_protocol::{TaskId, TaskList, TaskStatus, TaskView};

pub(crate) use requests::{blank, requirements};

use crate::cli::{CancelTasksArgs, GetTaskArgs, ListTasksArgs, RequeueTasksArgs, TaskCommand};
use crate::client::{NexusClient, Trouble};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;
use crate::settings::{ClientSettings, Seconds, Sources};

/// Longest a nexus is asked to wait in one request; longer waits are several.
const ONE_WAIT: Duration = Duration::from_secs(60);

/// Runs one of the `task` commands.
pub(crate) async fn run(command: TaskCommand, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let nexus = match &command {
        TaskCommand::Submit(args) => &args.nexus,
        TaskCommand::Get(args) => &args.nexus,
        TaskCommand::List(args) => &args.nexus,
        TaskCommand::Watch(args) => &args.nexus,
        TaskCommand::Cancel(args) => &args.nexus,
        TaskCommand::Requeue(args) => &args.nexus,
        TaskCommand::Queues(args) => &args.nexus,
        TaskCommand::Group(args) => &args.nexus,
    };
    let client = NexusClient::new(&ClientSettings::merge(nexus.clone(), &sources)?, &data)?;
    match command {
        TaskCommand::Submit(args) => submit::run(*args, &client).await,
        TaskCommand::Get(args) => get(&args, &client).await,
        TaskCommand::List(args) => list(&args, &client).await,
        TaskCommand::Watch(args) => watch::run(&args, &client).await,
        TaskCommand::Cancel(args) => cancel(&args, &client).await,
        TaskCommand::Requeue(args) => requeue(&args, &client).await,
        TaskCommand::Queues(args) => queues::show(&args, &client).await,
        TaskCommand::Group(args) => queues::group(&args, &client).await,
    }
}

async fn get(args: &GetTaskArgs, client: &NexusClient) -> Result<(), Failure> {
    let Some(Seconds(wait)) = args.wait else {
        let task: TaskView = client.get(&path_of(args.id)).await?;
        return show::show(&task, args.json);
    };
    let task = ended(client, args.id, wait).await?;
    show::show(&task, args.json)?;
    match task.status {
        TaskStatus::Completed => Ok(()),
        // The failure itself was shown.
        status if status.has_ended() => Err(Failure::told()),
        _ => Err(show::not_ended(&task, wait)),
    }
}

async fn list(args: &ListTasksArgs, client: &NexusClient) -> Result<(), Failure> {
    let status = TaskStatus::from(args.status);
    let list: TaskList = client
        .get(&format!("/api/v1/tasks?status={status}&limit={}", args.limit))
        .await?;
    if args.json {
        return output::say_json(&list);
    }
    if list.tasks.is_empty() {
        output::note(format!("no task is {status}"));
        return Ok(());
    }
    output::say(show::table(&list.tasks))
}

async fn cancel(args: &CancelTasksArgs, client: &NexusClient) -> Result<(), Failure> {
    each(&args.ids, args.json, client, Method::DELETE, "").await
}

async fn requeue(args: &RequeueTasksArgs, client: &NexusClient) -> Result<(), Failure> {
    if args.all_dead {
        return queues::requeue_dead(args.json, client).await;
    }
    each(&args.ids, args.json, client, Method::POST, "/requeue").await
}

/// Does the same to each task. One that fails does not keep the others from it.
async fn each(ids: &[TaskId], json: bool, client: &NexusClient, method: Method, rest: &str) -> Result<(), Failure> {
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for id in ids {
        let path = format!("{}{rest}", path_of(*id));
        match client.ask(method.clone(), &path, None::<&()>, Duration::ZERO).await {
            Ok(task) => tasks.push(task),
            Err(Trouble {
                failure,
                status: Some(reqwest::StatusCode::NOT_FOUND | reqwest::StatusCode::CONFLICT),
                ..
            }) => failures.push(failure),
            // Nobody is there, or not for us: the others would fail the same way.
            Err(trouble) => return Err(trouble.failure),
        }
    }
    if json {
        output::say_json(&TaskList {
            count: tasks.len(),
            tasks,
        })?;
    } else {
        for task in &tasks {
            output::say(show::fate(task, &method))?;
        }
    }
    let last = failures.pop();
    failures.iter().for_each(Failure::print);
    last.map_or(Ok(()), Err)
}

/// A task once it has ended, or as it is when the wait is over.
async fn ended(client: &NexusClient, id: TaskId, wait: Duration) -> Result<TaskView, Failure> {
    let until = Instant::now() + wait;
    loop {
        let now = until.saturating_duration_since(Instant::now()).min(ONE_WAIT);
        let task = look(client, id, now).await?;
        if task.status.has_ended() || Instant::now() >= until {
            return Ok(task);
        }
    }
}

/// A task once it has ended, or as it is when the wait is over. One request.
pub(crate) async fn look(client: &NexusClient, id: TaskId, wait: Duration) -> Result<TaskView, Trouble> {
    let path = format!("{}?wait={:.3}", path_of(id), wait.as_secs_f64());
    client.ask(Method::GET, &path, None::<&()>, wait).await
}

pub(crate) fn path_of(id: TaskId) -> String {
    format!("/api/v1/tasks/{id}")
}
