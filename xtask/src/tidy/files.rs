//! Rules about files: sizes, module docs, and that ARCHITECTURE.md names only what exists.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file above this is split; inline tests do not count.
const MOST_LINES: usize = 600;

/// File names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 5] = ["utils.rs", "common.rs", "helpers.rs", "manager.rs", "types.rs"];

/// Checks all sources that git tracks, and ARCHITECTURE.md.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in tracked(root)? {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let Ok(text) = std::fs::read_to_string(root.join(&path)) else {
                continue;
            };
            findings.extend(check_source(&path, &text));
        }
    }
    findings.extend(check_architecture(root)?);
    Ok(findings)
}

fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    Ok(String::from_utf8(output.stdout)?.lines().map(PathBuf::from).collect())
}

fn check_source(path: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let shown = path.display();
    let template = path.components().any(|part| part.as_os_str() == "templates");
    if !text.starts_with("//!") && !template {
        findings.push(format!(
            "{shown}: begin with `//!`: what the file is for and what it never does"
        ));
    }
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
    let is_test = path.components().any(|part| part.as_os_str() == "tests");
    if lines > MOST_LINES && !is_test {
        findings.push(format!("{shown}: {lines} lines, split at {MOST_LINES}"));
    }
    if path
        .file_name()
        .is_some_and(|name| EMPTY_NAMES.iter().any(|empty| name == *empty))
    {
        findings.push(format!("{shown}: name the file for what is in it"));
    }
    findings
}

/// Every `path/like/this` in backticks of ARCHITECTURE.md exists.
fn check_architecture(root: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    let quoted = text.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|word| is_path(word));
    Ok(paths
        .filter(|path| !root.join(path).exists())
        .map(|path| format!("ARCHITECTURE.md names `{path}`, which is not there"))
        .collect())
}

fn is_path(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or_default();
    word.contains('/')
        && !word.starts_with('/')
        && [
            "host", "wit", "sdk", "skills", "tests", "bench", "xtask", "examples", "deploy",
        ]
        .contains(&first)
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_without_module_docs_or_too_long_is_found() {
        let long = "//! Docs.\n".to_owned() + &"let a = 1;\n".repeat(MOST_LINES);
        assert_eq!(check_source(Path::new("host/src/a.rs"), "fn main() {}").len(), 1);
        assert_eq!(check_source(Path::new("host/src/a.rs"), &long).len(), 1);
        assert_eq!(check_source(Path::new("host/src/utils.rs"), "//! Docs.\n").len(), 1);
        assert!(check_source(Path::new("host/src/a.rs"), "//! Docs.\n").is_empty());
    }

    #[test]
    fn only_repository_paths_are_taken_for_paths() {
        assert!(is_path("host/crates/protocol"));
        assert!(!is_path("/api/v1/nodes"));
        assert!(!is_path("host"));
        assert!(!is_path("wasi/http"));
    }
}
