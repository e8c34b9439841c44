//! Building the skills from source into signed bundles, with a throw-away publisher key of this checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{command, ensure_wasm_target, root, step, target_dir};

/// A skill of this repository: its folder below `skills/` is also its package's first word.
const SKILLS: [&str; 6] = ["echo", "shell", "file", "parallel", "netscan", "shield"];
/// Guests that tests and benchmarks run.
const GUESTS: [&str; 3] = ["hostile-guest", "noop-guest", "release-guest"];

/// What was built.
pub(crate) struct Built {
    /// The host binary.
    pub(crate) host: PathBuf,
    /// A data directory whose publisher key signed the bundles.
    pub(crate) data_dir: PathBuf,
    /// Where the `.venom` files are.
    pub(crate) bundles: PathBuf,
}

/// Builds the host binary and every skill, then packs and signs the skills.
pub(crate) fn build_and_pack() -> Result<Built> {
    ensure_wasm_target()?;
    step(
        "build venom-host",
        &mut command("cargo", &["build", "--package", "venom-host"])?,
    )?;
    build_components()?;
    let target = target_dir()?;
    let built = Built {
        host: target.join("debug").join("venom-host"),
        data_dir: target.join("skills").join("data"),
        bundles: target.join("skills"),
    };
    pack(&built)?;
    Ok(built)
}

/// Compiles the skills to components.
pub(crate) fn build_components() -> Result<()> {
    build_packages("build the skills (wasm32-wasip2)", &[])
}

/// Compiles the skills and the guests that tests and benchmarks run; answers where they are.
pub(crate) fn build_components_and_guests() -> Result<PathBuf> {
    build_packages("build the skills and test guests (wasm32-wasip2)", &GUESTS)?;
    Ok(components_dir(&target_dir()?))
}

fn components_dir(target: &Path) -> PathBuf {
    target.join("wasm32-wasip2").join("skill")
}

fn build_packages(what: &str, guests: &[&str]) -> Result<()> {
    let mut build = command("cargo", &["build", "--target", "wasm32-wasip2", "--profile", "skill"])?;
    for skill in SKILLS {
        build.args(["--package", &format!("{skill}-skill")]);
    }
    for guest in guests {
        build.args(["--package", guest]);
    }
    step(what, &mut build)
}

fn pack(built: &Built) -> Result<()> {
    std::fs::create_dir_all(&built.bundles)?;
    let data_dir = built.data_dir.to_str().context("target directory is not UTF-8")?;
    let mut init = std::process::Command::new(&built.host);
    init.args(["init", "--data-dir", data_dir])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    step("make a publisher key for this checkout", &mut init)?;
    for skill in SKILLS {
        let component = components_dir(&target_dir()?).join(format!("{skill}_skill.wasm"));
        let bundle = built.bundles.join(format!("{skill}.venom"));
        let mut pack = std::process::Command::new(&built.host);
        pack.args(["bundle", "pack", "--data-dir", data_dir])
            .arg("--manifest")
            .arg(root()?.join("skills").join(skill).join("skill.toml"))
            .arg("--out")
            .arg(&bundle)
            .arg(&component)
            .stdout(std::process::Stdio::null());
        step(&format!("pack and sign {skill}.venom"), &mut pack)?;
    }
    Ok(())
}
