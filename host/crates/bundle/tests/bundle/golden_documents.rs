//! The stored forms of root, release, rollout and host artefact: payload and signed envelope. When one of these tests
//! fails, documents already signed may no longer be read. `VENOM_BLESS=1` writes the files anew; look at the diff.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use venom_bundle::capability::Request;
use venom_bundle::{
    Channel, Digest, DocumentKind, HostArtefact, Release, Rollout, RolloutOrder, Root, RootPublisher, SignedDocument,
    TrustedRoot,
};

use crate::support::key;
use crate::swarm::*;

/// Compares with the file, byte by byte.
fn same(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("VENOM_BLESS").is_some() {
        std::fs::write(&path, format!("{text}\n")).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, golden.trim_end(), "{name} changed");
}

/// Payload and envelope are those of the files; what the file says is the document.
fn golden<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    kind: DocumentKind,
    name: &str,
    document: &T,
    unsigned: SignedDocument,
    seeds: &[u8],
) -> Vec<u8> {
    let payload = serde_json::to_string(document).unwrap();
    same(&format!("{name}.json"), &payload);
    let bytes = sign(unsigned, seeds);
    let text = String::from_utf8(bytes.clone()).unwrap();
    same(&format!("{name}.envelope.json"), &text);
    assert_eq!(payload_of(&bytes), payload.as_bytes());
    let read = SignedDocument::parse(kind, &bytes).unwrap();
    assert_eq!((read.to_text(), read.digest()), (text, Digest::of(payload.as_bytes())));
    assert_eq!(&read.claimed::<T>().unwrap(), document);
    bytes
}

fn full_root() -> Root {
    let mut root = root();
    root.publishers[0].prefix = "*".to_owned();
    root.publishers.push(RootPublisher {
        name: "acme".to_owned(),
        prefix: "Acme".to_owned(),
        keys: vec![key(61).public(), key(62).public()],
        threshold: 2,
        ceiling: Some(Request {
            http: vec!["*.acme.example".to_owned()],
            ..Request::default()
        }),
        budgets: toml::from_str("memory='64 MiB'\nwall='30s'").unwrap(),
    });
    root.revoked = vec![Digest::of(b"revoked")];
    root
}

fn full_release() -> Release {
    let mut release = release(7);
    release.prev_sha256 = Some(Digest::of(b"release 6"));
    release.revoked = vec![Digest::of(b"bad bundle")];
    let mut canary = entry();
    canary.selector.tags = vec!["canary".to_owned()];
    canary.selector.ids = vec![spore()];
    canary.selector.percent = Some(10);
    canary.bundle.sources = vec!["https://example.com/echo.venom".to_owned()];
    canary.approved = true;
    canary.floor = Some("1.2.0".parse().unwrap());
    let mut fallback = bundle_ref();
    fallback.version = "1.2.2".parse().unwrap();
    fallback.sha256 = Digest::of(b"fallback");
    canary.fallback = Some(fallback);
    let grants = "http=[{host='api.example.com'}]\ncache={quota='1 MiB'}\nfs=[{host='/srv/echo',guest='/work'}]";
    canary.grants = Some(toml::from_str(grants).unwrap());
    release.entries.insert(0, canary);
    release
}

#[test]
fn documents_are_stored_as_they_were() {
    let root = full_root();
    let bytes = golden(DocumentKind::Root, "root", &root, root.to_sign().unwrap(), &ROOTS[..2]);
    let trusted = TrustedRoot::pin(&bytes).unwrap();
    let release: Release = full_release();
    let bytes = golden(
        DocumentKind::Release,
        "release",
        &release,
        release.to_sign().unwrap(),
        &[RELEASE],
    );
    let release = trusted.release(&bytes, &Channel::default()).unwrap();
    assert_eq!(release.release(), &full_release());
    let rollout: Rollout = release.draft_rollout(3, RolloutOrder::Run, day(1), day(8));
    let bytes = golden(
        DocumentKind::Rollout,
        "rollout",
        &rollout,
        rollout.to_sign().unwrap(),
        &[ONLINE],
    );
    assert_eq!(trusted.rollout(&bytes, &release).unwrap().rollout(), &rollout);
    let host: HostArtefact = host_artefact();
    let bytes = golden(DocumentKind::Host, "host", &host, host.to_sign().unwrap(), &[RELEASE]);
    assert_eq!(trusted.host_artefact(&bytes).unwrap().artefact(), &host);
}

/// What spores keep on disk is a format too.
#[test]
fn a_state_is_kept_as_it_was() {
    let mut state = running(5);
    state
        .take_root(&signed_root(&next_root(&pinned(), begin_epoch)))
        .unwrap();
    let text = String::from_utf8(state.to_bytes()).unwrap();
    same("state.json", &text);
    restarted(&state);
}
