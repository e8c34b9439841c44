//! The host program as a signed artefact: the signed file for this machine, or none.

use serde_json::json;
use venom_bundle::{ArtefactMismatch, Digest, TrustedRoot};

use crate::swarm::*;

const TARGET: &str = "x86_64-unknown-linux-musl";

#[test]
fn the_host_program_is_the_signed_file_for_this_machine_or_none() {
    let root = pinned();
    let bytes = sign(host_artefact().to_sign().unwrap(), &[RELEASE]);
    let artefact = root.host_artefact(&bytes).unwrap();
    artefact.matches(&Digest::of(b"program"), 7, TARGET).unwrap();
    for (content, size) in [(&b"Program"[..], 7), (b"program", 8), (b"program", 6)] {
        let error = artefact.matches(&Digest::of(content), size, TARGET).unwrap_err();
        assert!(matches!(error, ArtefactMismatch::File { size: 7, .. }), "{error}");
    }
    let error = artefact
        .matches(&Digest::of(b"program"), 7, "aarch64-unknown-linux-musl")
        .unwrap_err();
    assert!(matches!(error, ArtefactMismatch::Target { .. }), "{error}");
    assert_eq!(
        root.host_artefact(artefact.to_text().as_bytes()).unwrap().digest(),
        artefact.digest()
    );
    for seeds in [&[ONLINE][..], &[7], &ROOTS] {
        assert!(root.host_artefact(&sign(host_artefact().unsigned(), seeds)).is_err());
    }
}

#[test]
fn an_older_or_expired_host_program_is_told() {
    let bytes = sign(host_artefact().to_sign().unwrap(), &[RELEASE]);
    let artefact = pinned().host_artefact(&bytes).unwrap();
    let older = ["0.1.9", "0.2.0-rc.1"];
    let same_or_newer = ["0.2.0", "0.2.0+build", "0.3.0"];
    assert!(
        older
            .iter()
            .all(|running| artefact.is_newer_than(&running.parse().unwrap()))
    );
    assert!(
        !same_or_newer
            .iter()
            .any(|running| artefact.is_newer_than(&running.parse().unwrap()))
    );
    assert!(!artefact.is_expired(day(364)) && artefact.is_expired(day(365)));
    let mut later = root();
    later.created = day(365);
    let later = TrustedRoot::pin(&signed_root(&later))
        .unwrap()
        .host_artefact(&bytes)
        .unwrap();
    assert!(later.is_expired(day(0)), "a clock behind the root");
    // without an end of its own it ends with the root
    let kind = venom_bundle::DocumentKind::Host;
    let endless = changed(kind, &host_artefact(), |it| it["expires"] = json!(null), &[RELEASE]);
    let endless = pinned().host_artefact(&endless).unwrap();
    assert!(!endless.is_expired(day(3_649)) && endless.is_expired(day(3_650)));
}
