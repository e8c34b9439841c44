//! Bundles changed at random, from a fixed seed: decoding never panics, and whatever still verifies is the signed
//! manifest with the signed component.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use venom_bundle::UnverifiedBundle;

use crate::support::{archive, component, envelope_of, good, host, trust};

/// One change to a byte string.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Set(usize, u8),
    Cut(usize),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let place = 0..1_000_000_usize;
    // Bytes that mean something to JSON, base64 and tar come up more often than chance would have it.
    let meaningful = prop::sample::select(br#"{}[]",:\u0 =/+e-9"#.to_vec());
    let byte = prop_oneof![any::<u8>(), meaningful];
    prop_oneof![
        4 => (place.clone(), byte.clone()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => place.clone().prop_map(Change::Cut),
        2 => (place.clone(), 1..600_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        2 => (place.clone(), prop::collection::vec(byte, 1..20)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => (place, 1..600_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

pub(crate) fn apply(bytes: &mut Vec<u8>, change: Change) {
    let place = |at: usize| at % (bytes.len() + 1);
    match change {
        Change::Set(at, byte) if !bytes.is_empty() => {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        Change::Set(..) => {}
        Change::Cut(at) => bytes.truncate(place(at)),
        Change::Remove(at, count) => drop(bytes.drain(place(at)..(place(at) + count).min(bytes.len()))),
        Change::Insert(at, new) => drop(bytes.splice(place(at)..place(at), new)),
        Change::Repeat(at, count) => {
            let part = bytes[place(at)..(place(at) + count).min(bytes.len())].to_vec();
            drop(bytes.splice(place(at)..place(at), part));
        }
    }
}

pub(crate) fn runner(seed: u64) -> TestRunner {
    TestRunner::new(Config {
        cases: 3_000,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    })
}

/// Whether a bundle is decoded; if it also verifies, it must be the good one in all that counts.
fn decode(bytes: Vec<u8>) -> Result<bool, TestCaseError> {
    let Ok(bundle) = UnverifiedBundle::parse(bytes) else {
        return Ok(false);
    };
    let claimed = bundle.claimed();
    if let Ok(verified) = bundle.verify(&trust(), &host()) {
        prop_assert_eq!(verified.digest(), good().digest());
        prop_assert_eq!(verified.component(), component());
        prop_assert_eq!(claimed.manifest().unwrap(), verified.manifest());
    }
    Ok(true)
}

#[test]
fn files_changed_at_random_are_refused_or_the_same() {
    let good = good().to_bytes();
    let changes = prop::collection::vec(change(), 1..6);
    let result = runner(1).run(&changes, |changes| {
        let mut bytes = good.clone();
        changes.into_iter().for_each(|change| apply(&mut bytes, change));
        decode(bytes).map(drop)
    });
    result.unwrap();
}

#[test]
fn envelopes_changed_at_random_are_refused_or_the_same() {
    let (envelope, component) = (envelope_of(&good().to_bytes()), component());
    let decoded = std::cell::Cell::new(0);
    let changes = prop::collection::vec(change(), 1..4);
    let result = runner(2).run(&changes, |changes| {
        let mut bytes = envelope.clone();
        changes.into_iter().for_each(|change| apply(&mut bytes, change));
        decoded.set(decoded.get() + u32::from(decode(archive(&bytes, &component))?));
        Ok(())
    });
    result.unwrap();
    assert!(
        decoded.get() > 100,
        "only {} of the changed envelopes got past decoding: the test tests too little",
        decoded.get()
    );
}
