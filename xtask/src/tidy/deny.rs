//! Licences, bans and sources of everything that is linked in, by the rules of `deny.toml`. The file is
//! cargo-deny's own format, so that tool reads it too; this check needs nothing installed.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use cargo_metadata::Metadata;
use serde::Deserialize;

use crate::shell::root;

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    name: String,
}

/// Packages with a licence that is not allowed, banned packages, packages from elsewhere than the registry.
pub(crate) fn check(metadata: &Metadata) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root()?.join("deny.toml"))?;
    let rules: Deny = toml::from_str(&text).context("deny.toml")?;
    let mut findings = Vec::new();
    for package in &metadata.packages {
        if rules.bans.deny.iter().any(|ban| ban.name == package.name.as_str()) {
            findings.push(format!("{} is banned by deny.toml", package.name));
        }
        let Some(source) = &package.source else { continue };
        if !source.is_crates_io() {
            findings.push(format!("{} comes from {source}, not from crates.io", package.name));
        }
        if !licence_allowed(package.license.as_deref(), &rules.licenses.allow) {
            let licence = package.license.as_deref().unwrap_or("none stated");
            findings.push(format!(
                "{} {}: licence {licence} is not allowed by deny.toml",
                package.name, package.version
            ));
        }
    }
    Ok(findings)
}

fn licence_allowed(stated: Option<&str>, allowed: &BTreeSet<String>) -> bool {
    // Older packages write `MIT/Apache-2.0`, which SPDX spells with OR.
    let Some(stated) = stated.map(|text| text.replace('/', " OR ")) else {
        return false;
    };
    let Ok(expression) = spdx::Expression::parse(&stated) else {
        return false;
    };
    expression.evaluate(|requirement| allowed.contains(&requirement.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_allowed_side_and_a_conjunction_both() {
        let allowed = BTreeSet::from(["MIT".to_owned(), "Zlib".to_owned()]);
        assert!(licence_allowed(Some("MIT/GPL-3.0-only"), &allowed));
        assert!(licence_allowed(Some("MIT AND Zlib"), &allowed));
        assert!(!licence_allowed(Some("MIT AND GPL-3.0-only"), &allowed));
        assert!(!licence_allowed(Some("GPL-3.0-only"), &allowed));
        assert!(!licence_allowed(None, &allowed));
    }
}
