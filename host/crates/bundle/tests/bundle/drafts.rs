//! The next document from the one before, and the host program.

use serde_json::json;
use venom_bundle::{ArtefactMismatch, Channel, Digest, DocumentError, Release, Root, Selector, SwarmId, TrustedRoot};

use crate::support::key;
use crate::swarm::*;

fn tagged(tag: &str) -> Selector {
    Selector {
        tags: vec![tag.to_owned()],
        ..Selector::default()
    }
}

#[test]
fn a_founding_root_signs_itself_with_one_key() {
    let founding = Root::founding(
        SwarmId::generate().unwrap(),
        ("ops", key(1).public()),
        key(2).public(),
        day(0),
        day(3_652),
    );
    let root = TrustedRoot::pin(&sign(founding.to_sign().unwrap(), &[1])).unwrap();
    assert!(TrustedRoot::pin(&sign(founding.to_sign().unwrap(), &[2])).is_err());
    assert_eq!((root.root().version, root.root().epoch), (1, 1));
    assert_eq!(root.root().roles.rollout.keys, [key(2).public()]);
    assert_eq!(root.root().trust(&[]).publishers()[0].prefix, "*");
    let release = Release::first(root.root(), Channel::default(), day(0), day(9));
    let release = root
        .release(&sign(release.to_sign().unwrap(), &[1]), &Channel::default())
        .unwrap();
    let rollout = release.draft_rollout(1, venom_bundle::RolloutOrder::Run, day(0), day(1));
    root.rollout(&sign(rollout.to_sign().unwrap(), &[2]), &release).unwrap();
    root.rotate(&sign(root.successor(day(1), day(9)).to_sign().unwrap(), &[1]))
        .unwrap();
}

#[test]
fn the_next_release_is_the_one_before_with_changes() {
    let root = pinned();
    let trusted = |release: &Release| {
        root.release(&sign(release.to_sign().unwrap(), &[RELEASE]), &Channel::default())
            .unwrap()
    };
    let mut first = release(5);
    first.revoke(Digest::of(b"bad"));
    first.revoke(Digest::of(b"bad"));
    let before = trusted(&first);
    let mut next = before.successor(root.root(), day(10), day(20)).unwrap();
    assert_eq!((next.epoch, next.seq, next.prev_sha256), (1, 6, Some(before.digest())));
    assert_eq!((next.created, next.expires), (day(10), day(20)));
    assert_eq!(
        (&next.entries, next.revoked.as_slice()),
        (&first.entries, &[Digest::of(b"bad")][..])
    );

    // in its place
    let mut other = entry();
    other.approved = true;
    next.put(other.clone());
    assert_eq!(next.entries, [other.clone()]);
    // for some: before that for everybody
    let mut canary = entry();
    canary.selector = tagged("canary");
    next.put(canary.clone());
    assert_eq!(next.entries, [canary.clone(), other.clone()]);
    let both = [canary.clone(), other.clone()];
    canary.approved = true;
    next.put(canary.clone());
    assert_ne!(next.entries, both);
    assert_eq!(next.entries, [canary.clone(), other.clone()]);
    assert!(next.wanted(spore(), &["canary".to_owned()])[0].selector == tagged("canary"));
    assert!(next.wanted(spore(), &[])[0].selector.is_everybody());
    // another skill goes last
    let mut another = entry();
    another.skill = "EchoOther".to_owned();
    another.selector = tagged("canary");
    next.put(another.clone());
    assert_eq!(next.entries.last(), Some(&another));
    // for everybody: after those for some
    next.remove("EchoOther", None);
    another.selector = tagged("x");
    next.put(another.clone());
    another.selector = Selector::default();
    next.put(another.clone());
    assert_eq!(next.entries.last(), Some(&another));
    trusted(&next);
    assert_eq!(next.remove("EchoSkill", Some(&tagged("nobody"))), 0);
    assert_eq!(next.remove("EchoSkill", Some(&tagged("canary"))), 1);
    assert_eq!(next.remove("EchoOther", None), 2);
    assert_eq!(next.entries, [other]);
    // what is revoked must go from the entries first
    next.revoke(bundle_ref().sha256);
    assert!(next.to_sign().is_err());
    assert_eq!(next.remove("EchoSkill", None), 1);
    next.to_sign().unwrap();
}

#[test]
fn a_release_follows_only_in_its_own_swarm_and_never_into_an_earlier_epoch() {
    let before = pinned().release(&signed_release(5), &Channel::default()).unwrap();
    let mut other = root();
    other.swarm_id = "other-swarm".parse().unwrap();
    let error = before.successor(&other, day(1), day(2)).unwrap_err();
    assert!(
        matches!(error, DocumentError::Elsewhere { what: "swarm", .. }),
        "{error}"
    );
    let mut later = root();
    later.epoch = 2;
    let mut release = release(5);
    release.epoch = 2;
    let under = TrustedRoot::pin(&signed_root(&later)).unwrap();
    let release = under
        .release(&sign(release.unsigned(), &[RELEASE]), &Channel::default())
        .unwrap();
    let error = release.successor(&root(), day(1), day(2)).unwrap_err();
    assert!(
        matches!(error, DocumentError::Elsewhere { what: "epoch", .. }),
        "{error}"
    );
}

#[test]
fn the_host_program_is_the_signed_file_for_this_machine_or_none() {
    let root = pinned();
    let bytes = sign(host_artefact().to_sign().unwrap(), &[RELEASE]);
    let artefact = root.host_artefact(&bytes).unwrap();
    let target = "x86_64-unknown-linux-musl";
    artefact.matches(&Digest::of(b"program"), 7, target).unwrap();
    for (content, size) in [(&b"Program"[..], 7), (b"program", 8), (b"program", 6)] {
        let error = artefact.matches(&Digest::of(content), size, target).unwrap_err();
        assert!(matches!(error, ArtefactMismatch::File { size: 7, .. }), "{error}");
    }
    let error = artefact
        .matches(&Digest::of(b"program"), 7, "aarch64-unknown-linux-musl")
        .unwrap_err();
    assert!(matches!(error, ArtefactMismatch::Target { .. }), "{error}");
    assert!(!artefact.is_expired(day(364)) && artefact.is_expired(day(365)));
    let newer = ["0.1.9", "0.2.0-rc.1"];
    let same_or_older = ["0.2.0", "0.2.0+build", "0.3.0"];
    assert!(
        newer
            .iter()
            .all(|running| artefact.is_newer_than(&running.parse().unwrap()))
    );
    assert!(
        !same_or_older
            .iter()
            .any(|running| artefact.is_newer_than(&running.parse().unwrap()))
    );
    assert_eq!(
        root.host_artefact(artefact.to_text().as_bytes()).unwrap().digest(),
        artefact.digest()
    );
    // without an end of its own it ends with the root
    let endless = changed(
        venom_bundle::DocumentKind::Host,
        &host_artefact(),
        |it| it["expires"] = json!(null),
        &[RELEASE],
    );
    let endless = root.host_artefact(&endless).unwrap();
    assert!(!endless.is_expired(day(3_649)) && endless.is_expired(day(3_650)));
    for seeds in [&[ONLINE][..], &[7], &ROOTS] {
        assert!(root.host_artefact(&sign(host_artefact().unsigned(), seeds)).is_err());
    }
}
