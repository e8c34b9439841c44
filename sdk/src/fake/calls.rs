//! The fake host's side of every host call, in the same shape as the real one's.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::{LogLine, Report, refused, with};
use crate::command::{Command, Output};
use crate::hive::{Outcome, Request, Status};
use crate::http;
use crate::log::Level;
use crate::progress::Task;
use crate::{Error, Result};

pub(crate) use super::lan::{browse, discover, get_https, links, neighbours, peek_tls, reverse};

const TIME_LEFT: Duration = Duration::from_secs(30);

pub(crate) fn log(level: Level, message: &str, fields: Vec<(String, String)>) {
    let message = message.to_owned();
    with(|state| state.record.logs.push(LogLine { level, message, fields }));
}

pub(crate) fn current() -> Task {
    Task {
        id: "00000000-0000-0000-0000-000000000001".to_owned(),
        trace_id: String::new(),
        attempt: 1,
        remaining: with(|state| state.grants.remaining).unwrap_or(TIME_LEFT),
    }
}

pub(crate) fn emit(partial: &str) -> Result<()> {
    let partial = serde_json::from_str(partial)?;
    with(|state| state.record.partials.push(partial));
    Ok(())
}

pub(crate) fn report(done: u32, total: u32, note: &str) {
    let note = note.to_owned();
    with(|state| state.record.reports.push(Report { done, total, note }));
}

pub(crate) fn cancelled() -> bool {
    with(|state| match &mut state.cancel_after {
        None => false,
        Some(0) => true,
        Some(checks) => {
            *checks -= 1;
            false
        }
    })
}

pub(crate) fn run(command: Command) -> Result<Output> {
    let script = with(|state| {
        state.record.commands.push(command.clone());
        state.grants.commands.get(&command.program).map(Rc::clone)
    });
    match script {
        Some(script) => script(&command),
        None => refused("command", &command.program),
    }
}

pub(crate) fn http(request: http::Request) -> Result<http::Response> {
    let host = request.host()?;
    let script = with(|state| {
        state.record.http.push(request.clone());
        state.grants.http.get(&host).map(Rc::clone)
    });
    match script {
        Some(script) => script(&request),
        None => refused("http", &host),
    }
}

pub(crate) fn cache_get(key: &str) -> Result<Option<Vec<u8>>> {
    with(|state| match state.grants.cache {
        true => Ok(state.cache.get(key).map(|(value, _)| value.clone())),
        false => refused("cache", key),
    })
}

pub(crate) fn cache_set(key: &str, value: &[u8], seconds: u32) -> Result<()> {
    let value = value.to_vec();
    with(|state| match state.grants.cache {
        true => {
            state.cache.insert(key.to_owned(), (value, seconds));
            Ok(())
        }
        false => refused("cache", key),
    })
}

pub(crate) fn cache_delete(key: &str) -> Result<bool> {
    with(|state| match state.grants.cache {
        true => Ok(state.cache.remove(key).is_some()),
        false => refused("cache", key),
    })
}

pub(crate) fn cache_ttl(key: &str) -> Result<Option<u32>> {
    with(|state| match state.grants.cache {
        true => Ok(state.cache.get(key).map(|(_, seconds)| *seconds)),
        false => refused("cache", key),
    })
}

/// Tasks run at once, in order; their outcomes wait under their number.
pub(crate) fn submit(requests: Vec<Request>) -> Result<Vec<String>> {
    let scripts = requests
        .iter()
        .map(|request| {
            let name = format!("{}.{}", request.skill, request.method);
            with(|state| {
                state.record.tasks.push(request.clone());
                match state.grants.tasks.get(&name) {
                    Some(script) => Ok(Some(Rc::clone(script))),
                    None if state.grants.unfinished.contains(&name) => Ok(None),
                    None => refused("hive", &name),
                }
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let mut ids = Vec::new();
    for (script, request) in scripts.into_iter().zip(&requests) {
        let params = serde_json::from_str(&request.params)?;
        let outcome = script.map(|script| script(params));
        ids.push(with(|state| {
            state.outcomes.push(outcome);
            format!("task-{}", state.outcomes.len())
        }));
    }
    Ok(ids)
}

pub(crate) fn await_tasks(task_ids: &[String], _seconds: u32) -> Result<Vec<Outcome>> {
    task_ids.iter().map(|id| task_status(id)).collect()
}

pub(crate) fn task_status(task_id: &str) -> Result<Outcome> {
    let number = task_id
        .strip_prefix("task-")
        .and_then(|number| number.parse::<usize>().ok());
    let outcome = with(|state| state.outcomes.get(number?.checked_sub(1)?).cloned())
        .ok_or_else(|| Error::NotFound(format!("task `{task_id}`")))?;
    let (status, value, reason) = match outcome {
        Some(Ok(value)) => (Status::Completed, Some(value.to_string()), None),
        Some(Err(error)) => (Status::Failed, None, Some(error.to_string())),
        None => (Status::Pending, None, None),
    };
    Ok(Outcome {
        task_id: task_id.to_owned(),
        status,
        value,
        reason,
    })
}

pub(crate) fn roots() -> Vec<(String, PathBuf)> {
    with(|state| state.grants.directories.clone())
}

pub(crate) fn config(key: &str) -> Result<Option<String>> {
    match with(|state| state.grants.config.get(key).cloned()) {
        Some(value) => Ok(Some(value)),
        None => refused("config", key),
    }
}

pub(crate) fn secret(name: &str) -> Result<String> {
    match with(|state| state.grants.secrets.iter().any(|known| known == name)) {
        true => Ok(format!("{{secret:{name}}}")),
        false => refused("secret", name),
    }
}
