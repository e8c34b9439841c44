//! House rules that no compiler checks. Each rule answers with the list of places that break it.
#![expect(clippy::print_stderr, reason = "a check's findings go to the terminal")]

mod deny;
mod edges;
mod files;

use anyhow::{Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::shell::root;

/// Checks every rule; lists all findings before failing.
pub(crate) fn run() -> Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(root()?.join("Cargo.toml"))
        .exec()?;
    let mut findings = edges::check(&metadata);
    findings.extend(deny::check(&metadata)?);
    findings.extend(files::check(&root()?)?);
    findings.extend(lints_inherited(&metadata)?);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings", findings.len());
    }
    eprintln!("==> tidy: ok");
    Ok(())
}

/// Every member takes the workspace's lints, so that a new crate cannot forget them.
fn lints_inherited(metadata: &Metadata) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for package in metadata.workspace_packages() {
        let manifest: toml::Table = std::fs::read_to_string(&package.manifest_path)?.parse()?;
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool);
        if inherits != Some(true) {
            findings.push(format!("{}: add `[lints] workspace = true`", package.manifest_path));
        }
    }
    Ok(findings)
}
