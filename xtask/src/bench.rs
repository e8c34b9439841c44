//! Runs the benchmark package in release mode; the measuring itself lives in `bench/`.

use anyhow::Result;

use crate::shell::{command, ensure_wasm_target, step};
use crate::skills::build_components_and_guests;

/// Builds components and the benchmark binary, then prints the table.
pub(crate) fn run(quick: bool, only: Option<&str>) -> Result<()> {
    ensure_wasm_target()?;
    build_components_and_guests()?;
    let build = [
        "build",
        "--release",
        "--package",
        "venom-host",
        "--package",
        "venom-bench",
    ];
    step(
        "build venom-host and the benchmarks (release)",
        &mut command("cargo", &build)?,
    )?;
    let mut bench = command(
        "cargo",
        &["run", "--quiet", "--release", "--package", "venom-bench", "--"],
    )?;
    if quick {
        bench.arg("--quick");
    }
    bench.args(only);
    step("bench", &mut bench)
}
