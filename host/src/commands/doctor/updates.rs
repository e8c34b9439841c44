//! Updates over the air: the root and its keys, the times they end, what the nexus keeps, and the audit file.

use std::path::Path;

use venom_bundle::{PublicKey, Root, SigningKey, TrustedRoot};
use venom_protocol::Timestamp;

use super::{Check, Status};
use crate::data_dir::DataDir;
use crate::failure::chain;
use crate::settings::{NexusSettings, UpdateSettings};

const INIT: &str = "run `venom-host init`";
/// A root that ends sooner than this should be followed by another: time to gather signatures.
const SOON_DAYS: i64 = 30;

/// The root a spore of this installation begins with, and the keys of it that are here.
pub(super) fn check(settings: &UpdateSettings, nexus: &NexusSettings, data: &DataDir) -> Vec<Check> {
    let name = "root";
    let path = &settings.root;
    let mut checks = Vec::new();
    match read(path) {
        None => {
            let detail = format!("there is none at {}: spores take no releases", path.display());
            checks.push(Check::warn(
                name,
                detail,
                format!("{INIT}, or copy root.json from the nexus's data directory"),
            ));
        }
        Some(Err(problem)) => checks.push(Check::fail(
            name,
            format!("{}: {problem}", path.display()),
            "take it from a backup, or copy root.json from the nexus's data directory",
        )),
        Some(Ok(root)) => {
            checks.push(validity(root.root()));
            checks.extend(keys(root.root(), data));
        }
    }
    checks.push(updates(settings));
    checks.push(store(nexus, data));
    checks.push(audit(&nexus.audit_log));
    checks
}

fn read(path: &Path) -> Option<Result<TrustedRoot, String>> {
    if !path.exists() {
        return None;
    }
    let bytes = std::fs::read(path).map_err(|error| chain(&error));
    Some(bytes.and_then(|bytes| TrustedRoot::pin(&bytes).map_err(|error| chain(&error))))
}

fn validity(root: &Root) -> Check {
    let name = "root";
    let next = "make the next one: `venom-host root new`, `root sign`, `root publish`";
    let left = root.expires.0.duration_since(Timestamp::now().0).as_hours() / 24;
    let what = format!(
        "root {} of swarm {}, until {}",
        root.version, root.swarm_id, root.expires
    );
    if Timestamp::now() >= root.expires {
        return Check::fail(name, format!("{what}: expired, nothing is installed under it"), next);
    }
    if left < SOON_DAYS {
        return Check::warn(name, format!("{what}: {left} days are left"), next);
    }
    Check::ok(name, what)
}

/// The keys of the data directory, by the roles the root gives them.
fn keys(root: &Root, data: &DataDir) -> [Check; 2] {
    let online = key(
        "online key",
        &data.online_key(),
        &[("rollouts", &root.roles.rollout.keys)],
        "a nexus here could roll nothing out: copy the key the root names from the other nexus, or name this one in the next root with --rollout-key",
    );
    let release = key(
        "release key",
        &data.publisher_key(),
        &[("releases", &root.roles.release.keys), ("roots", &root.roles.root.keys)],
        "releases are signed with a key that is elsewhere: name it with --key FILE",
    );
    [online, release]
}

fn key(name: &'static str, path: &Path, roles: &[(&str, &[PublicKey])], help: &str) -> Check {
    if !path.exists() {
        return Check::new(name, Status::Skip, format!("not on this machine: {}", path.display()));
    }
    let public = match SigningKey::load(path) {
        Ok(key) => key.public(),
        Err(error) => return Check::fail(name, chain(&error), "restore it from a backup"),
    };
    let signs: Vec<&str> = roles
        .iter()
        .filter(|(_, keys)| keys.contains(&public))
        .map(|(role, _)| *role)
        .collect();
    if signs.is_empty() {
        return Check::warn(name, format!("the root does not name {}", public.id().short()), help);
    }
    Check::ok(name, format!("{} signs {}", public.id().short(), signs.join(" and ")))
}

fn updates(settings: &UpdateSettings) -> Check {
    let name = "updates";
    if !settings.enabled {
        return Check::skip(
            name,
            "switched off: a spore here runs what lies in its skills directory only",
        );
    }
    let grants = if settings.release_grants {
        ", releases may grant rights"
    } else {
        ""
    };
    let window = if settings.window.is_empty() {
        "at any time"
    } else {
        "within its window"
    };
    Check::ok(
        name,
        format!("channel {}, installed {window}{grants}", settings.channel),
    )
}

/// How much of its quota a nexus has used.
fn store(nexus: &NexusSettings, data: &DataDir) -> Check {
    let name = "releases";
    let directory = &data.releases();
    if !directory.is_dir() {
        return Check::skip(name, "no nexus has kept any here");
    }
    let used = bytesize::ByteSize(size_of(directory, 0));
    let quota = nexus.releases.quota;
    let detail = format!("{used} of {quota} in {}", directory.display());
    if used.0 >= quota.0 / 10 * 9 {
        return Check::warn(name, detail, "raise [releases] quota before it is full");
    }
    Check::ok(name, detail)
}

/// Bytes of the files of a directory; those that go away meanwhile have none.
fn size_of(directory: &Path, depth: usize) -> u64 {
    /// Stores are two levels deep.
    const DEEPEST: usize = 4;
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() && depth < DEEPEST => size_of(&entry.path(), depth + 1),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn audit(path: &Path) -> Check {
    let name = "audit log";
    if !path.exists() {
        return Check::skip(name, "none yet; the first nexus makes it");
    }
    match std::fs::OpenOptions::new().append(true).open(path) {
        Ok(_) => Check::ok(name, path.display().to_string()),
        Err(error) => Check::fail(
            name,
            format!("{} cannot be written: {error}", path.display()),
            "make it this user's, or name another with NEXUS_AUDIT_LOG",
        ),
    }
}
