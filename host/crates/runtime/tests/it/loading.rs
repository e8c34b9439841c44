//! What is loaded and what is not, and that code is compiled once.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use venom_bundle::SkillToml;
use venom_bundle::capability::{FsGrant, Grants, Request};
use venom_runtime::{Backends, LoadError, Runtime, RuntimeError, RuntimeSettings};

use crate::stage::{answer, component, manifest, runtime, verified};

#[test]
fn a_skill_describes_itself() {
    let bundle = verified(&manifest("hostile"), &component("hostile"));
    let skill = runtime().load(&bundle, Grants::default(), &Backends::local()).unwrap();
    assert_eq!(skill.name(), "HostileSkill");
    assert_eq!(skill.digest(), bundle.digest());
    let sleep = skill
        .description()
        .methods
        .iter()
        .find(|method| method.name == "sleep")
        .unwrap();
    assert_eq!(sleep.params_schema["type"], "object");
}

#[test]
fn the_component_must_bear_its_bundles_name() {
    let mut other = manifest("noop");
    other.name = "OtherSkill".to_owned();
    let bundle = verified(&other, &component("noop"));
    let error = runtime()
        .load(&bundle, Grants::default(), &Backends::local())
        .unwrap_err();
    assert!(
        matches!(&error, LoadError::NameMismatch { described, .. } if described == "NoopSkill"),
        "{error}"
    );
}

#[test]
fn grants_that_cannot_be_used_are_named() {
    let bundle = verified(&manifest("hostile"), &component("hostile"));
    let grants = Grants {
        fs: vec![FsGrant {
            host: "/does/not/exist".into(),
            guest: "/work".to_owned(),
            access: venom_bundle::capability::Access::Ro,
            quota: None,
        }],
        ..Grants::default()
    };
    let error = runtime()
        .load(&bundle, grants, &Backends::local())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/does/not/exist") && error.contains("create the directory"),
        "{error}"
    );
}

#[test]
fn case_16_an_import_the_manifest_does_not_account_for_is_refused_and_named() {
    type Forget = fn(&mut Request);
    let component = component("hostile");
    let forgotten: [(Forget, &str, &str, &str); 7] = [
        (
            |asked| asked.commands.clear(),
            "venom:skill/command",
            "commands",
            "venom:skill/command",
        ),
        (
            |asked| asked.cache = false,
            "venom:skill/cache",
            "cache",
            "venom:skill/cache",
        ),
        (
            |asked| asked.hive.clear(),
            "venom:skill/hive",
            "hive",
            "venom:skill/hive",
        ),
        (
            |asked| {
                asked.config.clear();
                asked.secrets.clear();
            },
            "venom:skill/settings",
            "config or secrets",
            "venom:skill/settings",
        ),
        (|asked| asked.lan.clear(), "venom:skill/lan", "lan", "venom:skill/lan"),
        (
            |asked| asked.http.clear(),
            "wasi:http/outgoing-handler",
            "http",
            "wasi:http",
        ),
        (
            |asked| {
                asked.net.clear();
                asked.dns.clear();
            },
            "wasi:sockets/tcp",
            "net or dns",
            "wasi:sockets",
        ),
    ];
    let runtime = runtime();
    let load = |manifest: &SkillToml| {
        let bundle = verified(manifest, &component);
        runtime.load(&bundle, Grants::default(), &Backends::local())
    };
    for (forget, interface, capability, group) in forgotten {
        let mut asking = manifest("hostile");
        forget(&mut asking.capabilities);
        let error = load(&asking).unwrap_err();
        let LoadError::UndeclaredImports { imports, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(imports.len(), 1, "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with("HostileSkill: ")
                && text.contains(interface)
                && text.contains(&format!("no {capability}:")),
            "{text}"
        );
        asking.unused_imports.push(group.to_owned());
        load(&asking).unwrap();
    }
}

fn settings(cache: &Path) -> RuntimeSettings {
    RuntimeSettings {
        slots: 4,
        compiled_cache: Some(cache.to_owned()),
        ..RuntimeSettings::default()
    }
}

#[test]
fn case_17_compiled_code_is_never_taken_from_a_bundle() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("compiled");
    let bundle = verified(&manifest("noop"), &component("noop"));
    let runtime = Runtime::new(settings(&cache)).unwrap();
    runtime.load(&bundle, Grants::default(), &Backends::local()).unwrap();
    // exactly what this very engine would run, behind the checksum it keeps
    let code = std::fs::read(only_file(&cache)).unwrap().split_off(32);
    let error = venom_bundle::inspect_component(&code).unwrap_err();
    assert!(matches!(error, venom_bundle::ShapeError::Precompiled), "{error}");
    let error = venom_bundle::pack(&manifest("noop"), &code, venom_protocol::Timestamp::now()).unwrap_err();
    assert!(error.to_string().contains("precompiled"), "{error}");
}

fn only_file(directory: &Path) -> std::path::PathBuf {
    let files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

#[tokio::test]
async fn altered_compiled_code_is_compiled_anew_and_never_run() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("compiled");
    let bundle = verified(&manifest("noop"), &component("noop"));
    let load = || {
        Runtime::new(settings(&cache))
            .unwrap()
            .load(&bundle, Grants::default(), &Backends::local())
            .unwrap()
    };
    load();
    let file = only_file(&cache);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let good = std::fs::read(&file).unwrap();
    for position in [0, 40, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[position] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        let skill = load();
        assert_eq!(std::fs::read(&file).unwrap(), good, "it must have been written anew");
        answer(&skill, "noop", json!({})).await;
    }
    std::fs::write(&file, &good[..good.len() / 2]).unwrap();
    load();
    assert_eq!(std::fs::read(&file).unwrap(), good);
}

#[test]
fn a_compiled_code_directory_that_others_can_enter_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("compiled");
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = Runtime::new(settings(&cache)).unwrap_err();
    assert!(matches!(error, RuntimeError::CompiledCache { .. }), "{error}");
    assert!(error.to_string().contains("chmod 700"), "{error}");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(directory.path(), &link).unwrap();
    assert!(
        Runtime::new(settings(&link)).is_err(),
        "a link could be turned elsewhere"
    );
}
