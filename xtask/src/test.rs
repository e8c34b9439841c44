//! All tests, by the runner that is there: cargo-nextest when installed, else cargo's own.

use anyhow::Result;

use crate::shell::{command, ensure_wasm_target, step, target_dir};
use crate::skills::build_components_and_guests;

/// Builds what tests need from source, then runs them. `all` adds the ones marked as needing installs from
/// package registries; without it they show as ignored.
pub(crate) fn run(all: bool, filter: &[String]) -> Result<()> {
    ensure_wasm_target()?;
    let components = build_components_and_guests()?;
    let mut tests = if has_nextest() {
        let mut tests = command("cargo", &["nextest", "run", "--workspace", "--no-fail-fast"])?;
        if all {
            tests.args(["--run-ignored", "all"]);
        }
        tests.args(filter);
        tests
    } else {
        let mut tests = command(
            "cargo",
            &["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"],
        )?;
        tests.arg("--").args(filter);
        if all {
            tests.arg("--include-ignored");
        }
        tests
    };
    // the test build makes this binary too; without the variables the hive's tests would build both again
    tests.env("VENOM_HOST_BIN", target_dir()?.join("debug").join("venom-host"));
    tests.env("VENOM_SKILLS_DIR", components);
    step("tests", &mut tests)?;
    if filter.is_empty() {
        step(
            "doctests",
            &mut command("cargo", &["test", "--workspace", "--doc", "--quiet"])?,
        )?;
    }
    Ok(())
}

fn has_nextest() -> bool {
    command("cargo", &["nextest", "--version"])
        .and_then(|mut nextest| Ok(nextest.output()?))
        .is_ok_and(|output| output.status.success())
}
