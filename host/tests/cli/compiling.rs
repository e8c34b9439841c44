//! The compiler in a process of its own: components that no sandbox should spend its day on, against the real one.

use std::time::{Duration, Instant};

use venom_bundle::capability::Grants;
use venom_bundle::{SigningKey, SkillToml, Trust, UnverifiedBundle, VerifiedBundle};
use venom_protocol::{Timestamp, with_causes};
use venom_runtime::{Backends, CompilerProcess, LoadError, Runtime, RuntimeSettings};

/// A skill on the outside, with a core module of this text within.
fn bundle(module: &str) -> VerifiedBundle {
    let component = wat::parse_str(format!(
        r#"(component (core module {module}) (component $empty) (instance $api (instantiate $empty))
            (export "venom:skill/api@0.1.0" (instance $api)))"#
    ))
    .unwrap();
    let skill = SkillToml::parse("name='OddSkill'\nversion='1.0.0'\nsummary='x'").unwrap();
    let key = SigningKey::generate().unwrap();
    let signed = venom_bundle::pack(&skill, &component, Timestamp::now())
        .unwrap()
        .sign(&key);
    let host = semver::Version::new(0, 1, 0);
    UnverifiedBundle::parse(signed.to_bytes())
        .unwrap()
        .verify(&Trust::single("tests", &key.public()), &host)
        .unwrap()
}

fn load(module: &str, within: Duration) -> LoadError {
    let runtime = Runtime::new(RuntimeSettings {
        slots: 4,
        compiler: Some(CompilerProcess {
            program: env!("CARGO_BIN_EXE_venom-host").into(),
            arguments: vec!["compile-worker".into()],
        }),
        compile_within: within,
        ..RuntimeSettings::default()
    })
    .unwrap();
    runtime
        .load(&bundle(module), Grants::default(), &Backends::local())
        .unwrap_err()
}

/// Few kilobytes of code that have a compiler remember each of its variables in each of its loops.
fn compile_bomb(size: usize) -> String {
    let locals = "i32 ".repeat(size);
    let uses: String = (0..size)
        .map(|local| format!("(local.set {local} (i32.add (local.get {local}) (local.get 0)))"))
        .collect();
    let open = "(loop ".repeat(size);
    let close = "(br_if 0 (local.get 0)))".repeat(size);
    format!("(func (param i32) (local {locals}) {open} {uses} {close})")
}

#[test]
fn case_17_a_compile_bomb_is_stopped_in_time_and_harms_nobody() {
    let within = Duration::from_secs(2);
    for size in [1_000, 10_000] {
        let begun = Instant::now();
        let error = load(&compile_bomb(size), within);
        let text = with_causes(&error);
        assert!(text.starts_with("OddSkill: compiling failed: "), "{text}");
        // the small one takes for ever; the large one takes more memory than it may have, when there is time for it
        let stopped = ["took over 2s", "memory allocation", "signal"];
        assert!(stopped.iter().any(|words| text.contains(words)), "{text}");
        let taken = begun.elapsed();
        assert!(taken < within + Duration::from_secs(30), "{taken:?}");
    }
}

#[test]
fn what_the_process_compiles_is_code_for_this_engine() {
    let error = load("(func)", Duration::from_secs(60));
    // it compiled and was taken; only then it showed that no skill is behind the outside of one
    assert!(
        matches!(&error, LoadError::Engine { step: "linking", .. }),
        "{}",
        with_causes(&error)
    );
}

#[test]
fn what_does_not_compile_is_told_in_the_compilers_words() {
    // a memory of 64 bits is valid, and no sandbox here takes it
    let error = load("(memory i64 1)", Duration::from_secs(60));
    let text = with_causes(&error);
    assert!(matches!(&error, LoadError::Engine { step: "compiling", .. }), "{text}");
    assert!(text.contains("memory64"), "{text}");
}
