//! Installs the peers into `target/peers`, each in the versions that `bench/peers` pins. Quick when they are there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::bounded;

/// A slow mirror and a cold cache are allowed for.
const LIMIT: Duration = Duration::from_secs(600);

/// Sources of a peer.
fn source(peer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(peer)
}

/// Where it is installed.
fn target(peer: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("bench has no parent directory")?;
    let target = root.join("target/peers").join(peer);
    std::fs::create_dir_all(&target)?;
    Ok(target)
}

/// BullMQ: answers the script for `node`.
pub(crate) fn bullmq() -> Result<PathBuf> {
    let (source, target) = (source("bullmq"), target("bullmq")?);
    for file in ["package.json", "package-lock.json", "peer.mjs"] {
        std::fs::copy(source.join(file), target.join(file))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]);
    bounded::run(npm.current_dir(&target), LIMIT)?;
    Ok(target.join("peer.mjs"))
}

/// apalis-redis: answers the program.
pub(crate) fn apalis() -> Result<PathBuf> {
    let target = target("apalis")?;
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--locked", "--quiet", "--target-dir"])
        .arg(&target);
    bounded::run(cargo.current_dir(source("apalis")), LIMIT)?;
    Ok(target.join("release/venom-bench-apalis"))
}

/// Celery: answers the Python that has it, and the script.
pub(crate) fn celery() -> Result<(PathBuf, PathBuf)> {
    let (source, target) = (source("celery"), target("celery")?);
    let python = target.join("bin/python");
    if !python.exists() {
        bounded::run(Command::new("python3").args(["-m", "venv"]).arg(&target), LIMIT)?;
    }
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
    ]);
    bounded::run(pip.arg(source.join("requirements.txt")), LIMIT)?;
    Ok((python, source.join("peer.py")))
}
