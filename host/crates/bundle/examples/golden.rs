//! Writes the golden files of `tests/golden` anew: `cargo run -p venom-bundle --example golden`, from the crate's
//! folder. Run it only when the stored format is meant to change, and read the diff.

use std::error::Error;
use std::fs;
use std::path::Path;

use venom_bundle::{SigningKey, SkillToml, UnverifiedBundle, pack};
use venom_protocol::Timestamp;

/// The seed of the tests' publisher.
const SEED: [u8; 32] = [7; 32];

/// The smallest component with the outside of a skill.
const COMPONENT: &str = r#"(component
    (component $empty)
    (instance $api (instantiate $empty))
    (export "venom:skill/api@0.1.0" (instance $api)))"#;

fn main() -> Result<(), Box<dyn Error>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let skill = SkillToml::load(&golden.join("skill.toml"))?;
    let component = wat::parse_str(COMPONENT)?;
    let created = Timestamp::parse("2026-01-02T03:04:05Z").ok_or("no timestamp")?;
    let unsigned = pack(&skill, &component, created)?;
    fs::write(
        golden.join("manifest.json"),
        serde_json::to_string(unsigned.manifest())? + "\n",
    )?;
    let bundle = unsigned.sign(&SigningKey::from_seed(&SEED)).to_bytes();
    UnverifiedBundle::parse(bundle.clone())?;
    let envelope = bundle
        .get(512..)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    fs::write(golden.join("envelope.json"), [envelope, b"\n"].concat())?;
    fs::write(golden.join("component.wasm"), &component)?;
    fs::write(golden.join("echo.venom"), bundle)?;
    Ok(())
}
