//! From settings to a working sandbox: trust, policy, engine, skills. The development policy is written here;
//! what a policy means is the bundle crate's business.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use venom_bundle::capability::{Access, CommandGrant, Confinement, FsGrant, Policy, SkillPolicy};
use venom_bundle::{PublicKey, Trust, UnverifiedBundle, VerifiedBundle};
use venom_runtime::{Backends, Runtime, RuntimeSettings, SkillSet};

use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::settings::{PolicySource, SandboxSettings};

/// Where commands of the development policy are looked for: the list grants are resolved by.
const PROGRAM_DIRECTORIES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Who may publish skills and what skills may do.
pub(crate) struct Documents {
    /// Who may publish.
    pub trust: Trust,
    /// What skills may do.
    pub policy: Policy,
}

impl Documents {
    /// Reads both. With `dev`, the data directory's own publisher is trusted even where the trust file leaves it out.
    pub(crate) fn read(settings: &SandboxSettings, data: &DataDir, dev: bool) -> Result<Self, Failure> {
        let trust = if dev {
            development_trust(&settings.trust, data)?
        } else {
            read_trust(&settings.trust)?
        };
        Ok(Self {
            trust,
            policy: read_policy(&settings.policy, data)?,
        })
    }
}

/// Reads a trust file.
pub(crate) fn read_trust(path: &Path) -> Result<Trust, Failure> {
    if !path.exists() {
        return Err(Failure::new(format!("there is no trust file at {}", path.display()))
            .because("without one no publisher is trusted, so no skill can be loaded")
            .help("run `venom-host init` to make one, or name one with --trust FILE"));
    }
    Trust::load(path).or_advise(
        format!("the trust file {} cannot be used", path.display()),
        "repair it; `venom-host init --data-dir /tmp/example` writes a fresh one to compare with",
    )
}

fn development_trust(path: &Path, data: &DataDir) -> Result<Trust, Failure> {
    let public = data.publisher_public();
    let key = PublicKey::load(&public).or_fail(format!("the publisher key {} cannot be used", public.display()))?;
    let trust = read_trust(path)?;
    if trust.publishers().iter().any(|publisher| publisher.keys.contains(&key)) {
        return Ok(trust);
    }
    let text = std::fs::read_to_string(path).or_fail(format!("cannot read {}", path.display()))?;
    let text = format!(
        "{text}\n{}",
        super::commands::init::publisher_entry("development", &key)
    );
    Trust::parse(&text).or_fail(format!(
        "the trust file {} cannot take the development key",
        path.display()
    ))
}

/// Reads a policy.
pub(crate) fn read_policy(source: &PolicySource, data: &DataDir) -> Result<Policy, Failure> {
    let path = match source {
        PolicySource::Development => return Ok(development_policy(&data.workspace())),
        PolicySource::File(path) => path,
    };
    let text = std::fs::read_to_string(path).or_advise(
        format!("cannot read the policy {}", path.display()),
        "run `venom-host init` to make one, or name one with --policy FILE",
    )?;
    toml::from_str(&text).or_fail(format!("the policy {} cannot be used", path.display()))
}

/// What `--dev` grants: `FileSkill` the workspace, `ShellSkill` harmless commands in it.
pub(crate) fn development_policy(workspace: &Path) -> Policy {
    let directory = FsGrant {
        host: workspace.to_owned(),
        guest: "/work".to_owned(),
        access: Access::Rw,
        quota: None,
    };
    let commands = DEVELOPMENT_COMMANDS
        .iter()
        .filter(|(name, _)| is_installed(name))
        .map(|(name, args)| command(name, args));
    let file = SkillPolicy {
        fs: vec![directory.clone()],
        ..SkillPolicy::default()
    };
    let shell = SkillPolicy {
        fs: vec![directory],
        commands: commands.collect(),
        ..SkillPolicy::default()
    };
    Policy {
        skills: [("FileSkill".to_owned(), file), ("ShellSkill".to_owned(), shell)].into(),
        ..Policy::default()
    }
}

/// Commands of the development policy with the arguments that read or print, and none that set a clock or a host
/// name, write elsewhere or start another program.
const DEVELOPMENT_COMMANDS: [(&str, &[&str]); 9] = [
    ("echo", &["**"]),
    ("sleep", &["<number>"]),
    ("ls", &["-*", "<path>"]),
    (
        "date",
        &[
            "+*",
            "-u",
            "--utc",
            "-R",
            "-I*",
            "--iso-8601*",
            "--rfc-3339=*",
            "--date=*",
        ],
    ),
    ("uname", &["-*"]),
    ("hostname", &["-s", "-f", "-d", "-i", "-I", "--short", "--fqdn"]),
    ("cat", &["-n", "-b", "-s", "-A", "-E", "-T", "-v", "<path>"]),
    ("wc", &["-l", "-w", "-c", "-m", "-L", "<path>"]),
    (
        "sort",
        &[
            "-n", "-r", "-u", "-f", "-h", "-b", "-g", "-V", "-s", "-nr", "-rn", "-k*", "-t*", "<path>",
        ],
    ),
];

fn is_installed(name: &str) -> bool {
    PROGRAM_DIRECTORIES
        .iter()
        .any(|directory| Path::new(directory).join(name).is_file())
}

fn command(name: &str, args: &[&str]) -> CommandGrant {
    CommandGrant {
        name: name.to_owned(),
        path: None,
        args: args.iter().map(|&pattern| pattern.to_owned()).collect(),
        directory: Some("/work".to_owned()),
        env: Vec::new(),
        output: bytesize::ByteSize::kib(256),
        timeout: Duration::from_secs(30),
        memory: bytesize::ByteSize::mib(512),
        file_size: bytesize::ByteSize::mib(64),
        subprocesses: false,
        network: false,
        read: Vec::new(),
        // A kernel without Landlock still has the argument patterns; --dev must work in any container.
        confinement: Confinement::BestEffort,
    }
}

/// Starts the engine.
pub(crate) fn start_runtime(
    settings: &SandboxSettings,
    slots: u32,
    denied: Vec<SocketAddr>,
) -> Result<Runtime, Failure> {
    let compiled_cache = settings
        .compiled
        .parent()
        .filter(|parent| parent.is_dir())
        .map(|_| settings.compiled.clone());
    if let Some(directory) = &compiled_cache {
        crate::data_dir::make_directory(directory, crate::data_dir::PRIVATE_DIRECTORY)?;
    }
    let settings = RuntimeSettings {
        slots,
        max_memory: settings.max_memory,
        dirty_page_scan: settings.dirty_page_scan,
        compiled_cache,
        denied_addresses: denied,
        ..RuntimeSettings::default()
    };
    Runtime::new(settings).or_advise(
        "the sandbox cannot start",
        "run `venom-host doctor` for the state of this machine",
    )
}

/// Loads every bundle of the skills directory into `skills`, but none of `switched_off`. Blocks while compiling;
/// a bundle that is refused is logged with the reason and does not keep the others out.
pub(crate) async fn load_skills(
    settings: &SandboxSettings,
    runtime: Runtime,
    documents: Arc<Documents>,
    backends: Backends,
    skills: SkillSet,
    switched_off: Vec<&'static str>,
) -> Result<usize, Failure> {
    let directory = settings.skills.clone();
    if !directory.is_dir() {
        tracing::warn!(directory = %directory.display(), "no skills directory: no skill is offered");
        return Ok(0);
    }
    let loading = tokio::task::spawn_blocking(move || {
        let found = SkillSet::empty();
        let report = found.load_directory(&runtime, &directory, &documents.trust, &documents.policy, &backends);
        for refused in report.refused {
            tracing::warn!(bundle = %refused.path.display(), reason = %refused.reason, "bundle refused");
        }
        let wanted = report
            .loaded
            .iter()
            .filter(|name| !switched_off.contains(&name.as_str()));
        let offered = wanted.filter_map(|name| found.get(name)).map(|skill| {
            tracing::info!(skill = skill.name(), version = %skill.version(), digest = %skill.digest(), "skill loaded");
            skills.insert(skill);
        });
        offered.count()
    });
    loading.await.or_fail("loading the skills broke off")
}

/// This program's version, which bundles are checked against.
pub(crate) fn host_version() -> Result<semver::Version, Failure> {
    semver::Version::parse(env!("CARGO_PKG_VERSION")).or_fail("this program has no version")
}

/// Verifies a bundle; the failure says how to make it trusted where that is the answer.
pub(crate) fn verify(path: &Path, trust: &Trust, trust_path: &Path) -> Result<VerifiedBundle, Failure> {
    let bundle = UnverifiedBundle::read(path).or_fail(format!("{} is no bundle", path.display()))?;
    let keys = bundle.claimed().key_ids().join(", ");
    bundle.verify(trust, &host_version()?).map_err(|error| {
        Failure::new(format!("the bundle {} is not trusted", path.display()))
            .because(crate::failure::chain(&error))
            .help(format!(
                "it says it is signed by key {}; if you trust its publisher, add the publisher's public key \
                 to {} (`venom-host key show` on the publisher's machine prints the entry)",
                if keys.is_empty() { "(none)" } else { &keys },
                trust_path.display()
            ))
    })
}

/// Bundles in a directory, sorted by name.
pub(crate) fn bundles_in(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).or_fail(format!("cannot list {}", directory.display())),
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "venom"))
        .collect();
    paths.sort();
    Ok(paths)
}

/// The newest bundle of a directory that claims to be `skill`; the failure lists near names.
pub(crate) fn find_bundle(directory: &Path, skill: &str) -> Result<PathBuf, Failure> {
    let mut names = Vec::new();
    let mut best: Option<(semver::Version, PathBuf)> = None;
    for path in bundles_in(directory)? {
        let Ok(bundle) = UnverifiedBundle::read(&path) else {
            continue;
        };
        let claimed = bundle.claimed();
        let Ok(manifest) = claimed.manifest() else { continue };
        if manifest.name == skill && best.as_ref().is_none_or(|(version, _)| *version < manifest.version) {
            best = Some((manifest.version.clone(), path));
        }
        names.push(manifest.name.clone());
    }
    best.map(|(_, path)| path)
        .ok_or_else(|| unknown_skill(skill, &names, directory))
}

fn unknown_skill(skill: &str, names: &[String], directory: &Path) -> Failure {
    let failure = Failure::new(format!("there is no skill `{skill}` in {}", directory.display()));
    match near(skill, names) {
        near if !near.is_empty() => failure.help(format!("did you mean {}?", near.join(" or "))),
        _ if names.is_empty() => failure
            .because("the directory holds no bundle")
            .help("build one with `venom-host skill build --install`, or name a file with --bundle FILE"),
        _ => failure.help(format!("these are there: {}", names.join(", "))),
    }
}

/// Names that look like `wanted`, nearest first, at most three.
pub(crate) fn near(wanted: &str, names: &[String]) -> Vec<String> {
    /// Below this two names have little in common.
    const LEAST_LIKENESS: f64 = 0.75;
    let lower = wanted.to_lowercase();
    let mut scored: Vec<(f64, &String)> = names
        .iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["FileSkill", "ShellSkill", "EchoSkill"].map(str::to_owned);
        assert_eq!(near("fileskil", &names).first().unwrap(), "FileSkill");
        assert!(near("Zzz", &names).is_empty());
    }

    #[test]
    fn the_development_policy_grants_only_the_workspace() {
        let policy = development_policy(Path::new("/data/workspace"));
        assert_eq!(policy.skills.keys().collect::<Vec<_>>(), ["FileSkill", "ShellSkill"]);
        for skill in policy.skills.values() {
            assert!(
                skill
                    .fs
                    .iter()
                    .all(|grant| grant.host == Path::new("/data/workspace") && grant.guest == "/work")
            );
            assert!(skill.net.is_empty() && skill.http.is_empty() && skill.dns.is_empty() && skill.secrets.is_empty());
            for command in &skill.commands {
                assert_eq!(command.directory.as_deref(), Some("/work"), "{}", command.name);
                assert!(!command.network && !command.subprocesses, "{}", command.name);
            }
        }
    }
}
