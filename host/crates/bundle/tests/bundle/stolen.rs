//! Whose signature lets what happen: publishers against entries and roots, and what each stolen key is worth. Numbers are
//! those of the list of adversarial cases.

use semver::Version;
use serde_json::json;
use venom_bundle::capability::{Policy, Request};
use venom_bundle::{
    Channel, DocumentError, Entry, MAX_SEQ, NotYet, PAYLOAD_TYPE, RolloutOrder, Root, RootPublisher, StateError,
    TrustState, TrustedRoot, UnverifiedBundle, VerifiedBundle, VerifyError,
};

use crate::support::{archive, component, component_with, envelope, good, host, key, manifest, signature};
use crate::swarm::*;

/// The seed of a second publisher, and of a third key that is nobody's.
const ACME: u8 = 61;
const NOBODY: u8 = 99;

/// A bundle of any name and version, signed by these keys.
fn bundle(name: &str, version: &str, seeds: &[u8]) -> Vec<u8> {
    let mut manifest = manifest();
    (manifest["name"], manifest["version"]) = (json!(name), json!(version));
    manifest["capabilities"] = json!({"http": ["a.example", "b.example"], "cache": true});
    let payload = manifest.to_string();
    let signatures = seeds
        .iter()
        .map(|&seed| signature([seed; 32], "", PAYLOAD_TYPE, payload.as_bytes()));
    archive(
        &envelope(PAYLOAD_TYPE, payload.as_bytes(), signatures.collect()),
        &component(),
    )
}

fn verified(bytes: Vec<u8>, root: &Root, revoked: &[venom_bundle::Digest]) -> Result<VerifiedBundle, VerifyError> {
    UnverifiedBundle::parse(bytes)
        .unwrap()
        .verify(&root.trust(revoked), &host())
}

/// The root of these tests, with a second publisher of two keys, both needed, and little it may ask for.
fn two_publishers() -> Root {
    let mut root = root();
    root.publishers.push(RootPublisher {
        name: "acme".to_owned(),
        prefix: "Acme".to_owned(),
        keys: vec![key(ACME).public(), key(ACME + 1).public()],
        threshold: 2,
        ceiling: Some(toml::from_str("http=['a.example']").unwrap()),
        budgets: toml::from_str("memory='1 MiB'").unwrap(),
    });
    root
}

fn entry_of(bundle: &VerifiedBundle) -> Entry {
    let mut entry = entry();
    entry.skill.clone_from(&bundle.manifest().name);
    entry.bundle.version = bundle.manifest().version.clone();
    entry.bundle.sha256 = bundle.digest();
    entry
}

#[test]
fn case_12_one_thing_does_not_pass_for_another_though_both_are_signed() {
    let of = |name: &str, version: &str| verified(bundle(name, version, &[7]), &root(), &[]).unwrap();
    let (one, two, other) = (of("EchoA", "1.0.0"), of("EchoA", "2.0.0"), of("EchoB", "1.0.0"));
    let entry = entry_of(&two);
    entry.check_bundle(&two).unwrap();
    for wrong in [&one, &other] {
        let error = entry.check_bundle(wrong).unwrap_err();
        assert_eq!(error.what, "SHA-256");
    }
    // whoever signs the release may lie about what a digest is: then nothing is what the release says
    let mut lying = entry_of(&two);
    lying.skill = "EchoB".to_owned();
    assert_eq!(lying.check_bundle(&two).unwrap_err().what, "name");
    let mut lying = entry_of(&two);
    lying.bundle.version = Version::new(3, 0, 0);
    assert_eq!(lying.check_bundle(&two).unwrap_err().what, "version");
    let mut falling_back = entry_of(&two);
    falling_back.fallback = Some(entry_of(&one).bundle);
    falling_back.check_bundle(&one).unwrap();
    falling_back.fallback.as_mut().unwrap().version = Version::new(1, 1, 0);
    let error = falling_back.check_bundle(&one).unwrap_err();
    assert_eq!((error.what, error.expected.as_str()), ("version", "1.1.0"));

    // the manifest of one with the component of another
    let envelope = crate::support::envelope_of(&good().to_bytes());
    let mixed = archive(&envelope, &component_with("(core module)"));
    assert!(matches!(
        verified(mixed, &root(), &[]),
        Err(VerifyError::ComponentSize { .. })
    ));

    // the release of today with the rollout of yesterday
    let mut state = running(5);
    let yesterday = state.current().unwrap().release.clone();
    state.take_release(&signed_release(6)).unwrap();
    let result = state.take_rollout(&signed_rollout(&yesterday, 9));
    assert!(matches!(
        result,
        Err(StateError::Document(DocumentError::Elsewhere { what: "release", .. }))
    ));
    assert_eq!(state.to_install(spore(), day(1)).unwrap_err(), NotYet::NoRollout);
}

#[test]
fn case_15_publishers_of_a_root_keep_to_prefix_threshold_and_ceiling() {
    let root = two_publishers();
    TrustedRoot::pin(&signed_root(&root)).unwrap();
    let both = [ACME, ACME + 1];
    verified(bundle("AcmeScan", "1.0.0", &both), &root, &[]).unwrap();
    for name in ["EchoSkill", "AcmScan", "ScanAcme"] {
        let error = verified(bundle(name, "1.0.0", &both), &root, &[]).unwrap_err();
        assert!(matches!(error, VerifyError::OutsidePrefix { .. }), "{name}: {error}");
    }
    for seeds in [&[ACME][..], &[ACME, ACME], &[ACME, 7], &[ACME, RELEASE]] {
        let error = verified(bundle("AcmeScan", "1.0.0", seeds), &root, &[]).unwrap_err();
        let expected = matches!(
            error,
            VerifyError::TooFewKeys { .. } | VerifyError::OutsidePrefix { .. }
        );
        assert!(expected, "{seeds:?}: {error}");
    }
    let policy =
        "[skills.AcmeScan]\nhttp=[{host='a.example'},{host='b.example'}]\ncache={quota=9}\nbudgets={memory='9 MiB'}";
    let acme = verified(bundle("AcmeScan", "1.0.0", &both), &root, &[]).unwrap();
    let (grants, _) = acme.rights_under(&Policy::parse(policy).unwrap());
    let hosts: Vec<_> = grants.http.iter().map(|it| it.host.as_str()).collect();
    assert_eq!(
        (hosts, grants.cache, grants.budgets.memory.as_u64()),
        (vec!["a.example"], None, 1024 * 1024)
    );
    // an empty ceiling allows nothing, an absent one anything
    let mut closed = root.clone();
    closed.publishers[1].ceiling = Some(Request::default());
    let acme = verified(bundle("AcmeScan", "1.0.0", &both), &closed, &[]).unwrap();
    assert_eq!(acme.rights_under(&Policy::parse(policy).unwrap()).0.http, []);
    closed.publishers[1].ceiling = None;
    let acme = verified(bundle("AcmeScan", "1.0.0", &both), &closed, &[]).unwrap();
    assert_eq!(acme.rights_under(&Policy::parse(policy).unwrap()).0.http.len(), 2);
}

#[test]
fn revocations_of_root_and_release_both_count_and_for_bundles_only() {
    let root = root();
    let bytes = bundle("EchoSkill", "1.0.0", &[7]);
    let digest = verified(bytes.clone(), &root, &[]).unwrap().digest();
    let publisher = key(7).public().id();
    for revoked in [digest, *publisher.digest()] {
        let mut by_root = root.clone();
        by_root.revoked = vec![revoked];
        for result in [
            verified(bytes.clone(), &by_root, &[]),
            verified(bytes.clone(), &root, &[revoked]),
        ] {
            let error = result.unwrap_err();
            let expected = matches!(
                error,
                VerifyError::RevokedBundle { .. } | VerifyError::RevokedKey { .. }
            );
            assert!(expected, "{error}");
        }
        let mut state = state();
        let mut release = release(1);
        release.entries.clear();
        release.revoked = vec![
            revoked,
            *key(ONLINE).public().id().digest(),
            *key(RELEASE).public().id().digest(),
        ];
        state.take_release(&sign(release.unsigned(), &[RELEASE])).unwrap();
        let bundle = UnverifiedBundle::parse(bytes.clone()).unwrap();
        assert!(bundle.verify(&state.trust(), &host()).is_err());
        // keys of roles are the root's to take away
        let release = state.current().unwrap().release.clone();
        state.take_rollout(&signed_rollout(&release, 1)).unwrap();
        state.take_release(&signed_release(2)).unwrap();
        let bundle = UnverifiedBundle::parse(bytes.clone()).unwrap();
        assert!(
            bundle.verify(&state.trust(), &host()).is_ok(),
            "the next release no longer revokes it"
        );
    }
}

/// A thief with a publisher's key makes bundles within its prefix and ceiling. Nobody installs them unless a release
/// names them, and one line in a release or root ends it.
#[test]
fn case_25_a_stolen_publisher_key_installs_nothing() {
    let root = two_publishers();
    let state = TrustState::new(TrustedRoot::pin(&signed_root(&root)).unwrap(), Channel::default());
    let thief = [7];
    let evil = verified(bundle("EchoSkill", "9.9.9", &thief), &root, &[]).unwrap();
    assert!(matches!(
        verified(bundle("AcmeScan", "9.9.9", &thief), &root, &[]),
        Err(VerifyError::OutsidePrefix { .. })
    ));
    // no document by which it would come to a spore
    let mut release = release(6);
    release.entries = vec![entry_of(&evil)];
    let mut state = state;
    for (result, what) in [
        (state.take_release(&sign(release.unsigned(), &thief)), "release"),
        (
            state.take_root(&sign(next_root(&pinned(), |_| ()).unsigned(), &thief)),
            "root",
        ),
    ] {
        assert!(
            matches!(
                result,
                Err(StateError::Document(DocumentError::TooFewKeys { found: 0, .. }))
            ),
            "{what}"
        );
    }
    state.take_release(&signed_release(5)).unwrap();
    let current = state.current().unwrap().release.clone();
    assert!(
        state
            .take_rollout(&sign(rollout(&current.digest(), 1).unsigned(), &thief))
            .is_err()
    );
    assert!(
        pinned()
            .host_artefact(&sign(host_artefact().unsigned(), &thief))
            .is_err()
    );
    // nor does it pass for the bundle that the release names
    let wanted = current.release().wanted(spore(), &[])[0];
    assert!(wanted.check_bundle(&evil).is_err());
    // the end of it: the key, not each bundle
    let revoked = [*key(7).public().id().digest()];
    assert!(matches!(
        verified(bundle("EchoSkill", "9.9.9", &thief), &root, &revoked),
        Err(VerifyError::RevokedKey { .. })
    ));
}

/// A thief with the release key chooses among what publishers signed, and may use up the numbers. It makes no bundle,
/// lets nobody install before the online key agrees, and is out with the next root.
#[test]
fn case_25_a_stolen_release_key_makes_no_bundle_and_ends_with_the_next_root() {
    let mut state = running(5);
    let thief = [RELEASE];
    let mut worst = release(MAX_SEQ);
    worst.entries[0].approved = true;
    worst.entries[0].grants = Some(toml::from_str("http=[{host='*'}]").unwrap());
    state.take_release(&sign(worst.unsigned(), &thief)).unwrap();
    // damage: the release is the newest, and nothing of the rightful owner's is newer
    assert!(matches!(
        state.take_release(&signed_release(7)),
        Err(StateError::Older { .. })
    ));
    // ceiling: nobody installs it
    assert_eq!(state.to_install(spore(), day(1)).unwrap_err(), NotYet::NoRollout);
    let stolen = state.current().unwrap().release.clone();
    assert!(
        state
            .take_rollout(&sign(rollout(&stolen.digest(), 1).unsigned(), &thief))
            .is_err()
    );
    assert!(
        state
            .take_root(&sign(next_root(&pinned(), |_| ()).unsigned(), &thief))
            .is_err()
    );
    // even with the online key as accomplice, only what publishers signed and nobody revoked
    state.take_rollout(&signed_rollout(&stolen, 1)).unwrap();
    assert!(state.to_install(spore(), day(1)).is_ok());
    let own = UnverifiedBundle::parse(bundle("EchoSkill", "9.9.9", &thief)).unwrap();
    assert!(matches!(
        own.verify(&state.trust(), &host()),
        Err(VerifyError::UnknownSigner { .. })
    ));
    let mut root = state.root().root().clone();
    root.revoked = vec![good().digest()];
    let old = UnverifiedBundle::parse(good().to_bytes()).unwrap();
    assert!(matches!(
        old.verify(&root.trust(&[]), &host()),
        Err(VerifyError::RevokedBundle { .. })
    ));

    // recovery: another key, another epoch
    let next = next_root(&pinned(), |root| {
        begin_epoch(root);
        root.roles.release = role(&[RELEASE + 1], 1);
    });
    state.take_root(&signed_root(&next)).unwrap();
    let mut state = restarted(&state);
    assert!(matches!(state.to_install(spore(), day(1)), Err(NotYet::Stale { .. })));
    let mut new = release(1);
    new.epoch = 2;
    for seq in [1, MAX_SEQ] {
        new.seq = seq;
        assert!(state.take_release(&sign(new.unsigned(), &thief)).is_err());
    }
    new.seq = 1;
    state.take_release(&sign(new.unsigned(), &[RELEASE + 1])).unwrap();
    let release = state.current().unwrap().release.clone();
    state.take_rollout(&signed_rollout(&release, 1)).unwrap();
    assert!(state.to_install(spore(), day(1)).is_ok());
}

/// A thief with the online key hurries, holds or takes back the release that is there. It chooses nothing, and with the
/// next root its orders are void, whatever counter they have.
#[test]
fn case_25_a_stolen_online_key_only_moves_the_release_that_is_there() {
    let mut state = running(5);
    let release = state.current().unwrap().release.clone();
    let thief = [ONLINE];
    let order = |state: &mut TrustState, counter: u64, order: RolloutOrder| {
        let mut document = rollout(&release.digest(), counter);
        document.state = order;
        state.take_rollout(&sign(document.unsigned(), &thief)).unwrap();
    };
    order(&mut state, 2, RolloutOrder::Revert);
    order(&mut state, MAX_SEQ, RolloutOrder::Pause);
    assert_eq!(state.to_install(spore(), day(1)).unwrap_err(), NotYet::Paused);
    assert!(matches!(
        state.take_rollout(&signed_rollout(&release, 3)),
        Err(StateError::Older { .. })
    ));
    // ceiling: no release, no root, no host program, no bundle, and no longer than a month
    assert!(
        state
            .take_release(&sign(crate::swarm::release(6).unsigned(), &thief))
            .is_err()
    );
    assert!(
        state
            .take_root(&sign(next_root(&pinned(), |_| ()).unsigned(), &thief))
            .is_err()
    );
    assert!(
        pinned()
            .host_artefact(&sign(host_artefact().unsigned(), &thief))
            .is_err()
    );
    let own = UnverifiedBundle::parse(bundle("EchoSkill", "9.9.9", &thief)).unwrap();
    assert!(own.verify(&state.trust(), &host()).is_err());
    assert_eq!(state.order(day(7)), None);
    // the next release begins its counters anew
    let mut with_release = state.clone();
    with_release.take_release(&signed_release(6)).unwrap();
    let six = with_release.current().unwrap().release.clone();
    with_release.take_rollout(&signed_rollout(&six, 1)).unwrap();
    // and the next root voids the orders without one
    let next = next_root(&pinned(), |root| root.roles.rollout = role(&[ONLINE + 1], 1));
    state.take_root(&signed_root(&next)).unwrap();
    assert_eq!(state.order(day(1)), None);
    let mut state = restarted(&state);
    assert_eq!(state.to_install(spore(), day(1)).unwrap_err(), NotYet::NoRollout);
    for counter in [1, MAX_SEQ] {
        assert!(state.take_rollout(&signed_rollout(&release, counter)).is_err());
    }
    state
        .take_rollout(&sign(rollout(&release.digest(), 1).unsigned(), &[ONLINE + 1]))
        .unwrap();
    assert!(state.to_install(spore(), day(1)).is_ok());
}

/// Root keys below the threshold are worth nothing, with all other keys together too.
#[test]
fn case_25_root_keys_below_the_threshold_change_nothing() {
    let mut state = running(5);
    let before = state.clone();
    let thief = [ROOTS[0], 7, RELEASE, ONLINE, NOBODY];
    for change in [
        (|_: &mut Root| ()) as fn(&mut Root),
        |root| root.roles.root = role(&[ROOTS[0]], 1),
        |root| root.roles.root = role(&[NOBODY], 1),
        |root| root.roles.rollout = role(&[NOBODY], 1),
        |root| root.publishers[0].prefix = "*".to_owned(),
        |root| root.expires = day(9_000),
        begin_epoch,
    ] {
        let next = next_root(&pinned(), change);
        let error = state.take_root(&sign(next.unsigned(), &thief)).unwrap_err();
        let StateError::Document(DocumentError::TooFewKeys {
            found: 1, needed: 2, ..
        }) = error
        else {
            panic!("{error}")
        };
    }
    let release_by_root = state.take_release(&sign(release(6).unsigned(), &ROOTS));
    assert!(release_by_root.is_err(), "root keys sign roots only");
    assert_eq!(state, before);
    // at the threshold they are the swarm: what remains is that versions and epochs go step by step
    let taken_over = next_root(&pinned(), |root| root.roles.root = role(&[NOBODY], 1));
    state
        .take_root(&sign(taken_over.unsigned(), &[ROOTS[0], ROOTS[2], NOBODY]))
        .unwrap();
    assert!(
        state
            .take_root(&sign(next_root(state.root(), |_| ()).unsigned(), &ROOTS))
            .is_err()
    );
}
