//! The tools that turn source into a component, one function each. Their words are shown as they come, or all at
//! once when they fail and a spinner was in the way.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use heck::ToSnakeCase as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use crate::failure::{Explain as _, Failure};
use crate::output;

/// The target of every Rust skill.
const TARGET: &str = "wasm32-wasip2";

/// Lines of a tool's output shown when it fails behind a spinner.
const SHOWN_LINES: usize = 200;

/// One line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    #[serde(default)]
    manifest_path: PathBuf,
}

/// Builds a Rust skill; answers the component cargo made of the package in `dir`.
pub(crate) fn cargo(dir: &Path, profile: &str, name: &str) -> Result<PathBuf, Failure> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command
        .args([
            "build",
            "--target",
            TARGET,
            "--profile",
            profile,
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(dir);
    let told = run(command, name, "install Rust with rustup (https://rustup.rs)").map_err(|failure| {
        if failure.summary().contains("target may not be installed") {
            failure.help(format!("run `rustup target add {TARGET}`"))
        } else {
            failure
        }
    })?;
    let manifest = dir
        .join("Cargo.toml")
        .canonicalize()
        .or_fail("the package has no Cargo.toml")?;
    component_of(&told, &manifest).ok_or_else(|| {
        Failure::new(format!("cargo made no component of {}", manifest.display()))
            .because("no artifact of the package ends in .wasm")
            .help("Cargo.toml needs [lib] crate-type = [\"cdylib\"]")
    })
}

fn component_of(messages: &str, manifest: &Path) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<CargoMessage>(line).ok())
        .filter(|message| message.reason == "compiler-artifact" && message.manifest_path == manifest)
        .flat_map(|message| message.filenames)
        .rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

/// Builds a skill in another language: `build.sh` writes `target/<name in snake case>.wasm`.
pub(crate) fn script(dir: &Path, name: &str) -> Result<PathBuf, Failure> {
    let component = dir.join("target").join(format!("{}.wasm", name.to_snake_case()));
    let before = written_at(&component);
    let mut command = Command::new("sh");
    command.arg("build.sh").current_dir(dir);
    run(command, name, "a POSIX shell is needed")?;
    // One left over from an earlier build must not be signed in place of what was built now.
    match (before, written_at(&component)) {
        (_, None) => Err(Failure::new(format!("build.sh did not write {}", component.display()))
            .help("let it write the component there")),
        (Some(before), Some(after)) if before == after => {
            Err(Failure::new(format!("build.sh left {} as it was", component.display()))
                .help("let it write the component there each time"))
        }
        _ => Ok(component),
    }
}

fn written_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Runs a tool to its end and answers what it wrote to stdout. On a terminal a spinner shows its last line.
fn run(mut command: Command, name: &str, if_missing: &str) -> Result<String, Failure> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let watched = output::is_watched();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().or_advise(format!("cannot run {tool}"), if_missing)?;
    let spinner = if watched { spinner(name) } else { ProgressBar::hidden() };
    let errors = child.stderr.take().map(|stderr| {
        let spinner = spinner.clone();
        std::thread::spawn(move || follow(stderr, &spinner, watched))
    });
    let mut told = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .read_to_string(&mut told)
            .or_fail(format!("cannot read what {tool} says"))?;
    }
    let status = child.wait().or_fail(format!("{tool} was lost"))?;
    let last = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
    spinner.finish_and_clear();
    if status.success() {
        return Ok(told);
    }
    if watched {
        output::note(last.join("\n"));
    }
    let why = last
        .iter()
        .rev()
        .find(|line| line.contains("error") || line.contains("target may not be installed"));
    let failure = Failure::new(format!("building {name} failed: {tool} ended with {status}"));
    Err(match why {
        Some(why) => failure.because(why.trim()),
        None => failure,
    })
}

fn spinner(name: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(format!("building {name}"));
    // The template is a constant; a wrong one would only lose the looks.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// Passes lines on to stderr, or shows each for a moment in the spinner; keeps the last ones.
fn follow(stderr: impl Read, spinner: &ProgressBar, watched: bool) -> Vec<String> {
    let mut kept = std::collections::VecDeque::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if watched {
            spinner.set_message(line.trim().to_owned());
        } else {
            output::note(&line);
        }
        kept.push_back(line);
        if kept.len() > SHOWN_LINES {
            kept.pop_front();
        }
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_the_packages_own() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/dep/Cargo.toml","filenames":["/t/dep.wasm"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/skill/Cargo.toml","filenames":["/t/a.rlib","/t/a.wasm"]}"#,
            "\nnot json\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(
            component_of(messages, Path::new("/skill/Cargo.toml")),
            Some("/t/a.wasm".into())
        );
        assert_eq!(component_of(messages, Path::new("/other/Cargo.toml")), None);
    }
}
