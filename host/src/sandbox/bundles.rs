//! Bundles on disk: finding one by its skill's name, and verifying it with words that help.

use std::path::{Path, PathBuf};

use venom_bundle::{Trust, UnverifiedBundle, VerifiedBundle, VerifyError};

use crate::failure::{Explain as _, Failure};

/// This program's version, which bundles are checked against.
pub(crate) fn host_version() -> Result<semver::Version, Failure> {
    semver::Version::parse(env!("CARGO_PKG_VERSION")).or_fail("this program has no version")
}

/// Verifies a bundle; the failure says how to make it trusted where that is the answer.
pub(crate) fn verify(path: &Path, trust: &Trust, trust_path: &Path) -> Result<VerifiedBundle, Failure> {
    let bundle = UnverifiedBundle::read(path).or_fail(format!("cannot use the bundle {}", path.display()))?;
    let keys = bundle.claimed().key_ids().join(", ");
    bundle.verify(trust, &host_version()?).map_err(|error| {
        let failure = Failure::new(format!("the bundle {} is not trusted", path.display()))
            .because(crate::failure::chain(&error));
        // the other errors say what to do; this one needs to know where the trust file is
        if !matches!(error, VerifyError::UnknownSigner { .. }) {
            return failure;
        }
        failure.help(format!(
            "if it names a key you trust ({}), add the publisher's public key to {}; \
             `venom-host key show` on the publisher's machine prints the entry",
            if keys.is_empty() { "it names none" } else { &keys },
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
}
