//! What the tests run: components of the skills and the host binary. Taken from where the environment says, else
//! built from this source, once for each run of the tests.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// Packages built to components.
const COMPONENTS: [&str; 8] = [
    "echo-skill",
    "shell-skill",
    "file-skill",
    "parallel-skill",
    "netscan-skill",
    "shield-skill",
    "hostile-guest",
    "release-guest",
];

/// Directory of the built components, when something else built them.
const COMPONENTS_ENV: &str = "VENOM_SKILLS_DIR";

/// The host binary, when something else built it.
const HOST_ENV: &str = "VENOM_HOST_BIN";

/// Root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// Where cargo builds: the test binary is in `<target>/<profile>/deps`.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let binary = env::current_exe().context("the test binary has no path")?;
    binary
        .ancestors()
        .nth(3)
        .map(Path::to_owned)
        .context("the test binary is in no target directory")
}

/// The bytes of a component, by its package: `echo-skill`.
///
/// # Errors
/// When it can be neither found nor built.
pub fn component(package: &str) -> Result<Vec<u8>> {
    static DIRECTORY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| components_dir().map_err(|error| format!("{error:#}")));
    let directory = directory.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    let path = directory.join(format!("{}.wasm", package.replace('-', "_")));
    fs::read(&path).with_context(|| format!("component {} cannot be read", path.display()))
}

fn components_dir() -> Result<PathBuf> {
    if let Some(directory) = env::var_os(COMPONENTS_ENV) {
        return Ok(directory.into());
    }
    let target = target_dir()?;
    let mut arguments = vec!["build", "--target", "wasm32-wasip2", "--profile", "skill"];
    for package in COMPONENTS {
        arguments.extend(["--package", package]);
    }
    build_once("components", &target, &arguments)?;
    Ok(target.join("wasm32-wasip2").join("skill"))
}

/// Path of `venom-host`.
///
/// # Errors
/// When it can be neither found nor built.
pub fn host_binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os(HOST_ENV) {
        return Ok(path.into());
    }
    let target = target_dir()?;
    build_once("host", &target, &["build", "--package", "venom-host"])?;
    Ok(target.join("debug").join("venom-host"))
}

/// Builds under a lock, as test runners start many processes at once; all but the first of one run of the runner
/// find it done.
fn build_once(what: &str, target: &Path, arguments: &[&str]) -> Result<()> {
    let own = target.join("venom-tests");
    fs::create_dir_all(&own)?;
    let lock = File::create(own.join(format!("{what}.lock")))?;
    lock.lock()?;
    let run = env::var("NEXTEST_RUN_ID").ok();
    let stamp = own.join(format!("{what}.run"));
    if run.is_some() && fs::read_to_string(&stamp).ok() == run {
        return Ok(());
    }
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .current_dir(repository())
        .output()
        .context("cargo cannot be run")?;
    if !built.status.success() {
        bail!(
            "cargo {} failed:\n{}",
            arguments.join(" "),
            String::from_utf8_lossy(&built.stderr)
        );
    }
    Ok(fs::write(stamp, run.unwrap_or_default())?)
}
