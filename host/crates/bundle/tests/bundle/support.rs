//! A good bundle, and the tools to build bad ones: archives and signatures made without the crate under test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use semver::Version;
use serde_json::{Value, json};
use venom_bundle::{
    Digest, PAYLOAD_TYPE, SignedBundle, SigningKey, SkillToml, Trust, UnverifiedBundle, VerifiedBundle, VerifyError,
    pack, pre_authentication_encoding,
};
use venom_protocol::Timestamp;

pub(crate) const SEED: [u8; 32] = [7; 32];

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

/// The smallest component that has the outside of a skill.
pub(crate) fn component() -> Vec<u8> {
    component_with("")
}

/// The same with more imports (or anything else) in front.
pub(crate) fn component_with(imports: &str) -> Vec<u8> {
    let text = format!(
        r#"(component {imports} (component $empty) (instance $api (instantiate $empty)) (export "venom:skill/api@0.1.0" (instance $api)))"#
    );
    wat::parse_str(text).unwrap()
}

pub(crate) fn skill_toml() -> SkillToml {
    SkillToml::parse(
        "name='EchoSkill'\nversion='1.2.3'\nsummary='says it again'\nhost='>=0.1, <2'\n[budgets]\nmemory=100_000_001",
    )
    .unwrap()
}

pub(crate) fn created() -> Timestamp {
    Timestamp::parse("2026-01-02T03:04:05Z").unwrap()
}

pub(crate) fn good() -> SignedBundle {
    pack(&skill_toml(), &component(), created())
        .unwrap()
        .sign(&SigningKey::from_seed(&SEED))
}

pub(crate) fn trust() -> Trust {
    Trust::single("tester", &SigningKey::from_seed(&SEED).public())
}

pub(crate) fn host() -> Version {
    Version::new(0, 1, 0)
}

pub(crate) fn verify(bytes: Vec<u8>) -> Result<VerifiedBundle, VerifyError> {
    UnverifiedBundle::parse(bytes).unwrap().verify(&trust(), &host())
}

/// The manifest of the good bundle as a JSON value, to be changed.
pub(crate) fn manifest() -> Value {
    let component = component();
    json!({
        "format": 1, "name": "EchoSkill", "version": "1.2.3", "summary": "says it again",
        "component": {"sha256": Digest::of(&component).to_string(), "size": component.len()},
        "world": "venom:skill/skill@0.1.0", "host": "*", "created": "2026-01-02T03:04:05Z",
    })
}

/// An archive of any two contents.
pub(crate) fn archive(envelope: &[u8], component: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [("envelope.json", envelope), ("component.wasm", component)] {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// One signature as an envelope holds it, made by the library alone.
pub(crate) fn signature(seed: [u8; 32], key_id: &str, payload_type: &str, payload: &[u8]) -> Value {
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    let signature = key.sign(&pre_authentication_encoding(payload_type, payload)).to_bytes();
    json!({"keyid": key_id, "sig": STANDARD.encode(signature)})
}

pub(crate) fn envelope(payload_type: &str, payload: &[u8], signatures: Vec<Value>) -> Vec<u8> {
    let envelope = json!({"payloadType": payload_type, "payload": STANDARD.encode(payload), "signatures": signatures});
    envelope.to_string().into_bytes()
}

/// A bundle of any payload, rightly signed by the trusted key.
pub(crate) fn signed(payload: &[u8], component: &[u8]) -> Vec<u8> {
    let signature = signature(SEED, "", PAYLOAD_TYPE, payload);
    archive(&envelope(PAYLOAD_TYPE, payload, vec![signature]), component)
}

/// The envelope's bytes in a `.venom` file.
pub(crate) fn envelope_of(bundle: &[u8]) -> Vec<u8> {
    let mut archive = tar::Archive::new(bundle);
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
    content
}
