//! Builds the guests, signs them as a publisher would, and loads them with the grants a test asks for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use venom_bundle::capability::{Budgets, Grants};
use venom_bundle::{SigningKey, SkillToml, Trust, UnverifiedBundle, VerifiedBundle};
use venom_protocol::{CallError, RequestId, Timestamp};
use venom_runtime::{Backends, Call, Outcome, Runtime, RuntimeSettings, Skill};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(3)
        .unwrap()
        .to_owned()
}

fn newest(path: &Path) -> SystemTime {
    let found = path.metadata().unwrap();
    if !found.is_dir() {
        return found.modified().unwrap();
    }
    let entries = std::fs::read_dir(path).unwrap();
    entries
        .map(|entry| newest(&entry.unwrap().path()))
        .max()
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The component of a guest below `tests/guests`, built when its sources are newer.
pub(crate) fn component(guest: &str) -> Vec<u8> {
    static BUILT: OnceLock<()> = OnceLock::new();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let path = |guest: &str| target.join(format!("wasm32-wasip2/skill/{guest}_guest.wasm"));
    BUILT.get_or_init(|| {
        let sources = ["tests/guests", "sdk", "wit"].map(|part| newest(&root().join(part)));
        let source = sources.into_iter().max().unwrap();
        let built = ["noop", "hostile"].map(|guest| path(guest).metadata().and_then(|found| found.modified()).ok());
        if built.iter().all(|built| built.is_some_and(|built| built > source)) {
            return;
        }
        let status = Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["build", "--quiet", "--target", "wasm32-wasip2", "--profile", "skill"])
            .args(["--package", "noop-guest", "--package", "hostile-guest"])
            .status()
            .unwrap();
        assert!(status.success(), "the guests do not build");
        // Cargo leaves a component alone that came out the same; its age says when it was last looked at.
        for guest in ["noop", "hostile"] {
            let file = std::fs::File::options().append(true).open(path(guest)).unwrap();
            file.set_modified(SystemTime::now()).unwrap();
        }
    });
    std::fs::read(path(guest)).unwrap()
}

pub(crate) fn manifest(guest: &str) -> SkillToml {
    let path = root().join("tests/guests").join(guest).join("skill.toml");
    SkillToml::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn verified(manifest: &SkillToml, component: &[u8]) -> VerifiedBundle {
    let key = SigningKey::generate().unwrap();
    let signed = venom_bundle::pack(manifest, component, Timestamp::now())
        .unwrap()
        .sign(&key);
    let trust = Trust::single("tests", &key.public());
    let host = semver::Version::parse(env!("CARGO_PKG_VERSION")).unwrap();
    UnverifiedBundle::parse(signed.to_bytes())
        .unwrap()
        .verify(&trust, &host)
        .unwrap()
}

/// A runtime whose compiled code is kept between tests.
pub(crate) fn runtime() -> Runtime {
    Runtime::new(RuntimeSettings {
        slots: 16,
        compiled_cache: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")),
        ..RuntimeSettings::default()
    })
    .unwrap()
}

pub(crate) fn hostile(grants: Grants) -> Skill {
    let bundle = verified(&manifest("hostile"), &component("hostile"));
    runtime().load(&bundle, grants, &Backends::local()).unwrap()
}

/// `HostileSkill` with other budgets than usual and nothing else.
pub(crate) fn with_budgets(change: impl FnOnce(&mut Budgets)) -> Skill {
    let mut grants = Grants::default();
    change(&mut grants.budgets);
    hostile(grants)
}

pub(crate) fn call(method: &str, params: Value) -> Call {
    Call {
        request_id: RequestId::random(),
        task_id: "task-1".to_owned(),
        traceparent: None,
        attempt: 1,
        method: method.to_owned(),
        params: RawValue::from_string(params.to_string()).unwrap(),
        timeout: Duration::from_secs(30),
        cancel: CancellationToken::new(),
        progress: None,
        depth: 0,
    }
}

pub(crate) async fn run(skill: &Skill, method: &str, params: Value) -> Outcome {
    skill.invoke(call(method, params)).await
}

/// The answer of a call that must succeed.
pub(crate) async fn answer(skill: &Skill, method: &str, params: Value) -> Value {
    let outcome = run(skill, method, params).await;
    serde_json::from_str(outcome.result.unwrap().get()).unwrap()
}

/// The error of a call that must fail.
pub(crate) async fn error(skill: &Skill, method: &str, params: Value) -> CallError {
    match run(skill, method, params).await.result {
        Err(error) => error,
        Ok(answer) => panic!("{method} must fail, and answered {answer}"),
    }
}
