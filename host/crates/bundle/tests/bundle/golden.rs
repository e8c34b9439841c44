//! The stored formats as files: when one of these tests fails, bundles already signed may no longer be read. Raise
//! the manifest's format, or, while no release has been made with them, write the files anew with `examples/golden.rs`.

use venom_bundle::{SigningKey, UnverifiedBundle, pack};

use crate::support::{SEED, created, envelope_of, host, skill_toml, trust};

const COMPONENT: &[u8] = include_bytes!("../golden/component.wasm");
const MANIFEST: &str = include_str!("../golden/manifest.json");
const ENVELOPE: &str = include_str!("../golden/envelope.json");
const BUNDLE: &[u8] = include_bytes!("../golden/echo.venom");

#[test]
fn what_is_packed_today_is_what_was_packed_then() {
    let skill = venom_bundle::SkillToml::parse(include_str!("../golden/skill.toml")).unwrap();
    let unsigned = pack(&skill, COMPONENT, created()).unwrap();
    assert_eq!(serde_json::to_string(unsigned.manifest()).unwrap(), MANIFEST.trim_end());
    let bytes = unsigned.sign(&SigningKey::from_seed(&SEED)).to_bytes();
    assert_eq!(String::from_utf8(envelope_of(&bytes)).unwrap(), ENVELOPE.trim_end());
    assert_eq!(bytes, BUNDLE);
}

#[test]
fn what_was_packed_then_is_read_today() {
    let verified = UnverifiedBundle::parse(BUNDLE.to_vec())
        .unwrap()
        .verify(&trust(), &host())
        .unwrap();
    assert_eq!(verified.component(), COMPONENT);
    assert_eq!(
        verified.digest(),
        venom_bundle::Digest::of(MANIFEST.trim_end().as_bytes())
    );
    assert_eq!(serde_json::to_string(verified.manifest()).unwrap(), MANIFEST.trim_end());
}

#[test]
fn equal_inputs_are_equal_bytes() {
    let bundle = || {
        pack(&skill_toml(), COMPONENT, created())
            .unwrap()
            .sign(&SigningKey::from_seed(&SEED))
            .to_bytes()
    };
    assert_eq!(bundle(), bundle());
}
