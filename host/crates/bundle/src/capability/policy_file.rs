//! Reading and checking a policy file. A policy with a mistake is refused whole, with the key at fault: half a policy
//! is a policy nobody wrote. Whether a directory or program exists is asked when a skill is loaded, not here.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::check::{check_dns, check_guest_path, check_hive, check_http, check_net, each};
use super::resolve::is_inside;
use super::{CacheGrant, CommandGrant, FsGrant, HttpGrant, InvalidRequest, Peer, Policy, SecretGrant, SkillPolicy};
use crate::check_skill_name;

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not readable.
    #[error("cannot read the policy {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, or not these fields.
    #[error("the policy is not understood: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A value that makes no sense.
    #[error("the policy is refused, {0}")]
    Invalid(#[from] InvalidRequest),
}

type Checked = Result<(), InvalidRequest>;

/// The placeholders of argument patterns.
const PLACEHOLDERS: [&str; 4] = ["<path>", "<int>", "<number>", "<text>"];

impl Policy {
    /// Reads and checks a policy file.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let text = std::fs::read_to_string(path);
        Self::parse(&text.map_err(|source| PolicyError::Read {
            path: path.to_owned(),
            source,
        })?)
    }

    /// Reads and checks a policy's text.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = toml::from_str(text)?;
        policy.check()?;
        Ok(policy)
    }

    /// Checks every value; for policies that were not parsed from a text.
    pub fn check(&self) -> Checked {
        self.defaults.check("defaults")?;
        for (skill, policy) in &self.skills {
            let at = format!("skills.{skill}");
            check_skill_name(skill).map_err(|error| refuse(&at, error.to_string()))?;
            check_skill(policy, &at)?;
        }
        Ok(())
    }
}

impl SkillPolicy {
    /// Checks every value, by the rules of a policy file; `at` is its path in its document.
    pub fn check(&self, at: &str) -> Checked {
        check_skill(self, at)
    }
}

fn refuse(key: &str, problem: impl Into<String>) -> InvalidRequest {
    InvalidRequest::new(key, problem)
}

fn check_skill(policy: &SkillPolicy, at: &str) -> Checked {
    check_fs(&policy.fs, at)?;
    let mut names = BTreeSet::new();
    for (index, command) in policy.commands.iter().enumerate() {
        let at = format!("{at}.commands[{index}]");
        if !names.insert(&command.name) {
            return Err(refuse(
                &at,
                format!("`{}` is granted twice: write it once, with all patterns", command.name),
            ));
        }
        check_command(command, &policy.fs, &at)?;
    }
    for (index, net) in policy.net.iter().enumerate() {
        check_net(&net.to, &net.ports, &net.protocols, &format!("{at}.net[{index}]"))?;
    }
    for (index, http) in policy.http.iter().enumerate() {
        check_http_grant(http, &format!("{at}.http[{index}]"))?;
    }
    for (name, secret) in &policy.secrets {
        check_key(name, &format!("{at}.secrets.{name}"))?;
        check_secret(secret, &format!("{at}.secrets.{name}"))?;
    }
    for (key, value) in &policy.env {
        check_key(key, &format!("{at}.env.{key}"))?;
        if value.contains('\0') {
            return Err(refuse(&format!("{at}.env.{key}"), "holds a zero byte"));
        }
    }
    policy
        .config
        .keys()
        .try_for_each(|key| check_key(key, &format!("{at}.config.{key}")))?;
    policy
        .cache
        .iter()
        .try_for_each(|cache| check_cache(cache, &format!("{at}.cache")))?;
    each(&policy.dns, &format!("{at}.dns"), check_dns)?;
    each(&policy.hive, &format!("{at}.hive"), check_hive)?;
    policy.budgets.check(&format!("{at}.budgets"))
}

fn check_fs(grants: &[FsGrant], at: &str) -> Checked {
    let mut guests = BTreeSet::new();
    for (index, fs) in grants.iter().enumerate() {
        let at = format!("{at}.fs[{index}]");
        check_host_path(&fs.host, &format!("{at}.host"))?;
        check_guest_path(&fs.guest, &format!("{at}.guest"))?;
        if !guests.insert(&fs.guest) {
            return Err(refuse(
                &format!("{at}.guest"),
                format!("`{}` is granted twice", fs.guest),
            ));
        }
        if fs.quota.is_some_and(|quota| quota.as_u64() == 0) {
            return Err(refuse(
                &format!("{at}.quota"),
                "is 0: leave it out, or grant the directory ro",
            ));
        }
    }
    Ok(())
}

fn check_host_path(path: &Path, key: &str) -> Checked {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain {
        return Ok(());
    }
    Err(refuse(
        key,
        format!(
            "`{}` is not absolute and plain: write the full path, without `..`",
            path.display()
        ),
    ))
}

fn check_command(command: &CommandGrant, fs: &[FsGrant], at: &str) -> Checked {
    let name = &command.name;
    if name.is_empty() || name.contains(['/', '*']) || name.chars().any(|it| it.is_whitespace() || it.is_control()) {
        let problem =
            format!("`{name}` is no name of a program: write the name alone, and `path` where it is elsewhere");
        return Err(refuse(&format!("{at}.name"), problem));
    }
    if let Some(path) = &command.path {
        check_host_path(path, &format!("{at}.path"))?;
    }
    for (index, path) in command.read.iter().enumerate() {
        check_host_path(path, &format!("{at}.read[{index}]"))?;
    }
    if let Some(directory) = &command.directory {
        let key = format!("{at}.directory");
        check_guest_path(directory, &key)?;
        if !fs.iter().any(|fs| is_inside(directory, &fs.guest)) {
            return Err(refuse(
                &key,
                format!("`{directory}` is in none of the skill's fs grants: grant it, or leave `directory` out"),
            ));
        }
    }
    each(&command.args, &format!("{at}.args"), check_argument)?;
    each(&command.env, &format!("{at}.env"), check_key)?;
    let sizes = [
        ("output", command.output),
        ("memory", command.memory),
        ("file_size", command.file_size),
    ];
    if let Some((key, _)) = sizes
        .iter()
        .find(|(key, size)| size.as_u64() == 0 && *key != "file_size")
    {
        return Err(refuse(&format!("{at}.{key}"), "is 0, with which no program could run"));
    }
    if command.timeout.is_zero() {
        return Err(refuse(
            &format!("{at}.timeout"),
            "is 0, with which no program could run",
        ));
    }
    Ok(())
}

fn check_argument(pattern: &str, key: &str) -> Checked {
    if pattern.starts_with('<') && pattern.ends_with('>') && !PLACEHOLDERS.contains(&pattern) {
        return Err(refuse(
            key,
            format!(
                "`{pattern}` is no placeholder: write one of {}",
                PLACEHOLDERS.join(", ")
            ),
        ));
    }
    if pattern.contains('\0') {
        return Err(refuse(key, "holds a zero byte, which no argument can"));
    }
    Ok(())
}

/// Environment keys, settings and names of secrets: names, not patterns.
fn check_key(text: &str, key: &str) -> Checked {
    let odd = |character: char| character.is_whitespace() || character.is_control() || "=*/".contains(character);
    if text.is_empty() || text.chars().any(odd) {
        return Err(refuse(key, format!("`{text}` is no key: no spaces, `=`, `*` or `/`")));
    }
    Ok(())
}

fn check_http_grant(http: &HttpGrant, at: &str) -> Checked {
    check_http(&http.host, &format!("{at}.host"))?;
    each(&http.methods, &format!("{at}.methods"), |method, key| {
        let good = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if good {
            Ok(())
        } else {
            Err(refuse(key, format!("`{method}` is no HTTP method: write it like GET")))
        }
    })?;
    each(
        &http.addresses,
        &format!("{at}.addresses"),
        |text, key| match Peer::parse(text) {
            Some(Peer::Range(_)) => Ok(()),
            _ => Err(refuse(
                key,
                format!("`{text}` is no CIDR: write for example 10.0.0.0/8 (IPv4 not as IPv6)"),
            )),
        },
    )
}

fn check_secret(secret: &SecretGrant, at: &str) -> Checked {
    match (&secret.env, &secret.file) {
        (Some(key), None) => check_key(key, &format!("{at}.env"))?,
        (None, Some(path)) => check_host_path(path, &format!("{at}.file"))?,
        _ => return Err(refuse(at, "needs exactly one of `env` and `file`")),
    }
    if secret.audience.is_empty() {
        return Err(refuse(
            &format!("{at}.audience"),
            "is empty: name the hosts the secret may be sent to",
        ));
    }
    each(&secret.audience, &format!("{at}.audience"), |host, key| match host {
        "*" => Err(refuse(key, "`*` would send the secret to anyone: name the hosts")),
        _ => check_http(host, key),
    })
}

fn check_cache(cache: &CacheGrant, at: &str) -> Checked {
    if cache.quota.as_u64() == 0 {
        return Err(refuse(&format!("{at}.quota"), "is 0: leave `cache` out"));
    }
    if cache.max_ttl.is_zero() {
        return Err(refuse(
            &format!("{at}.max_ttl"),
            "is 0, so nothing would be kept: leave `cache` out",
        ));
    }
    cache
        .namespace
        .iter()
        .try_for_each(|name| check_key(name, &format!("{at}.namespace")))
}
