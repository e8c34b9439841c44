//! `run`: one method of one skill, in this process, in the same sandbox a spore would use.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use venom_bundle::VerifiedBundle;
use venom_protocol::RequestId;
use venom_runtime::{Backends, Call, Outcome, Skill};

use super::wait_on_all_cores;
use crate::cli::RunArgs;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;
use crate::params::{self, Target};
use crate::sandbox::{self, Documents};
use crate::settings::SandboxNames;
use crate::settings::{SandboxSettings, Seconds, Sources};
use crate::signals::Signals;

/// One call runs; two more slots for what the sandbox itself needs.
const SLOTS: u32 = 4;

/// What `run --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    success: bool,
    result: Option<&'a RawValue>,
    error: Option<&'a str>,
    error_code: Option<&'static str>,
    execution_time: f64,
    memory_peak: u64,
    cpu_time: f64,
}

/// Runs the method and prints its result.
pub(crate) fn run(args: RunArgs, sources: &Sources, data: &DataDir) -> Result<(), Failure> {
    let target = Target::parse(&args.call.target)?;
    let params = params::read(&args.call.params, std::io::stdin())?;
    if args.dev {
        super::init::ensure(data)?;
    }
    let settings = SandboxSettings::merge(args.sandbox, args.dev, SandboxNames::of_spore(sources), sources)?;
    let documents = Documents::read(&settings, data, args.dev)?;
    let path = match args.bundle {
        Some(path) => path,
        None => sandbox::find_bundle(&settings.skills, &target.skill)?,
    };
    let bundle = sandbox::verify(&path, &documents.trust, &settings.trust)?;
    if bundle.manifest().name != target.skill {
        return Err(Failure::usage(format!(
            "{} holds the skill `{}`, not `{}`",
            path.display(),
            bundle.manifest().name,
            target.skill
        ))
        .help(format!("call {}.{}", bundle.manifest().name, target.method)));
    }
    wait_on_all_cores(async {
        let skill = load(&settings, documents, bundle).await?;
        let outcome = call(&skill, &target, params, args.timeout).await?;
        report(&outcome, &target, args.json)
    })
}

async fn load(settings: &SandboxSettings, documents: Documents, bundle: VerifiedBundle) -> Result<Skill, Failure> {
    let runtime = sandbox::start_runtime(settings, SLOTS, Vec::new())?;
    let name = bundle.manifest().name.clone();
    let loading = tokio::task::spawn_blocking(move || {
        let (grants, _) = bundle.rights_under(&documents.policy);
        runtime.load(&bundle, grants, &Backends::local())
    });
    match loading.await {
        Ok(Ok(skill)) => Ok(skill),
        Ok(Err(error)) => {
            Err(Failure::new(format!("the skill `{name}` cannot be loaded")).because(crate::failure::chain(&error)))
        }
        Err(error) => Err(Failure::new(format!("loading the skill `{name}` broke off")).because(error.to_string())),
    }
}

/// Ctrl-C cancels the call, so that commands it started are ended too; a second one quits.
async fn call(
    skill: &Skill,
    target: &Target,
    params: Box<RawValue>,
    Seconds(timeout): Seconds,
) -> Result<Outcome, Failure> {
    let signals = Signals::watch()?;
    let request_id = RequestId::random();
    let call = Call {
        request_id,
        task_id: request_id.to_string(),
        traceparent: None,
        attempt: 1,
        method: target.method.clone(),
        params,
        timeout,
        cancel: signals.drain.clone(),
        progress: None,
        depth: 0,
    };
    tokio::select! {
        outcome = skill.invoke(call) => Ok(outcome),
        () = quit(&signals.quit) => Err(Failure::new("told to quit before the call had ended")),
    }
}

async fn quit(quit: &CancellationToken) {
    quit.cancelled().await;
}

fn report(outcome: &Outcome, target: &Target, json: bool) -> Result<(), Failure> {
    let name = format!("{}.{}", target.skill, target.method);
    if json {
        let error = outcome.result.as_ref().err();
        output::say_json(&Report {
            success: error.is_none(),
            result: outcome.result.as_deref().ok(),
            error: error.map(|error| error.message.as_str()),
            error_code: error.map(|error| error.code.as_str()),
            execution_time: seconds(outcome.elapsed),
            memory_peak: outcome.usage.memory_peak.0,
            cpu_time: seconds(outcome.usage.cpu),
        })?;
        return if error.is_some() { Err(Failure::told()) } else { Ok(()) };
    }
    match &outcome.result {
        Ok(result) => output::say(output::result_text(result)),
        Err(error) => Err(super::exec::skill_failure(&name, Some(error.code), &error.message)),
    }
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}
