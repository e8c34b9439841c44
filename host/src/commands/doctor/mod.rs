//! `doctor`: looks at everything this installation depends on and says what to repair. It changes nothing.

mod agent;
mod files;
mod hive;
mod lan;
mod machine;
mod network;
mod updates;

use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;
use crate::settings::{
    AgentSettings, ClientSettings, NexusSettings, SandboxNames, SandboxSettings, SettingError, Sources, SporeSettings,
    UpdateSettings,
};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// Works, but look at it.
    Warn,
    /// Something will not work.
    Fail,
    /// Not looked at, because it is not in use here or something before it failed.
    Skip,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Check {
    fn new(name: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self {
            name,
            status,
            detail: detail.into(),
            help: None,
        }
    }
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, detail)
    }
    fn warn(name: &'static str, detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..Self::new(name, Status::Warn, detail)
        }
    }
    fn fail(name: &'static str, detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..Self::new(name, Status::Fail, detail)
        }
    }
    fn skip(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Skip, detail)
    }
}

/// What `doctor --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    version: &'static str,
    healthy: bool,
    checks: &'a [Check],
}

/// Looks at everything.
pub(crate) async fn run(args: DoctorArgs, sources: Sources) -> Result<(), Failure> {
    report(&args, &all(&args, &sources).await)
}

/// A settings file that cannot be read is a finding too, and then the only one.
pub(crate) fn run_without_settings(args: &DoctorArgs, error: &SettingError) -> Result<(), Failure> {
    report(
        args,
        &[Check::fail(
            "settings",
            error.to_string(),
            "repair it; nothing else was looked at",
        )],
    )
}

fn report(args: &DoctorArgs, checks: &[Check]) -> Result<(), Failure> {
    let healthy = checks.iter().all(|check| check.status != Status::Fail);
    if args.json {
        output::say_json(&Report {
            version: env!("CARGO_PKG_VERSION"),
            healthy,
            checks,
        })?;
    } else {
        for check in checks {
            tell(check)?;
        }
    }
    if healthy { Ok(()) } else { Err(Failure::told()) }
}

async fn all(args: &DoctorArgs, sources: &Sources) -> Vec<Check> {
    let data = DataDir(sources.data_dir.clone());
    let mut checks = vec![settings(args, sources, &data)];
    checks.extend(files::check(&data));
    if let Ok(sandbox) = SandboxSettings::merge(Default::default(), false, SandboxNames::of_spore(sources), sources) {
        checks.extend(files::check_documents(&sandbox, &data));
        checks.extend(machine::check_sandbox(&sandbox));
    }
    if let (Ok(spore), Ok(nexus)) = (
        UpdateSettings::merge(Default::default(), sources),
        NexusSettings::merge(Default::default(), sources),
    ) && data.0.is_dir()
    {
        checks.extend(updates::check(&spore, &nexus, &data));
    }
    checks.extend(agent::check(&data).await);
    checks.extend(machine::check());
    let nexus = crate::cli::NexusClientArgs {
        nexus: args.nexus.clone(),
        ..Default::default()
    };
    if let (Ok(client), Ok(own)) = (
        ClientSettings::merge(nexus, sources),
        NexusSettings::merge(Default::default(), sources),
    ) {
        checks.extend(network::check(&client, &own, &data).await);
        checks.extend(hive::check(&own.hive).await);
        checks.push(lan::check(&own.mdns));
    }
    checks
}

/// Whether each command's settings can be used.
fn settings(args: &DoctorArgs, sources: &Sources, data: &DataDir) -> Check {
    let nexus = crate::cli::NexusClientArgs {
        nexus: args.nexus.clone(),
        ..Default::default()
    };
    let problems: Vec<String> = [
        NexusSettings::merge(Default::default(), sources).err(),
        SporeSettings::merge(Default::default(), sources, "doctor".to_owned()).err(),
        AgentSettings::merge(sources).err(),
        ClientSettings::merge(nexus, sources).err(),
    ]
    .into_iter()
    .flatten()
    .map(|error| error.to_string())
    .collect();
    if problems.is_empty() {
        Check::ok("settings", format!("data directory {}", data.0.display()))
    } else {
        Check::fail(
            "settings",
            problems.join("; "),
            "repair the flag, variable or file named there",
        )
    }
}

fn tell(check: &Check) -> Result<(), Failure> {
    let (style, word) = match check.status {
        Status::Ok => (output::GREEN, "ok"),
        Status::Warn => (output::YELLOW, "warn"),
        Status::Fail => (output::RED, "FAIL"),
        Status::Skip => (output::DIM, "skip"),
    };
    output::say(format!(
        "{style}{word:<4}{style:#}  {:<16} {}",
        check.name, check.detail
    ))?;
    match &check.help {
        Some(help) => output::say(format!("      {:<16} -> {help}", "")),
        None => Ok(()),
    }
}
