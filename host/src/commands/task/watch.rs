//! `task watch`: what a task does, as it does it. A stream that breaks goes on after the last entry that was seen.

use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use venom_protocol::{ProgressUpdate, TaskStatus, TaskView};

use super::events::{Reader, SentEvent};
use super::{bulk, path_of, show};
use crate::cli::WatchTaskArgs;
use crate::client::NexusClient;
use crate::failure::{Explain as _, Failure, chain};
use crate::output;

/// A stream that says nothing for this long is dead: a nexus says something every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// How long a nexus that went away is waited for.
const AWAY: Duration = Duration::from_secs(120);
/// Between a stream that ended early and the next.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows the task to its end.
pub(super) async fn run(args: &WatchTaskArgs, client: &NexusClient) -> Result<(), Failure> {
    let path = format!("{}/events", path_of(args.id));
    let mut watcher = Watcher {
        json: args.json,
        last: None,
        state: None,
        bar: ProgressBar::hidden(),
    };
    let mut stream = client.events(&path, None).await?;
    loop {
        match watcher.follow(stream).await? {
            Came::ToItsEnd(task) => return watcher.finish(&task),
            Came::Apart(why) => tracing::info!(%why, "the stream broke; opening it again"),
        }
        sleep(PAUSE).await;
        let last = watcher.last.clone();
        stream = bulk::patiently(Instant::now() + AWAY, || client.events(&path, last.as_deref())).await?;
    }
}

/// How a stream ended.
enum Came {
    ToItsEnd(Box<TaskView>),
    Apart(String),
}

struct Watcher {
    json: bool,
    /// Number of the last entry seen.
    last: Option<String>,
    state: Option<(TaskStatus, u32)>,
    /// Hidden until the task says how far it is.
    bar: ProgressBar,
}

impl Watcher {
    async fn follow(&mut self, mut stream: reqwest::Response) -> Result<Came, Failure> {
        let mut reader = Reader::default();
        loop {
            let bytes = match timeout(SILENCE, stream.chunk()).await {
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None)) => return Ok(Came::Apart("it ended".to_owned())),
                Ok(Err(error)) => return Ok(Came::Apart(chain(&error))),
                Err(_) => return Ok(Came::Apart("it fell silent".to_owned())),
            };
            for event in reader.take(&bytes).or_fail("the nexus's stream cannot be read")? {
                if let Some(task) = self.tell(&event)? {
                    return Ok(Came::ToItsEnd(task));
                }
            }
        }
    }

    /// Shows one event; gives the task when that was its end.
    fn tell(&mut self, event: &SentEvent) -> Result<Option<Box<TaskView>>, Failure> {
        if event.id.is_some() {
            self.last.clone_from(&event.id);
        }
        let unreadable = "the nexus sent an event this program does not understand";
        if event.kind == "status" {
            let task: TaskView = serde_json::from_str(&event.data).or_fail(unreadable)?;
            let state = Some((task.status, task.attempt));
            // After a break the state comes again.
            if self.state != state {
                self.state = state;
                self.status(&task, event)?;
            }
            return Ok(task.status.has_ended().then(|| Box::new(task)));
        }
        if self.json {
            self.line(event)?;
            return Ok(None);
        }
        match serde_json::from_str(&event.data).or_fail(unreadable)? {
            ProgressUpdate::Partial { value } => self.bar.suspend(|| output::say(partial_text(&value)))?,
            ProgressUpdate::Report { done, total, note } => self.report(done, total, &note),
        }
        Ok(None)
    }

    fn status(&self, task: &TaskView, event: &SentEvent) -> Result<(), Failure> {
        if self.json {
            return self.line(event);
        }
        if task.status.has_ended() {
            return Ok(());
        }
        let mut text = task.status.to_string();
        if let Some(node) = task.assigned_node.filter(|_| task.status == TaskStatus::Running) {
            text.push_str(&format!(" on {node}"));
        }
        if task.attempt > 1 {
            text.push_str(&format!(", attempt {}", task.attempt));
        }
        if let Some(error) = task.error.as_ref().filter(|_| task.status == TaskStatus::Pending) {
            text.push_str(&format!(", the last run failed: {error}"));
        }
        self.bar.suspend(|| output::note(text));
        Ok(())
    }

    fn report(&mut self, done: u32, total: u32, note: &str) {
        if !output::is_watched() {
            let of = if total == 0 { String::new() } else { format!("/{total}") };
            return output::note(format!("{done}{of} {note}"));
        }
        if self.bar.is_hidden() {
            self.bar = bulk::bar(0, "task");
        }
        self.bar.set_length(total.into());
        self.bar.set_position(done.into());
        self.bar.set_message(format!(" {note}"));
    }

    fn line(&self, event: &SentEvent) -> Result<(), Failure> {
        let data: &RawValue =
            serde_json::from_str(&event.data).or_fail("the nexus sent an event this program does not understand")?;
        let id: Option<u64> = event.id.as_ref().and_then(|id| id.parse().ok());
        output::say(match id {
            Some(id) => json!({ "event": event.kind, "id": id, "data": data }),
            None => json!({ "event": event.kind, "data": data }),
        })
    }

    fn finish(&self, task: &TaskView) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        match task.status {
            TaskStatus::Completed if self.json => Ok(()),
            _ if self.json => Err(Failure::told()),
            _ => show::outcome(task),
        }
    }
}

/// Text as it is, anything else as one line of JSON.
fn partial_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
