//! What `pack` refuses, and what it warns of.

use venom_bundle::{ManifestError, PackError, ShapeError, SkillToml, pack};

use crate::support::{component, component_with, created, host, skill_toml, trust};

fn asking(capabilities: &str) -> SkillToml {
    SkillToml::parse(&format!(
        "name='EchoSkill'\nversion='1.0.0'\nsummary='x'\n[capabilities]\n{capabilities}"
    ))
    .unwrap()
}

fn importing(names: &[&str]) -> Vec<u8> {
    let imports: String = names
        .iter()
        .map(|name| format!("(import \"{name}\" (instance))"))
        .collect();
    component_with(&imports)
}

#[test]
fn only_components_of_skills_are_packed() {
    let refusal = |component: &[u8]| pack(&skill_toml(), component, created()).unwrap_err();
    assert!(matches!(
        refusal(&wat::parse_str("(module)").unwrap()),
        PackError::Shape(ShapeError::CoreModule)
    ));
    assert!(matches!(refusal(b"\x7fELF"), PackError::Shape(ShapeError::Precompiled)));
    assert!(matches!(refusal(b""), PackError::Shape(ShapeError::NotWasm)));
    assert!(matches!(
        refusal(&wat::parse_str("(component)").unwrap()),
        PackError::Shape(ShapeError::MissingApi)
    ));
    let text = refusal(&importing(&["wasi:cli/run@0.3.0", "wasi:io/poll@0.2.0"])).to_string();
    assert!(
        text.contains("wasi:cli/run@0.3.0") && !text.contains("wasi:io/poll") && text.contains("0.2"),
        "{text}"
    );
    let text = refusal(&importing(&["wasi:keyvalue/store@0.2.0"])).to_string();
    assert!(text.contains("wasi:keyvalue/store@0.2.0"), "{text}");
}

#[test]
fn a_component_that_does_not_validate_is_not_packed() {
    let invalid = component_with(r#"(core module (func (result i32) (i64.const 1)))"#);
    assert!(matches!(
        pack(&skill_toml(), &invalid, created()),
        Err(PackError::Invalid(_))
    ));
}

#[test]
fn a_component_over_the_cap_is_not_packed() {
    let huge = vec![0; 64 * 1024 * 1024 + 1];
    assert!(
        matches!(pack(&skill_toml(), &huge, created()), Err(PackError::TooLarge { size }) if size == 64 * 1024 * 1024 + 1)
    );
}

#[test]
fn what_no_host_would_read_is_not_packed() {
    let mut skill = skill_toml();
    skill.name = "lower".to_owned();
    assert!(matches!(
        pack(&skill, &component(), created()),
        Err(PackError::Manifest(ManifestError::Name(_)))
    ));
    let mut skill = skill_toml();
    skill.budgets.memory = Some(bytesize::ByteSize::b((1 << 53) + 1));
    assert!(matches!(
        pack(&skill, &component(), created()),
        Err(PackError::Manifest(ManifestError::Json(_)))
    ));
    let mut skill = skill_toml();
    skill.capabilities.commands = (0..10_000).map(|number| format!("command{number}")).collect();
    assert!(matches!(
        pack(&skill, &component(), created()),
        Err(PackError::ManifestTooLarge { .. })
    ));
}

/// The largest manifest that is packed still fits its envelope with all signatures an envelope may have.
#[test]
fn the_largest_manifest_still_fits_with_sixteen_signatures() {
    let bundle = |count: usize| {
        let mut skill = skill_toml();
        skill.capabilities.commands = (0..count).map(|number| format!("command{number:06}")).collect();
        pack(&skill, &component(), created())
    };
    let (mut fits, mut fits_not) = (1, 4_000);
    while fits_not - fits > 1 {
        let middle = (fits + fits_not) / 2;
        *(if bundle(middle).is_ok() {
            &mut fits
        } else {
            &mut fits_not
        }) = middle;
    }
    let largest = bundle(fits).unwrap();
    assert!(matches!(bundle(fits_not), Err(PackError::ManifestTooLarge { .. })));
    let mut signed = largest.sign(&crate::support::key(0));
    (1..16).for_each(|seed| signed.add_signature(&crate::support::key(seed)));
    signed.add_signature(&venom_bundle::SigningKey::from_seed(&crate::support::SEED));
    let bundle = venom_bundle::UnverifiedBundle::parse(signed.to_bytes()).unwrap();
    assert_eq!(bundle.claimed().key_ids().len(), 16);
    bundle.verify(&trust(), &host()).unwrap();
}

#[test]
fn rights_used_and_not_asked_for_or_asked_for_and_not_used_are_warned_of() {
    for (interface, capability, asks) in [
        ("venom:skill/command@0.1.0", "commands", "commands=['ls']"),
        ("venom:skill/cache@0.1.0", "cache", "cache=true"),
        ("venom:skill/hive@0.1.0", "hive", "hive=['*']"),
        ("venom:skill/settings@0.1.0", "config or secrets", "secrets=['a']"),
        ("venom:skill/settings@0.1.0", "config or secrets", "config=['a']"),
        ("wasi:http/outgoing-handler@0.2.6", "http", "http=['a.com']"),
        ("wasi:sockets/tcp@0.2.6", "net or dns", "net=[{to='*',ports=['1']}]"),
        ("wasi:sockets/ip-name-lookup@0.2.6", "net or dns", "dns=['*']"),
    ] {
        let warnings = |capabilities: &str, imports: &[&str]| {
            pack(&asking(capabilities), &importing(imports), created())
                .unwrap()
                .warnings()
                .to_vec()
        };
        assert_eq!(warnings(asks, &[interface]), [""; 0], "{interface}");
        let [unasked] = &warnings("", &[interface])[..] else {
            panic!("{interface}")
        };
        assert!(
            unasked.contains(interface.split('@').next().unwrap()) && unasked.contains(capability),
            "{unasked}"
        );
        assert!(
            unasked.starts_with("every host will refuse to load this: "),
            "{unasked}"
        );
        let [unused] = &warnings(asks, &[])[..] else {
            panic!("{interface}")
        };
        assert!(unused.contains("ask for less"), "{unused}");
    }
    let plain = pack(
        &asking(""),
        &importing(&["wasi:filesystem/types@0.2.6", "venom:skill/log@0.1.0"]),
        created(),
    )
    .unwrap();
    assert_eq!(plain.warnings(), [""; 0]);
}

#[test]
fn what_a_toolchain_imports_for_nothing_is_declared_and_signed() {
    let unused = |groups: &str, capabilities: &str| {
        let text = format!(
            "name='EchoSkill'\nversion='1.2.3'\nsummary=''\nunused_imports={groups}\n[capabilities]\n{capabilities}"
        );
        venom_bundle::SkillToml::parse(&text)
    };
    let component = importing(&["wasi:sockets/udp@0.2.6", "venom:skill/cache@0.1.0"]);
    let declared = unused("['wasi:sockets', 'venom:skill/cache']", "").unwrap();
    let packed = pack(&declared, &component, created()).unwrap();
    assert_eq!(packed.warnings(), [""; 0]);
    assert_eq!(packed.manifest().unused_imports, ["wasi:sockets", "venom:skill/cache"]);
    let needless = unused("['wasi:sockets', 'wasi:http']", "cache=true\ndns=['a.com']").unwrap();
    let packed = pack(&needless, &component, created()).unwrap();
    let [http, sockets] = packed.warnings() else {
        panic!("{:?}", packed.warnings())
    };
    assert!(
        sockets.contains("asks for net or dns") && http.contains("does not import"),
        "{http} {sockets}"
    );
    let error = unused("['wasi:filesystem']", "").unwrap_err().to_string();
    assert!(
        error.contains("`wasi:filesystem`") && error.contains("wasi:sockets"),
        "{error}"
    );
}

#[test]
fn the_sbom_digest_is_signed_with_the_rest() {
    let sbom = venom_bundle::Digest::of(b"sbom");
    let bundle = pack(&skill_toml(), &component(), created()).unwrap().with_sbom(sbom);
    let signed = bundle.sign(&venom_bundle::SigningKey::from_seed(&crate::support::SEED));
    assert_eq!(
        crate::support::verify(signed.to_bytes())
            .unwrap()
            .manifest()
            .sbom_sha256,
        Some(sbom)
    );
}

#[test]
fn mistakes_in_skill_toml_are_named() {
    for (text, expected) in [
        ("name='echo'\nversion='1.0.0'\nsummary=''", "`name`"),
        ("name='Echo'\nversion='1'\nsummary=''", "version"),
        ("name='Echo'\nversion='1.0.0'\nsummary=\"a\\nb\"", "`summary`"),
        (
            "name='Echo'\nversion='1.0.0'\nsummary=''\ncolour='red'",
            "unknown field `colour`",
        ),
        (
            "name='Echo'\nversion='1.0.0'\nsummary=''\n[capabilities]\nfs=[{guest='work'}]",
            "capabilities.fs[0].guest",
        ),
        (
            "name='Echo'\nversion='1.0.0'\nsummary=''\n[budgets]\nmemory=0",
            "budgets.memory",
        ),
        (
            "name='Echo'\nversion='1.0.0'\nsummary=''\n[budgets]\nwall='soon'",
            "no duration",
        ),
    ] {
        let error = SkillToml::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let error = SkillToml::load(&directory.path().join("skill.toml"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("skill.toml"), "{error}");
}
