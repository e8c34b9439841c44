//! Tells the tests where PostgreSQL's programs are. Without them the tests that need them show as ignored, and in CI they fail.

use std::path::{Path, PathBuf};

/// Where Debian keeps them, one directory for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CI");
    println!("cargo:rerun-if-env-changed=PATH");
    let watched = if Path::new(VERSIONS).is_dir() {
        VERSIONS
    } else {
        "/usr/lib"
    };
    println!("cargo:rerun-if-changed={watched}");
    println!("cargo:rustc-check-cfg=cfg(no_postgres)");
    if let Some(programs) = postgres() {
        println!("cargo:rustc-env=VENOM_TEST_POSTGRES={}", programs.display());
    } else if std::env::var("CI").is_err() {
        println!("cargo:rustc-cfg=no_postgres");
    }
}

/// The directory of the newest version; else the one in PATH.
fn postgres() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(VERSIONS)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    let newest = versions.into_iter().rev().map(|(_, programs)| programs);
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest
        .chain(std::env::split_paths(&path))
        .find(|programs| programs.join("initdb").is_file() && programs.join("postgres").is_file())
}
