//! A swarm with a key for each purpose, and the tools to make its documents, good and bad. Day 0 is when it was founded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde::Serialize;
use venom_bundle::capability::BudgetLimits;
use venom_bundle::{
    BundleRef, Channel, Digest, DocumentKind, Entry, HostArtefact, Release, Role, Roles, Rollout, RolloutOrder, Root,
    RootPublisher, Selector, SignedDocument, TrustState, TrustedRelease, TrustedRoot, WHOLE,
};
use venom_protocol::{NodeId, Timestamp};

use crate::support::{SEED, created, envelope, good, key, signature};

/// Seeds of the three root keys, of which two must sign.
pub(crate) const ROOTS: [u8; 3] = [31, 32, 33];
pub(crate) const RELEASE: u8 = 41;
pub(crate) const ONLINE: u8 = 51;

pub(crate) fn day(days: i64) -> Timestamp {
    Timestamp(created().0 + SignedDuration::from_hours(24 * days))
}

pub(crate) fn role(seeds: &[u8], threshold: usize) -> Role {
    Role {
        keys: seeds.iter().map(|&seed| key(seed).public()).collect(),
        threshold,
    }
}

pub(crate) fn root() -> Root {
    Root {
        format: 1,
        swarm_id: "test-swarm".parse().unwrap(),
        version: 1,
        epoch: 1,
        created: day(0),
        expires: day(3_650),
        roles: Roles {
            root: role(&ROOTS, 2),
            release: role(&[RELEASE], 1),
            rollout: role(&[ONLINE], 1),
        },
        publishers: vec![RootPublisher {
            name: "tester".to_owned(),
            prefix: "Echo".to_owned(),
            keys: vec![venom_bundle::SigningKey::from_seed(&SEED).public()],
            threshold: 1,
            ceiling: None,
            budgets: BudgetLimits::default(),
        }],
        revoked: Vec::new(),
    }
}

pub(crate) fn sign(mut document: SignedDocument, seeds: &[u8]) -> Vec<u8> {
    seeds.iter().for_each(|&seed| document.add_signature(&key(seed)));
    document.to_text().into_bytes()
}

/// Any payload, signed by the library alone.
pub(crate) fn raw(kind: DocumentKind, payload: &[u8], seeds: &[u8]) -> Vec<u8> {
    let kind = kind.payload_type();
    let signatures = seeds.iter().map(|&seed| signature([seed; 32], "", kind, payload));
    envelope(kind, payload, signatures.collect())
}

/// A document changed as JSON, signed all the same.
pub(crate) fn changed(
    kind: DocumentKind,
    document: &impl Serialize,
    change: impl FnOnce(&mut serde_json::Value),
    seeds: &[u8],
) -> Vec<u8> {
    let mut value = serde_json::to_value(document).unwrap();
    change(&mut value);
    raw(kind, value.to_string().as_bytes(), seeds)
}

pub(crate) fn signed_root(root: &Root) -> Vec<u8> {
    sign(root.unsigned(), &ROOTS[..2])
}

pub(crate) fn pinned() -> TrustedRoot {
    TrustedRoot::pin(&signed_root(&root())).unwrap()
}

/// The root after, changed.
pub(crate) fn next_root(before: &TrustedRoot, change: impl FnOnce(&mut Root)) -> Root {
    let mut next = Root {
        version: before.root().version + 1,
        created: day(1),
        expires: day(3_651),
        ..before.root().clone()
    };
    change(&mut next);
    next
}

/// The change that lets releases begin anew.
pub(crate) fn begin_epoch(root: &mut Root) {
    root.epoch += 1;
}

pub(crate) fn bundle_ref() -> BundleRef {
    let bytes = good().to_bytes();
    BundleRef {
        version: "1.2.3".parse().unwrap(),
        sha256: good().digest(),
        file_sha256: Digest::of(&bytes),
        size: bytes.len() as u64,
        sources: Vec::new(),
    }
}

pub(crate) fn entry() -> Entry {
    Entry {
        skill: "EchoSkill".to_owned(),
        bundle: bundle_ref(),
        selector: Selector::default(),
        grants: None,
        approved: false,
        floor: None,
        fallback: None,
    }
}

pub(crate) fn release(seq: u64) -> Release {
    Release {
        seq,
        entries: vec![entry()],
        ..Release::first(&root(), Channel::default(), day(0), day(180))
    }
}

pub(crate) fn signed_release(seq: u64) -> Vec<u8> {
    sign(release(seq).unsigned(), &[RELEASE])
}

pub(crate) fn rollout(of: &Digest, counter: u64) -> Rollout {
    Rollout {
        format: 1,
        swarm_id: "test-swarm".parse().unwrap(),
        channel: Channel::default(),
        release_sha256: *of,
        counter,
        wave: WHOLE,
        state: RolloutOrder::Run,
        issued: day(0),
        expires: day(7),
    }
}

pub(crate) fn signed_rollout(of: &TrustedRelease, counter: u64) -> Vec<u8> {
    sign(rollout(&of.digest(), counter).unsigned(), &[ONLINE])
}

pub(crate) fn host_artefact() -> HostArtefact {
    HostArtefact {
        format: 1,
        swarm_id: Some("test-swarm".parse().unwrap()),
        version: "0.2.0".parse().unwrap(),
        target: "x86_64-unknown-linux-musl".to_owned(),
        sha256: Digest::of(b"program"),
        size: 7,
        created: day(0),
        expires: Some(day(365)),
    }
}

pub(crate) fn state() -> TrustState {
    TrustState::new(pinned(), Channel::default())
}

/// With a release of this number, and a rollout that lets everybody install.
pub(crate) fn running(seq: u64) -> TrustState {
    let mut state = state();
    state.take_release(&signed_release(seq)).unwrap();
    let release = state.current().unwrap().release.clone();
    state.take_rollout(&signed_rollout(&release, 1)).unwrap();
    assert!(state.to_install(spore(), day(1)).is_ok());
    state
}

pub(crate) fn spore() -> NodeId {
    "6a2f41a3-c54c-4fa8-9e0b-5a2f41a3c54c".parse().unwrap()
}

/// What a restart makes of a state.
pub(crate) fn restarted(state: &TrustState) -> TrustState {
    let again = TrustState::from_bytes(&state.to_bytes()).unwrap();
    assert_eq!(&again, state);
    again
}

/// The payload of an envelope.
pub(crate) fn payload_of(envelope: &[u8]) -> Vec<u8> {
    let envelope: serde_json::Value = serde_json::from_slice(envelope).unwrap();
    STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap()
}
