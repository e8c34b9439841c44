//! `skill inspect`: what a skill asks for, what it is granted on this machine, what is refused, and why. The
//! skill itself is started only to describe its methods, with no grants, and only when its bundle is trusted.

use std::path::{Path, PathBuf};

use serde::Serialize;
use venom_bundle::capability::{Decision, Grants, Policy, Request, Verdict};
use venom_bundle::{Manifest, UnverifiedBundle, VerifiedBundle, inspect_component};
use venom_runtime::{Backends, MethodDescription};

use crate::cli::InspectSkillArgs;
use crate::commands::wait_on_all_cores;
use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure, chain};
use crate::output;
use crate::sandbox::{self, Documents};
use crate::settings::{SandboxNames, SandboxSettings, Sources};

/// What `skill inspect --json` prints.
#[derive(Serialize)]
struct Report {
    path: PathBuf,
    digest: String,
    trusted: bool,
    publisher: Option<String>,
    signers: Vec<String>,
    problem: Option<String>,
    manifest: Option<Manifest>,
    imports: Vec<String>,
    decisions: Vec<Decision>,
    methods: Vec<MethodDescription>,
}

/// Looks at a skill and prints what it found. Exit code 1 when its bundle would not be loaded.
pub(crate) fn run(args: InspectSkillArgs, sources: &Sources, data: &DataDir) -> Result<(), Failure> {
    if args.dev {
        crate::commands::init::ensure(data)?;
    }
    let settings = SandboxSettings::merge(args.sandbox, args.dev, SandboxNames::of_spore(sources), sources)?;
    let documents = Documents::read(&settings, data, args.dev)?;
    let path = if Path::new(&args.skill).is_file() {
        PathBuf::from(&args.skill)
    } else {
        sandbox::find_bundle(&settings.skills, &args.skill)?
    };
    let bundle = UnverifiedBundle::read(&path).or_fail(format!("cannot use the bundle {}", path.display()))?;
    let mut report = claims(path, &bundle);
    match bundle.verify(&documents.trust, &sandbox::host_version()?) {
        Ok(verified) => judge(&mut report, &settings, verified, &documents.policy)?,
        Err(error) => report.problem = Some(chain(&error)),
    }
    if args.json {
        output::say_json(&report)?;
    } else {
        tell(&report)?;
    }
    if report.problem.is_some() {
        Err(Failure::told())
    } else {
        Ok(())
    }
}

fn claims(path: PathBuf, bundle: &UnverifiedBundle) -> Report {
    let claimed = bundle.claimed();
    Report {
        path,
        digest: claimed.digest().to_string(),
        trusted: false,
        publisher: None,
        signers: claimed.key_ids().to_vec(),
        problem: None,
        manifest: claimed.manifest().ok().cloned(),
        imports: Vec::new(),
        decisions: Vec::new(),
        methods: Vec::new(),
    }
}

fn judge(
    report: &mut Report,
    settings: &SandboxSettings,
    bundle: VerifiedBundle,
    policy: &Policy,
) -> Result<(), Failure> {
    let (_, decisions) = bundle.rights_under(policy);
    report.trusted = true;
    report.imports = inspect_component(bundle.component())
        .map(|shape| shape.imports)
        .unwrap_or_default();
    report.publisher = Some(bundle.publisher().to_owned());
    report.signers = bundle.signers().iter().map(ToString::to_string).collect();
    report.decisions = decisions;
    let runtime = sandbox::start_runtime(settings, 2, Vec::new())?;
    wait_on_all_cores(async {
        let loading = tokio::task::spawn_blocking(move || runtime.load(&bundle, Grants::default(), &Backends::local()));
        match loading.await.or_fail("loading the skill broke off")? {
            Ok(skill) => report.methods = skill.description().methods.clone(),
            Err(error) => report.problem = Some(chain(&error)),
        }
        Ok(())
    })
}

fn tell(report: &Report) -> Result<(), Failure> {
    let (bold, green, red) = (output::BOLD, output::GREEN, output::RED);
    if let Some(manifest) = &report.manifest {
        output::say(format!(
            "{bold}{} {}{bold:#}  {}",
            manifest.name, manifest.version, manifest.summary
        ))?;
    }
    output::say(format!(
        "bundle     {}\ndigest     {}",
        report.path.display(),
        report.digest
    ))?;
    output::say(match &report.publisher {
        Some(publisher) => format!(
            "signed     {green}trusted{green:#}, published by {publisher}, key {}",
            report.signers.join(", ")
        ),
        None => format!(
            "signed     {red}not trusted{red:#}, says key {}",
            report.signers.join(", ")
        ),
    })?;
    if let Some(problem) = &report.problem {
        output::say(format!("{red}problem{red:#}    {problem}"))?;
    }
    tell_decisions(report)?;
    if !report.methods.is_empty() {
        output::say(format!("\n{bold}methods{bold:#}"))?;
        for method in &report.methods {
            output::say(format!(
                "  {}({})  {}",
                method.name,
                parameters(method).join(", "),
                method.summary
            ))?;
        }
    }
    if report.imports.is_empty() {
        return Ok(());
    }
    output::say(format!("\n{bold}imports{bold:#}\n  {}", report.imports.join("\n  ")))
}

fn tell_decisions(report: &Report) -> Result<(), Failure> {
    let bold = output::BOLD;
    output::say(format!("\n{bold}asked for{bold:#}"))?;
    let asked = report
        .manifest
        .as_ref()
        .map(|manifest| asked(&manifest.capabilities))
        .unwrap_or_default();
    output::say(if asked.is_empty() {
        "  nothing".to_owned()
    } else {
        format!("  {}", asked.join("\n  "))
    })?;
    if !report.trusted {
        return Ok(());
    }
    output::say(format!("\n{bold}granted here{bold:#}"))?;
    if report.decisions.is_empty() {
        return output::say("  nothing beyond the default budgets");
    }
    for decision in &report.decisions {
        let (style, word) = match decision.verdict {
            Verdict::Granted => (output::GREEN, "granted"),
            Verdict::Reduced => (output::YELLOW, "reduced"),
            Verdict::Refused => (output::RED, "refused"),
        };
        output::say(format!(
            "  {style}{word}{style:#}  {:<8} {}  {}",
            decision.capability, decision.target, decision.reason
        ))?;
    }
    Ok(())
}

/// One line for each capability asked for, as the manifest writes it.
fn asked(request: &Request) -> Vec<String> {
    let Ok(serde_json::Value::Object(map)) = serde_json::to_value(request) else {
        return Vec::new();
    };
    map.iter()
        .map(|(capability, value)| format!("{capability:<8} {value}"))
        .collect()
}

fn parameters(method: &MethodDescription) -> Vec<String> {
    let required: Vec<&str> = method
        .params_schema
        .get("required")
        .and_then(|required| required.as_array())
        .map(|names| names.iter().filter_map(|name| name.as_str()).collect())
        .unwrap_or_default();
    let properties = method
        .params_schema
        .get("properties")
        .and_then(|properties| properties.as_object());
    let mark = |name: &String| {
        if required.contains(&name.as_str()) {
            name.clone()
        } else {
            format!("{name}?")
        }
    };
    properties
        .map(|properties| properties.keys().map(mark).collect())
        .unwrap_or_default()
}
