//! The walls of the house: which of our crates may use which. Tests may use what they test with, so only
//! normal and build dependencies count.

use cargo_metadata::{DependencyKind, Metadata};

/// What each crate may depend on. `*`: anything of ours.
const EDGES: [(&str, &[&str]); 25] = [
    ("venom-protocol", &[]),
    ("venom-foreman", &["venom-protocol"]),
    ("venom-broker", &["venom-protocol"]),
    ("venom-bundle", &["venom-protocol"]),
    ("venom-audit", &["venom-protocol"]),
    ("venom-fleet", &["venom-protocol"]),
    ("venom-agent", &["venom-protocol"]),
    ("venom-mdns", &["venom-protocol"]),
    ("venom-runtime", &["venom-bundle", "venom-protocol"]),
    (
        "venom-nexus",
        &[
            "venom-foreman",
            "venom-broker",
            "venom-audit",
            "venom-bundle",
            "venom-fleet",
            "venom-protocol",
            "venom-runtime",
        ],
    ),
    (
        "venom-spore",
        &["venom-runtime", "venom-audit", "venom-bundle", "venom-protocol"],
    ),
    ("venom-sdk-macros", &[]),
    ("venom-sdk", &["venom-sdk-macros"]),
    ("echo-skill", &["venom-sdk"]),
    ("shell-skill", &["venom-sdk"]),
    ("file-skill", &["venom-sdk"]),
    ("parallel-skill", &["venom-sdk"]),
    ("netscan-skill", &["venom-sdk"]),
    ("shield-skill", &["venom-sdk"]),
    ("hostile-guest", &["venom-sdk"]),
    ("release-guest", &["venom-sdk"]),
    ("venom-host", &["*"]),
    ("venom-tests", &["*"]),
    ("venom-bench", &["*"]),
    ("xtask", &[]),
];

/// Edges that are not on the list, and crates that are not.
pub(crate) fn check(metadata: &Metadata) -> Vec<String> {
    let members = metadata.workspace_packages();
    let mut findings = Vec::new();
    for package in &members {
        let ours = package.dependencies.iter().filter(|dependency| {
            dependency.kind != DependencyKind::Development
                && members.iter().any(|member| member.name == dependency.name)
        });
        let allowed = EDGES.iter().find(|(name, _)| *name == package.name.as_str());
        for dependency in ours {
            let permitted =
                allowed.is_some_and(|(_, names)| names.contains(&"*") || names.contains(&dependency.name.as_str()));
            if !permitted {
                findings.push(format!(
                    "{} may not depend on {} (xtask/src/tidy/edges.rs)",
                    package.name, dependency.name
                ));
            }
        }
    }
    findings
}
