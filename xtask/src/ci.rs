//! What CI runs and a contributor runs before pushing: the same steps, in the order of what fails soonest.

use anyhow::Result;

use crate::shell::{command, step};

/// fmt, tidy, clippy, rustdoc, test.
pub(crate) fn run() -> Result<()> {
    step("fmt", &mut command("cargo", &["fmt", "--all", "--check"])?)?;
    crate::tidy::run()?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    step("clippy", &mut command("cargo", &clippy)?)?;
    let mut rustdoc = command(
        "cargo",
        &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"],
    )?;
    step("rustdoc", rustdoc.env("RUSTDOCFLAGS", "-D warnings"))?;
    crate::test::run(false, &[])
}
