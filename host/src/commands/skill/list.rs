//! `skill list`: the bundles of the skills directory, and whether they would be loaded.

use serde::Serialize;
use venom_bundle::UnverifiedBundle;

use crate::cli::ListSkillsArgs;
use crate::failure::{Failure, chain};
use crate::output;
use crate::sandbox;
use crate::settings::{SandboxNames, SandboxSettings, Sources};

#[derive(Serialize)]
struct Line {
    name: Option<String>,
    version: Option<String>,
    summary: Option<String>,
    trusted: bool,
    publisher: Option<String>,
    problem: Option<String>,
    digest: Option<String>,
    path: std::path::PathBuf,
}

/// Prints the list.
pub(crate) fn run(args: ListSkillsArgs, sources: &Sources) -> Result<(), Failure> {
    let settings = SandboxSettings::merge(args.sandbox, false, SandboxNames::of_spore(sources), sources)?;
    let trust = sandbox::read_trust(&settings.trust)?;
    let host = sandbox::host_version()?;
    let lines: Vec<Line> = sandbox::bundles_in(&settings.skills)?
        .into_iter()
        .map(|path| match UnverifiedBundle::read(&path) {
            Ok(bundle) => line(path, bundle, &trust, &host),
            Err(error) => Line {
                problem: Some(chain(&error)),
                ..empty(path)
            },
        })
        .collect();
    if args.json {
        return output::say_json(&serde_json::json!({ "directory": settings.skills, "skills": lines }));
    }
    if lines.is_empty() {
        output::note(format!(
            "no bundles in {}; `venom-host skill build --install` puts one there",
            settings.skills.display()
        ));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    output::say(output::table(&["SKILL", "VERSION", "STATE", "SUMMARY"], &rows))
}

fn empty(path: std::path::PathBuf) -> Line {
    Line {
        name: None,
        version: None,
        summary: None,
        trusted: false,
        publisher: None,
        problem: None,
        digest: None,
        path,
    }
}

fn line(
    path: std::path::PathBuf,
    bundle: UnverifiedBundle,
    trust: &venom_bundle::Trust,
    host: &semver::Version,
) -> Line {
    let claimed = bundle.claimed();
    let mut line = Line {
        digest: Some(claimed.digest().to_string()),
        ..empty(path)
    };
    if let Ok(manifest) = claimed.manifest() {
        line.name = Some(manifest.name.clone());
        line.version = Some(manifest.version.to_string());
        line.summary = Some(manifest.summary.clone());
    }
    match bundle.verify(trust, host) {
        Ok(verified) => {
            line.trusted = true;
            line.publisher = Some(verified.publisher().to_owned());
        }
        Err(error) => line.problem = Some(chain(&error)),
    }
    line
}

fn row(line: &Line) -> Vec<String> {
    let file = || line.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let state = match &line.publisher {
        Some(publisher) => format!("trusted ({publisher})"),
        None => "refused".to_owned(),
    };
    vec![
        line.name.clone().unwrap_or_else(file),
        line.version.clone().unwrap_or_default(),
        state,
        line.problem
            .clone()
            .or_else(|| line.summary.clone())
            .unwrap_or_default(),
    ]
}
