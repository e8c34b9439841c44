//! Each check of `verify`, with a bundle that fails that check and no other, and the order between them.

use semver::Version;
use serde_json::{Value, json};
use venom_bundle::{
    Digest, EnvelopeError, JsonError, ManifestError, PAYLOAD_TYPE, ShapeError, SigningKey, Trust, UnverifiedBundle,
    VerifyError, pack,
};

use crate::support::{
    SEED, archive, component, component_with, created, envelope, good, host, key, manifest, signature, signed,
    skill_toml, trust, verify,
};

/// Whether an error is the expected one.
type Is<E> = fn(&E) -> bool;

fn with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut manifest = manifest();
    change(&mut manifest);
    signed(manifest.to_string().as_bytes(), &component())
}

/// A trust file of one publisher with these keys.
fn trusting(keys: &[&SigningKey], prefix: &str, threshold: usize, revoked: &[String]) -> Trust {
    let keys: Vec<_> = keys.iter().map(|key| key.public().to_base64()).collect();
    let text = format!(
        "revoked = {revoked:?}\n[[publishers]]\nname = 'acme'\nprefix = '{prefix}'\nkeys = {keys:?}\nthreshold = {threshold}"
    );
    Trust::parse(&text).unwrap()
}

fn verify_with(bytes: Vec<u8>, trust: &Trust) -> Result<venom_bundle::VerifiedBundle, VerifyError> {
    UnverifiedBundle::parse(bytes).unwrap().verify(trust, &host())
}

#[test]
fn a_good_bundle_says_all_of_itself() {
    let bundle = good();
    let verified = verify(bundle.to_bytes()).unwrap();
    assert_eq!(verified.manifest().name, "EchoSkill");
    assert_eq!(verified.manifest().version, Version::new(1, 2, 3));
    assert_eq!(verified.manifest().created, created());
    assert_eq!(verified.manifest().budgets.memory.unwrap().as_u64(), 100_000_001);
    assert_eq!(verified.component(), component());
    assert_eq!(verified.digest(), bundle.digest());
    assert_eq!(verified.publisher(), "tester");
    assert_eq!(verified.signers(), [SigningKey::from_seed(&SEED).public().id()]);
    assert_eq!(verified.ceiling(), &venom_bundle::capability::Request::anything());
}

#[test]
fn the_hand_made_bundle_of_these_tests_is_good_too() {
    verify(with(|_| ())).unwrap();
}

#[test]
fn unsigned_bundles_and_unknown_signers_are_refused() {
    let unsigned = pack(&skill_toml(), &component(), created())
        .unwrap()
        .without_signature()
        .to_bytes();
    assert!(matches!(verify(unsigned), Err(VerifyError::Unsigned)));
    let error = verify_with(good().to_bytes(), &Trust::single("other", &key(9).public())).unwrap_err();
    assert!(matches!(error, VerifyError::UnknownSigner { .. }));
    let named = SigningKey::from_seed(&SEED).public().id().short();
    assert!(error.to_string().contains(&named), "{error}");
    let nobody = Trust::parse("").unwrap();
    assert!(matches!(
        verify_with(good().to_bytes(), &nobody),
        Err(VerifyError::UnknownSigner { .. })
    ));
}

#[test]
fn one_key_counts_once_however_often_and_under_whatever_id_it_signs() {
    let (first, second) = (key(1), key(2));
    let trust = trusting(&[&first, &second], "*", 2, &[]);
    let payload = manifest().to_string();
    let mine = |id: &str| signature([1; 32], id, PAYLOAD_TYPE, payload.as_bytes());
    let (id, other) = (first.public().id().to_string(), second.public().id().to_string());
    let doubled = envelope(
        PAYLOAD_TYPE,
        payload.as_bytes(),
        vec![mine(""), mine(&id), mine(&other), mine("x")],
    );
    let error = verify_with(archive(&doubled, &component()), &trust).unwrap_err();
    assert!(
        matches!(
            error,
            VerifyError::TooFewKeys {
                found: 1,
                needed: 2,
                ..
            }
        ),
        "{error}"
    );
    let both = vec![mine(""), signature([2; 32], "", PAYLOAD_TYPE, payload.as_bytes())];
    let both = envelope(PAYLOAD_TYPE, payload.as_bytes(), both);
    assert_eq!(
        verify_with(archive(&both, &component()), &trust)
            .unwrap()
            .signers()
            .len(),
        2
    );
}

#[test]
fn signing_again_adds_a_signer_and_signing_twice_does_not() {
    let trust = trusting(&[&key(1), &key(2)], "*", 2, &[]);
    let mut bundle = pack(&skill_toml(), &component(), created()).unwrap().sign(&key(1));
    bundle.add_signature(&key(1));
    assert!(matches!(
        verify_with(bundle.to_bytes(), &trust),
        Err(VerifyError::TooFewKeys { found: 1, .. })
    ));
    let reopened = UnverifiedBundle::parse(bundle.to_bytes()).unwrap();
    assert_eq!(reopened.claimed().key_ids(), [key(1).public().id().to_string()]);
    let mut bundle = venom_bundle::SignedBundle::reopen(reopened);
    bundle.add_signature(&key(2));
    verify_with(bundle.to_bytes(), &trust).unwrap();
}

#[test]
fn a_revoked_key_signs_nothing() {
    let (first, second) = (key(1), key(2));
    let revoked = [first.public().id().to_string()];
    let mut bundle = pack(&skill_toml(), &component(), created()).unwrap().sign(&first);
    let one = trusting(&[&first, &second], "*", 1, &revoked);
    let error = verify_with(bundle.to_bytes(), &one).unwrap_err();
    assert!(matches!(error, VerifyError::RevokedKey { key, .. } if key == first.public().id()));
    bundle.add_signature(&second);
    assert_eq!(
        verify_with(bundle.to_bytes(), &one).unwrap().signers(),
        [second.public().id()]
    );
    let two = trusting(&[&first, &second], "*", 2, &revoked);
    assert!(matches!(
        verify_with(bundle.to_bytes(), &two),
        Err(VerifyError::RevokedKey { .. })
    ));
}

#[test]
fn a_document_of_another_kind_is_not_a_bundle_though_the_key_is_the_same() {
    let release = "application/vnd.venom.release+json";
    for payload in [manifest().to_string(), "not even JSON".to_owned()] {
        let signature = signature(SEED, "", release, payload.as_bytes());
        let honest = envelope(release, payload.as_bytes(), vec![signature.clone()]);
        let error = verify(archive(&honest, &component())).unwrap_err();
        assert!(
            matches!(&error, VerifyError::WrongType { found } if found == release),
            "{error}"
        );
        let relabelled = envelope(PAYLOAD_TYPE, payload.as_bytes(), vec![signature]);
        assert!(matches!(
            verify(archive(&relabelled, &component())),
            Err(VerifyError::UnknownSigner { .. })
        ));
    }
}

#[test]
fn seventeen_signatures_are_refused_and_sixteen_are_not() {
    let payload = manifest().to_string();
    let many = |count| {
        let signatures = vec![signature(SEED, "", PAYLOAD_TYPE, payload.as_bytes()); count];
        archive(&envelope(PAYLOAD_TYPE, payload.as_bytes(), signatures), &component())
    };
    verify(many(16)).unwrap();
    let error = UnverifiedBundle::parse(many(17)).unwrap_err();
    assert!(matches!(
        error,
        venom_bundle::BundleError::Envelope(EnvelopeError::TooManySignatures { count: 17 })
    ));
}

#[test]
fn the_component_must_be_the_signed_one_to_the_byte() {
    let (payload, component) = (manifest().to_string(), component());
    let longer = [component.as_slice(), &[0]].concat();
    for other in [&component[..component.len() - 1], &longer, &[]] {
        let error = verify(signed(payload.as_bytes(), other)).unwrap_err();
        assert!(matches!(error, VerifyError::ComponentSize { .. }), "{error}");
    }
    let mut other = component.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(matches!(
        verify(signed(payload.as_bytes(), &other)),
        Err(VerifyError::ComponentDigest { .. })
    ));
}

#[test]
fn publishers_keep_to_their_prefix_and_the_longest_decides() {
    let acme = trusting(&[&SigningKey::from_seed(&SEED)], "Acme", 1, &[]);
    let error = verify_with(good().to_bytes(), &acme).unwrap_err();
    assert!(
        error.to_string().contains("`acme`") && error.to_string().contains("Acme"),
        "{error}"
    );
    assert!(matches!(error, VerifyError::OutsidePrefix { .. }));

    let publisher = |name: &str, prefix: &str, seed: u8, http: &str| {
        let key = key(seed).public().to_base64();
        format!("[[publishers]]\nname='{name}'\nprefix='{prefix}'\nkeys=['{key}']\nceiling={{http=['{http}']}}\n")
    };
    let text = publisher("any", "*", 1, "any.example") + &publisher("echo", "Echo", 2, "echo.example");
    let mut bundle = pack(&skill_toml(), &component(), created()).unwrap().sign(&key(1));
    let trust = Trust::parse(&text).unwrap();
    assert_eq!(
        verify_with(bundle.to_bytes(), &trust).unwrap().ceiling().http,
        ["any.example"]
    );
    bundle.add_signature(&key(2));
    let verified = verify_with(bundle.to_bytes(), &trust).unwrap();
    assert_eq!(
        (verified.publisher(), verified.ceiling().http.as_slice()),
        ("echo", &["echo.example".to_owned()][..])
    );
}

#[test]
fn the_ceiling_budgets_are_the_publishers() {
    let key = SigningKey::from_seed(&SEED).public().to_base64();
    let text = format!("[[publishers]]\nname='a'\nprefix='*'\nkeys=['{key}']\nbudgets={{connections=3}}");
    let verified = verify_with(good().to_bytes(), &Trust::parse(&text).unwrap()).unwrap();
    assert_eq!(verified.ceiling_budgets().connections, Some(3));
}

#[test]
fn a_revoked_bundle_is_refused_by_its_digest() {
    let bundle = good();
    let signer = SigningKey::from_seed(&SEED);
    let trust = trusting(&[&signer], "*", 1, &[bundle.digest().to_string()]);
    let error = verify_with(bundle.to_bytes(), &trust).unwrap_err();
    assert!(matches!(error, VerifyError::RevokedBundle { digest } if digest == bundle.digest()));
    let other = trusting(&[&signer], "*", 1, &[Digest::of(b"another").to_string()]);
    verify_with(bundle.to_bytes(), &other).unwrap();
}

#[test]
fn the_host_must_be_in_range_and_a_prerelease_counts_as_its_version() {
    let on = |version: &str| {
        UnverifiedBundle::parse(good().to_bytes())
            .unwrap()
            .verify(&trust(), &version.parse().unwrap())
    };
    for good in ["0.1.0", "1.9.9", "0.1.0-dev+abc"] {
        on(good).unwrap();
    }
    for bad in ["0.0.9", "2.0.0", "2.0.0-rc.1"] {
        assert!(matches!(on(bad), Err(VerifyError::HostVersion { .. })), "{bad}");
    }
}

#[test]
fn manifests_that_are_none_are_refused_though_they_are_signed() {
    let payload = manifest().to_string();
    let body = payload.strip_suffix('}').unwrap();
    let nested = format!("{body},\"x\":{}{}}}", "[".repeat(16), "]".repeat(16));
    for (name, payload) in [
        ("duplicate key", format!("{body},\"name\":\"ShellSkill\"}}")),
        (
            "duplicate key below",
            payload.replace("\"size\":", "\"size\":1,\"size\":"),
        ),
        ("deep nesting", nested),
        ("large number", format!("{body},\"x\":9007199254740993}}")),
        ("trailing bytes", format!("{payload} {{}}")),
        ("empty", String::new()),
    ] {
        let error = verify(signed(payload.as_bytes(), &component())).unwrap_err();
        assert!(
            matches!(error, VerifyError::Manifest(ManifestError::Json(_))),
            "{name}: {error}"
        );
    }
    let invalid = [body.as_bytes(), b",\"x\":\"\xff\"}"].concat();
    let error = verify(signed(&invalid, &component())).unwrap_err();
    assert!(matches!(
        error,
        VerifyError::Manifest(ManifestError::Json(JsonError::Utf8 { .. }))
    ));
}

#[test]
fn manifests_with_wrong_fields_are_refused() {
    let fields = |error: &ManifestError| matches!(error, ManifestError::Fields(_));
    let cases: [(&str, Vec<u8>, Is<ManifestError>); 9] = [
        ("unknown field", with(|it| it["nonsense"] = json!(1)), fields),
        (
            "missing field",
            with(|it| drop(it.as_object_mut().unwrap().remove("world"))),
            fields,
        ),
        (
            "unknown capability",
            with(|it| it["capabilities"] = json!({"root": true})),
            fields,
        ),
        (
            "bad digest",
            with(|it| it["component"]["sha256"] = json!("abc")),
            fields,
        ),
        (
            "newer format",
            with(|it| (it["format"], it["new"]) = (json!(2), json!(1))),
            |it| matches!(it, ManifestError::Format { found: 2 }),
        ),
        ("bad name", with(|it| it["name"] = json!("../Echo")), |it| {
            matches!(it, ManifestError::Name(_))
        }),
        (
            "wrong world",
            with(|it| it["world"] = json!("venom:skill/skill@9.0.0")),
            |it| matches!(it, ManifestError::World { .. }),
        ),
        (
            "long summary",
            with(|it| it["summary"] = json!("x".repeat(281))),
            |it| matches!(it, ManifestError::Summary),
        ),
        (
            "bad pattern",
            with(|it| it["capabilities"] = json!({"dns": ["a.*"]})),
            |it| matches!(it, ManifestError::Request(_)),
        ),
    ];
    for (name, bytes, expected) in cases {
        let Err(VerifyError::Manifest(error)) = verify(bytes) else {
            panic!("{name}")
        };
        assert!(expected(&error), "{name}: {error}");
    }
    let huge = with(|it| it["component"]["size"] = json!(64 * 1024 * 1024 + 1));
    assert!(matches!(
        verify(huge),
        Err(VerifyError::Manifest(ManifestError::ComponentSize { .. }))
    ));
}

#[test]
fn signed_components_that_are_no_skills_are_refused() {
    let bundle = |component: &[u8]| {
        let mut manifest = manifest();
        manifest["component"] = json!({"sha256": Digest::of(component).to_string(), "size": component.len()});
        verify(signed(manifest.to_string().as_bytes(), component))
    };
    bundle(&component()).unwrap();
    let import = |name: &str| component_with(&format!("(import \"{name}\" (instance))"));
    let cases: [(Vec<u8>, Is<ShapeError>); 6] = [
        (wat::parse_str("(module)").unwrap(), |it| {
            matches!(it, ShapeError::CoreModule)
        }),
        (b"\x7fELF\x02\x01\x01\0".to_vec(), |it| {
            matches!(it, ShapeError::Precompiled)
        }),
        (b"#!/bin/sh".to_vec(), |it| matches!(it, ShapeError::NotWasm)),
        (wat::parse_str("(component)").unwrap(), |it| {
            matches!(it, ShapeError::MissingApi)
        }),
        (import("wasi:cli/run@0.3.0"), |it| {
            matches!(it, ShapeError::Wasi03 { .. })
        }),
        (import("wasi:keyvalue/store@0.2.0"), |it| {
            matches!(it, ShapeError::UndeclaredImports { .. })
        }),
    ];
    for (component, expected) in cases {
        let Err(VerifyError::Shape(error)) = bundle(&component) else {
            panic!()
        };
        assert!(expected(&error), "{error}");
    }
}

/// One flaw after another is mended; what is reported is always the earliest that is left.
#[test]
fn checks_run_in_one_order() {
    let signer = SigningKey::from_seed(&SEED);
    let mut manifest = manifest();
    manifest["host"] = json!(">=9");
    manifest["name"] = json!("OtherSkill");
    manifest["component"]["size"] = json!(1);
    let broken = |manifest: &Value| signed(manifest.to_string().as_bytes(), &wat::parse_str("(component)").unwrap());
    let outside = trusting(&[&signer], "Echo", 1, &[]);
    assert!(matches!(
        verify_with(broken(&manifest), &outside),
        Err(VerifyError::OutsidePrefix { .. })
    ));
    let digest = Digest::of(manifest.to_string().as_bytes()).to_string();
    let revoking = trusting(&[&signer], "Other", 1, &[digest]);
    assert!(matches!(
        verify_with(broken(&manifest), &revoking),
        Err(VerifyError::RevokedBundle { .. })
    ));
    assert!(matches!(
        verify(broken(&manifest)),
        Err(VerifyError::HostVersion { .. })
    ));
    manifest["host"] = json!("*");
    assert!(matches!(
        verify(broken(&manifest)),
        Err(VerifyError::ComponentSize { .. })
    ));
    manifest["component"]["size"] = json!(wat::parse_str("(component)").unwrap().len());
    assert!(matches!(
        verify(broken(&manifest)),
        Err(VerifyError::ComponentDigest { .. })
    ));
    manifest["component"]["sha256"] = json!(Digest::of(&wat::parse_str("(component)").unwrap()).to_string());
    assert!(matches!(
        verify(broken(&manifest)),
        Err(VerifyError::Shape(ShapeError::MissingApi))
    ));
}

#[test]
fn claims_are_shown_without_trust_and_stay_claims() {
    let bytes = with(|it| it["name"] = json!("LiarSkill"));
    let bundle = UnverifiedBundle::parse(bytes).unwrap();
    let claimed = bundle.claimed();
    assert_eq!(claimed.manifest().unwrap().name, "LiarSkill");
    assert_eq!(claimed.component_digest(), &Digest::of(&component()));
    assert_eq!(claimed.component_size(), component().len() as u64);
    let garbage = UnverifiedBundle::parse(signed(b"garbage", b"")).unwrap();
    assert!(garbage.claimed().manifest().is_err());
}
