//! Files of the data directory: there, private where they must be, and readable as what they are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use venom_bundle::{SigningKey, UnverifiedBundle};

use super::Check;
use crate::data_dir::DataDir;
use crate::failure::chain;
use crate::sandbox;
use crate::settings::SandboxSettings;

const INIT: &str = "run `venom-host init`";

/// The data directory itself, its keys and its tokens.
pub(crate) fn check(data: &DataDir) -> Vec<Check> {
    if !data.0.is_dir() {
        return vec![Check::fail(
            "data directory",
            format!("{} does not exist", data.0.display()),
            INIT,
        )];
    }
    vec![modes(data), key(data), tokens(data), node_id(data)]
}

fn modes(data: &DataDir) -> Check {
    let private = [
        data.keys(),
        data.publisher_key(),
        data.online_key(),
        data.tokens(),
        data.operator_token(),
        data.node_token(),
        data.compiled(),
    ];
    let exposed: Vec<String> = private
        .iter()
        .filter(|path| mode(path).is_some_and(|mode| mode & 0o077 != 0))
        .map(|path| path.display().to_string())
        .collect();
    if exposed.is_empty() {
        return Check::ok("private files", "only this user can read keys and tokens");
    }
    let help = format!("chmod go-rwx {}", exposed.join(" "));
    Check::fail("private files", format!("others can read {}", exposed.join(", ")), help)
}

fn mode(path: &Path) -> Option<u32> {
    std::fs::metadata(path)
        .ok()
        .map(|metadata| metadata.permissions().mode())
}

fn key(data: &DataDir) -> Check {
    let path = data.publisher_key();
    match SigningKey::load(&path) {
        Ok(key) => Check::ok("publisher key", key.public().id().to_string()),
        Err(_) if !path.exists() => Check::warn("publisher key", "none: this machine can sign no bundles", INIT),
        Err(error) => Check::fail(
            "publisher key",
            chain(&error),
            "restore it from a backup, or make another: `venom-host key rotate`",
        ),
    }
}

fn tokens(data: &DataDir) -> Check {
    let name = "tokens";
    match crate::commands::nexus::tokens::read(&data.tokens(), true) {
        Err(failure) => Check::fail(
            name,
            failure.summary(),
            "compare with one that `venom-host init` writes elsewhere",
        ),
        Ok(tokens) if tokens.is_empty() => {
            Check::warn(name, "no operator token: a nexus would only start with --dev", INIT)
        }
        Ok(_) if !data.node_token().exists() => Check::warn(
            name,
            "no node token: a nexus would take no spores unless it is given one",
            INIT,
        ),
        Ok(tokens) => Check::ok(name, format!("{} operator token(s), a node token", tokens.len())),
    }
}

fn node_id(data: &DataDir) -> Check {
    if !data.0.join("node_id").exists() {
        return Check::skip("node id", "none yet; the first spore makes it");
    }
    match venom_spore::node_id_in(&data.0) {
        Ok(id) => Check::ok("node id", id.to_string()),
        Err(error) => Check::fail("node id", chain(&error), "see above"),
    }
}

/// Trust, policy and the bundles judged by them.
pub(crate) fn check_documents(settings: &SandboxSettings, data: &DataDir) -> Vec<Check> {
    let trust = sandbox::read_trust(&settings.trust);
    let trust_check = match &trust {
        Ok(trust) => Check::ok(
            "trust",
            format!(
                "{} publisher(s) in {}",
                trust.publishers().len(),
                settings.trust.display()
            ),
        ),
        Err(failure) => Check::fail("trust", failure.summary(), INIT),
    };
    let policy = match sandbox::read_policy(&settings.policy, data) {
        Ok(policy) => Check::ok("policy", format!("{} skill(s) have grants", policy.skills.len())),
        Err(failure) => Check::fail(
            "policy",
            failure.summary(),
            "repair it, or move it away and run `venom-host init`",
        ),
    };
    let skills = match trust {
        Ok(trust) => skills(settings, &trust),
        Err(_) => Check::skip("skills", "not verified: no trust file"),
    };
    vec![trust_check, policy, skills]
}

fn skills(settings: &SandboxSettings, trust: &venom_bundle::Trust) -> Check {
    let name = "skills";
    let (paths, host) = match (sandbox::bundles_in(&settings.skills), sandbox::host_version()) {
        (Ok(paths), Ok(host)) => (paths, host),
        (Err(failure), _) | (_, Err(failure)) => return Check::fail(name, failure.summary(), "pass --skills DIR"),
    };
    let problem = |path: &std::path::PathBuf| -> Option<String> {
        let verified = match UnverifiedBundle::read(path) {
            Ok(bundle) => bundle.verify(trust, &host).map_err(|error| chain(&error)),
            Err(error) => Err(chain(&error)),
        };
        verified.err().map(|why| format!("{}: {why}", path.display()))
    };
    let problems: Vec<String> = paths.iter().filter_map(problem).collect();
    if paths.is_empty() {
        return Check::warn(
            name,
            format!("no bundles in {}", settings.skills.display()),
            "`venom-host skill build --install` puts one there",
        );
    }
    if problems.is_empty() {
        return Check::ok(name, format!("{} bundle(s), all trusted", paths.len()));
    }
    Check::fail(
        name,
        problems.join("; "),
        "sign it with a trusted key, or add its publisher to the trust file",
    )
}
