//! Command grants made ready when a skill is loaded, and requests held against them. It starts nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use venom_bundle::capability::{Access, CommandGrant, FsGrant};

use super::argument::{ArgPattern, Match};
use super::binary::{self, Binary};
use super::confine::Filters;
use super::path::Home;
use super::{CommandError, CommandRequest};
use crate::capability::refusal::policy_key;
use crate::capability::{GrantError, Refusal};

/// Arguments shown in the grant a refusal proposes.
const PROPOSED_ARGUMENTS: usize = 8;

/// The programs one skill may run, found and checked.
#[derive(Debug, Clone, Default)]
pub struct CommandGrants {
    skill: String,
    programs: BTreeMap<String, Arc<Program>>,
}

/// One granted program.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) grant: CommandGrant,
    pub(super) binary: Binary,
    /// None: an empty private directory, made anew for each run.
    pub(super) home: Option<Home>,
    /// Canonical directories it may read beside.
    pub(super) read: Vec<PathBuf>,
    pub(super) filters: Filters,
    /// Whether the log was told that this program runs less confined than it could.
    pub(super) warned: AtomicBool,
    patterns: Vec<ArgPattern>,
}

/// A request that was admitted.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) skill: String,
    pub(super) program: Arc<Program>,
    pub(super) request: CommandRequest,
}

impl CommandGrants {
    /// Finds the granted programs of `skill` and compiles their patterns. `fs` are the skill's effective
    /// directories.
    ///
    /// # Errors
    /// One for each grant that cannot be used on this machine.
    pub fn resolve(skill: &str, commands: &[CommandGrant], fs: &[FsGrant]) -> Result<Self, Vec<GrantError>> {
        let mut errors = Vec::new();
        let mut programs = BTreeMap::new();
        for grant in commands {
            let resolved = Program::resolve(grant, fs).and_then(|program| {
                match programs.insert(grant.name.clone(), Arc::new(program)) {
                    None => Ok(()),
                    Some(_) => Err("is granted twice (put all `args` into one grant)".to_owned()),
                }
            });
            if let Err(problem) = resolved {
                errors.push(GrantError::new("command", &grant.name, problem));
            }
        }
        let skill = skill.to_owned();
        if errors.is_empty() {
            Ok(Self { skill, programs })
        } else {
            Err(errors)
        }
    }

    /// The granted names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.programs.keys().map(String::as_str)
    }

    /// Whether no program is granted at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// Holds a request against the grants as far as that is possible without looking at the disk.
    pub(super) fn admit(&self, request: CommandRequest) -> Result<Job, CommandError> {
        let Some(program) = self.programs.get(&request.program) else {
            return Err(self.unknown(&request).into());
        };
        let job = Job {
            skill: self.skill.clone(),
            program: Arc::clone(program),
            request,
        };
        job.check_environment()?;
        job.check_nul()?;
        Ok(job)
    }

    /// As on a system without seccomp.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn without_seccomp(mut self) -> Self {
        for program in self.programs.values_mut().filter_map(Arc::get_mut) {
            program.filters = Filters::none();
        }
        self
    }

    fn unknown(&self, request: &CommandRequest) -> Refusal {
        let names: Vec<&str> = self.names().collect();
        let granted = if names.is_empty() {
            "none is".to_owned()
        } else {
            format!("granted: {}", names.join(", "))
        };
        let mut arguments: Vec<&str> = request.arguments.iter().map(String::as_str).collect();
        arguments.dedup();
        arguments.truncate(PROPOSED_ARGUMENTS);
        Refusal {
            capability: "command",
            target: request.program.clone(),
            reason: format!("the program is not granted ({granted})"),
            missing_grant: proposal(&self.skill, &request.program, "args", arguments),
        }
    }
}

impl Program {
    fn resolve(grant: &CommandGrant, fs: &[FsGrant]) -> Result<Self, String> {
        if grant.name.is_empty() {
            return Err("a grant needs the `name` the skill uses".to_owned());
        }
        let binary = binary::find(&grant.name, grant.path.as_deref())?;
        not_writable(&binary.path, fs)?;
        for key in &grant.env {
            check_key(key)?;
        }
        Ok(Self {
            home: grant.directory.as_deref().map(|guest| home(guest, fs)).transpose()?,
            read: grant
                .read
                .iter()
                .map(|directory| canonical(directory))
                .collect::<Result<_, _>>()?,
            patterns: grant
                .args
                .iter()
                .map(|text| ArgPattern::parse(text))
                .collect::<Result<_, _>>()?,
            filters: Filters::for_grant(grant),
            warned: AtomicBool::new(false),
            grant: grant.clone(),
            binary,
        })
    }
}

impl Job {
    pub(super) fn name(&self) -> &str {
        &self.program.grant.name
    }

    /// The grant's limit, lowered by the request's.
    pub(super) fn timeout(&self) -> Duration {
        let granted = self.program.grant.timeout;
        self.request.timeout.map_or(granted, |asked| asked.min(granted))
    }

    /// The arguments as the program gets them. `home` is where it works, `cwd` where it starts.
    pub(super) fn arguments(&self, home: &Home, cwd: &Path) -> Result<Vec<PathBuf>, Refusal> {
        let arguments = self.request.arguments.iter();
        arguments.map(|argument| self.argument(argument, home, cwd)).collect()
    }

    /// A path pattern goes before all others: it alone knows that `/work/x` means a file of this machine.
    fn argument(&self, argument: &str, home: &Home, cwd: &Path) -> Result<PathBuf, Refusal> {
        let mut granted = false;
        let mut reason = None;
        for pattern in &self.program.patterns {
            match pattern.matches(argument) {
                Match::No => {}
                Match::Yes => granted = true,
                Match::Path { prefix, path } => match home.admit(cwd, path) {
                    Ok(path) if prefix.is_empty() => return Ok(path),
                    Ok(path) => {
                        let mut whole = std::ffi::OsString::from(prefix);
                        whole.push(path);
                        return Ok(whole.into());
                    }
                    Err(problem) => reason = Some(problem),
                },
            }
        }
        if granted {
            return Ok(PathBuf::from(argument));
        }
        Err(self.bad_argument(argument, reason))
    }

    fn bad_argument(&self, argument: &str, reason: Option<String>) -> Refusal {
        let granted = &self.program.grant.args;
        let reason = match reason {
            Some(problem) => format!("the path is not granted: {problem}"),
            None if granted.is_empty() => "no arguments are granted".to_owned(),
            None => format!("the argument fits none of the granted patterns ({})", granted.join(" ")),
        };
        let patterns = granted.iter().map(String::as_str).chain([argument]).collect();
        self.refusal(argument, reason, proposal(&self.skill, self.name(), "args", patterns))
    }

    pub(super) fn bad_directory(&self, problem: &str) -> Refusal {
        let directory = &self.request.directory;
        let missing = proposal(&self.skill, self.name(), "", vec![]) + &format!("directory = {}", quoted(directory));
        self.refusal(directory, format!("it cannot run there: {problem}"), missing)
    }

    fn check_environment(&self) -> Result<(), Refusal> {
        let granted = &self.program.grant.env;
        for (key, _) in &self.request.environment {
            if !granted.contains(key) {
                let keys = granted.iter().map(String::as_str).chain([key.as_str()]).collect();
                let missing = proposal(&self.skill, self.name(), "env", keys);
                return Err(self.refusal(key, "the environment key is not granted".to_owned(), missing));
            }
        }
        Ok(())
    }

    fn check_nul(&self) -> Result<(), Refusal> {
        let request = &self.request;
        let values = request.environment.iter().map(|(_, value)| value);
        for text in request.arguments.iter().chain(values).chain([&request.directory]) {
            if text.contains('\0') {
                let shown = text.replace('\0', "\\0");
                return Err(self.refusal(&shown, "no program can be given a NUL byte".to_owned(), String::new()));
            }
        }
        Ok(())
    }

    pub(super) fn refusal(&self, what: &str, reason: String, missing_grant: String) -> Refusal {
        Refusal {
            capability: "command",
            target: format!("{} {what}", self.name()),
            reason,
            missing_grant,
        }
    }
}

/// The grant that is missing, as TOML.
pub(super) fn proposal(skill: &str, program: &str, key: &str, values: Vec<&str>) -> String {
    let mut text = format!(
        "[[skills.{}.commands]]\nname = {}\n",
        policy_key(skill),
        quoted(program)
    );
    if !key.is_empty() {
        let values: Vec<String> = values.into_iter().map(quoted).collect();
        text.push_str(&format!("{key} = [{}]", values.join(", ")));
    }
    text
}

/// A JSON string, which is a TOML string too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A skill that could write the program could run anything.
fn not_writable(binary: &Path, fs: &[FsGrant]) -> Result<(), String> {
    for grant in fs.iter().filter(|grant| grant.access == Access::Rw) {
        if grant.host.canonicalize().is_ok_and(|host| binary.starts_with(host)) {
            return Err(format!(
                "{} lies in {}, which the skill may write",
                binary.display(),
                grant.guest
            ));
        }
    }
    Ok(())
}

fn home(guest: &str, fs: &[FsGrant]) -> Result<Home, String> {
    let same = |grant: &&FsGrant| Path::new(&grant.guest) == Path::new(guest);
    let Some(grant) = fs.iter().find(same) else {
        let known: Vec<&str> = fs.iter().map(|grant| grant.guest.as_str()).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        return Err(format!(
            "`directory` {guest} is none of the skill's granted directories ({known})"
        ));
    };
    Ok(Home {
        host: canonical(&grant.host)?,
        guest: Some(grant.guest.clone()),
        access: grant.access,
    })
}

fn canonical(directory: &Path) -> Result<PathBuf, String> {
    if !directory.is_absolute() {
        return Err(format!("{} must be absolute", directory.display()));
    }
    directory
        .canonicalize()
        .map_err(|error| format!("{}: {error}", directory.display()))
}

fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.contains(['=', '\0']) {
        return Err(format!("environment key {key:?} is none"));
    }
    if key.starts_with("LD_") || key == "PATH" || key == "LANG" {
        return Err(format!(
            "environment key {key} decides what is run, so it is the host's to set"
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
