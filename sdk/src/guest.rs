//! The real host: WIT types to and from the SDK's own. Compiled into skills only; no policy of its own.

use std::path::PathBuf;
use std::time::Duration;

use crate::bindings::exports::venom::skill::api::{self, Guest};
use crate::bindings::venom::skill::{cache, command, errors, hive, lan, log, progress, settings};
use crate::{Error, Refusal, Result, Skill};

impl<S: Skill> Guest for S {
    fn describe() -> api::Description {
        let description = S::describe();
        let methods = description
            .methods
            .into_iter()
            .map(|method| api::Method {
                name: method.name,
                summary: method.summary,
                params_schema: method.params_schema,
                result_schema: method.result_schema,
            })
            .collect();
        api::Description {
            name: description.name,
            summary: description.summary,
            methods,
        }
    }

    fn invoke(method: String, params: String) -> Result<String, errors::Error> {
        S::invoke(&method, &params).map_err(errors::Error::from)
    }
}

impl From<Error> for errors::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::UnknownMethod(text) => Self::UnknownMethod(text),
            Error::InvalidParams(text) => Self::InvalidParams(text),
            Error::Denied(refusal) => Self::Denied(errors::Refusal {
                capability: refusal.capability,
                target: refusal.target,
                reason: refusal.reason,
                missing_grant: refusal.missing_grant,
            }),
            Error::NotFound(text) => Self::NotFound(text),
            Error::Limit(text) => Self::Limit(text),
            Error::TimedOut(text) => Self::TimedOut(text),
            Error::Cancelled => Self::Cancelled,
            Error::Unavailable(text) => Self::Unavailable(text),
            Error::Failed(text) => Self::Failed(text),
        }
    }
}

impl From<errors::Error> for Error {
    fn from(error: errors::Error) -> Self {
        match error {
            errors::Error::UnknownMethod(text) => Self::UnknownMethod(text),
            errors::Error::InvalidParams(text) => Self::InvalidParams(text),
            errors::Error::Denied(refusal) => Refusal {
                capability: refusal.capability,
                target: refusal.target,
                reason: refusal.reason,
                missing_grant: refusal.missing_grant,
            }
            .into(),
            errors::Error::NotFound(text) => Self::NotFound(text),
            errors::Error::Limit(text) => Self::Limit(text),
            errors::Error::TimedOut(text) => Self::TimedOut(text),
            errors::Error::Cancelled => Self::Cancelled,
            errors::Error::Unavailable(text) => Self::Unavailable(text),
            errors::Error::Failed(text) => Self::Failed(text),
        }
    }
}

pub(crate) fn log(level: crate::log::Level, message: &str, fields: Vec<(String, String)>) {
    let level = match level {
        crate::log::Level::Trace => log::Level::Trace,
        crate::log::Level::Debug => log::Level::Debug,
        crate::log::Level::Info => log::Level::Info,
        crate::log::Level::Warn => log::Level::Warn,
        crate::log::Level::Error => log::Level::Error,
    };
    log::write(level, message, &fields);
}

pub(crate) fn current() -> crate::progress::Task {
    let task = progress::current();
    crate::progress::Task {
        id: task.id,
        trace_id: task.trace_id,
        attempt: task.attempt,
        remaining: Duration::from_millis(task.remaining_ms.into()),
    }
}

pub(crate) fn emit(partial: &str) -> Result<()> {
    Ok(progress::emit(partial)?)
}

pub(crate) fn report(done: u32, total: u32, note: &str) {
    progress::report(done, total, note);
}

pub(crate) fn cancelled() -> bool {
    progress::cancelled()
}

pub(crate) fn run(wanted: crate::command::Command) -> Result<crate::command::Output> {
    let timeout_ms = wanted.timeout.map_or(0, |timeout| {
        u32::try_from(timeout.as_millis().max(1)).unwrap_or(u32::MAX)
    });
    let options = command::Options {
        directory: wanted.directory,
        environment: wanted.environment,
        input: wanted.input,
        timeout_ms,
    };
    let output = command::run(&wanted.program, &wanted.arguments, &options)?;
    Ok(crate::command::Output {
        exit_code: output.exit_code,
        signal: output.signal,
        stdout: output.output,
        stderr: output.errors,
        truncated: output.truncated,
    })
}

pub(crate) fn cache_get(key: &str) -> Result<Option<Vec<u8>>> {
    Ok(cache::get(key)?)
}

pub(crate) fn cache_set(key: &str, value: &[u8], seconds: u32) -> Result<()> {
    Ok(cache::set(key, value, seconds)?)
}

pub(crate) fn cache_delete(key: &str) -> Result<bool> {
    Ok(cache::delete(key)?)
}

pub(crate) fn cache_ttl(key: &str) -> Result<Option<u32>> {
    Ok(cache::ttl(key)?)
}

pub(crate) fn submit(requests: Vec<crate::hive::Request>) -> Result<Vec<String>> {
    let requests: Vec<hive::Request> = requests
        .into_iter()
        .map(|request| hive::Request {
            skill: request.skill,
            method: request.method,
            params: request.params,
            priority: request.priority,
            timeout_seconds: request.timeout.map_or(0, |timeout| {
                let whole = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
                u32::try_from(whole.max(1)).unwrap_or(u32::MAX)
            }),
        })
        .collect();
    Ok(hive::submit(&requests)?)
}

pub(crate) fn await_tasks(task_ids: &[String], seconds: u32) -> Result<Vec<crate::hive::Outcome>> {
    Ok(hive::await_tasks(task_ids, seconds)?.into_iter().map(outcome).collect())
}

pub(crate) fn task_status(task_id: &str) -> Result<crate::hive::Outcome> {
    Ok(outcome(hive::status(task_id)?))
}

fn outcome(outcome: hive::Outcome) -> crate::hive::Outcome {
    crate::hive::Outcome {
        task_id: outcome.task_id,
        status: crate::hive::Status::from_name(&outcome.status),
        value: outcome.value,
        reason: outcome.reason,
    }
}

/// Granted directories: what the guest calls them, and what to open.
pub(crate) fn roots() -> Vec<(String, PathBuf)> {
    wasip2::filesystem::preopens::get_directories()
        .into_iter()
        .map(|(_, guest)| (guest.clone(), PathBuf::from(guest)))
        .collect()
}

pub(crate) fn config(key: &str) -> Result<Option<String>> {
    Ok(settings::config(key)?)
}

pub(crate) fn secret(name: &str) -> Result<String> {
    Ok(settings::secret(name)?)
}

pub(crate) fn http(request: crate::http::Request) -> Result<crate::http::Response> {
    crate::http::outgoing::send(request)
}

pub(crate) fn links() -> Result<Vec<crate::lan::Link>> {
    let link = |link: lan::Link| crate::lan::Link {
        name: link.name,
        address: link.address,
        prefix: link.prefix,
        mac: link.mac,
        gateway: link.gateway,
        gateway_mac: link.gateway_mac,
    };
    Ok(lan::links()?.into_iter().map(link).collect())
}

pub(crate) fn neighbours() -> Result<Vec<crate::lan::Neighbour>> {
    let neighbour = |neighbour: lan::Neighbour| crate::lan::Neighbour {
        address: neighbour.address,
        mac: neighbour.mac,
        link: neighbour.link,
    };
    Ok(lan::neighbours()?.into_iter().map(neighbour).collect())
}

pub(crate) fn reverse(address: &str) -> Result<Vec<String>> {
    Ok(lan::reverse(address)?)
}

pub(crate) fn browse(kinds: &[String], milliseconds: u32) -> Result<Vec<crate::lan::Service>> {
    let service = |service: lan::Service| crate::lan::Service {
        instance: service.instance,
        kind: service.kind,
        host: service.host,
        addresses: service.addresses,
        port: service.port,
        properties: service.properties,
    };
    Ok(lan::browse(kinds, milliseconds)?.into_iter().map(service).collect())
}

pub(crate) fn discover(milliseconds: u32) -> Result<Vec<crate::lan::Device>> {
    let device = |device: lan::Device| crate::lan::Device {
        address: device.address,
        location: device.location,
        server: device.server,
        target: device.target,
        unique_name: device.unique_name,
    };
    Ok(lan::discover(milliseconds)?.into_iter().map(device).collect())
}

pub(crate) fn peek_tls(
    address: &str,
    port: u16,
    server_name: &str,
    milliseconds: u32,
) -> Result<crate::lan::TlsSession> {
    let session = lan::peek_tls(address, port, server_name, milliseconds)?;
    Ok(crate::lan::TlsSession {
        version: session.version,
        cipher: session.cipher,
        alpn: session.alpn,
        chain: session.chain,
    })
}

pub(crate) fn get_https(
    address: &str,
    port: u16,
    server_name: &str,
    most_body: u32,
    milliseconds: u32,
) -> Result<crate::lan::Page> {
    let page = lan::get_https(address, port, server_name, most_body, milliseconds)?;
    Ok(crate::lan::Page {
        status: page.status,
        headers: page.headers,
        body: page.body,
    })
}
