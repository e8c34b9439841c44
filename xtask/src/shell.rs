//! Running commands with a word on what they do and how long it took.
#![expect(clippy::print_stderr, reason = "telling what happens is this module's purpose")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The repository's root.
pub(crate) fn root() -> Result<PathBuf> {
    // where cargo runs it from, not where it was built: two clones may share a target directory
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Ok(Path::new(&manifest)
        .parent()
        .context("xtask has no parent directory")?
        .to_path_buf())
}

/// Where cargo builds: `CARGO_TARGET_DIR`, else `target`.
pub(crate) fn target_dir() -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => Ok(root()?.join(directory)),
        None => Ok(root()?.join("target")),
    }
}

/// A command in the repository's root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()?);
    Ok(command)
}

/// Runs one step to its end, says what it is and how long it took; fails with the command line.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("==> {what}");
    let started = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("{what}: cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{what}: failed ({status}): {command:?}");
    }
    eprintln!("    {what}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Makes sure the target that skills are built for is installed.
pub(crate) fn ensure_wasm_target() -> Result<()> {
    const TARGET: &str = "wasm32-wasip2";
    let installed = command("rustup", &["target", "list", "--installed"])?.output();
    let Ok(installed) = installed else {
        eprintln!("    no rustup here: expecting the {TARGET} target to be installed with the toolchain");
        return Ok(());
    };
    if String::from_utf8_lossy(&installed.stdout)
        .lines()
        .any(|line| line.trim() == TARGET)
    {
        return Ok(());
    }
    step(
        &format!("install the {TARGET} target"),
        &mut command("rustup", &["target", "add", TARGET])?,
    )
}
