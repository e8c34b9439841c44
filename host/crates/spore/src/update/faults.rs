//! The power fails, or the disk is full, at every single change the updater makes to its directory (case 20): what was
//! acknowledged is there afterwards, what was not is there whole or not at all, and nothing ever goes back.

use std::io;
use std::sync::{Arc, Mutex};

use venom_bundle::{Channel, Digest, Release, RolloutOrder, Root, SigningKey, SwarmId, TrustState, TrustedRoot};
use venom_protocol::{SkillState, Timestamp};

use super::UpdateSettings;
use super::keeper::Keeper;
use super::ledger::{Kept, Ledger};

/// Where and how a disk fails. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Option<Fault>>>);

#[derive(Debug, Clone, Copy)]
struct Fault {
    steps_left: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// This one change fails, those after it do not.
    Full,
    /// Neither this change nor any after it happens.
    Power,
}

impl Faults {
    pub(super) fn step(&self) -> io::Result<()> {
        let mut fault = self.0.lock().unwrap();
        let Some(inner) = fault.as_mut() else {
            return Ok(());
        };
        if inner.steps_left > 0 {
            inner.steps_left -= 1;
            return Ok(());
        }
        if inner.kind == Kind::Full {
            *fault = None;
        }
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn set(&self, steps_left: usize, kind: Kind) {
        *self.0.lock().unwrap() = Some(Fault { steps_left, kind });
    }

    /// Whether it lay in wait to the end.
    fn never_struck(&self) -> bool {
        self.0.lock().unwrap().is_some_and(|fault| fault.steps_left > 0)
    }
}

fn at(hour: u32) -> Timestamp {
    Timestamp::parse(&format!("2026-05-04T{hour:02}:00:00Z")).unwrap()
}

/// States of trust, one newer than the other.
fn states() -> [TrustState; 3] {
    let key = SigningKey::from_seed(&[1; 32]);
    let id: SwarmId = "s".parse().unwrap();
    let mut root = Root::first(id, &key.public(), &key.public(), at(1), at(23))
        .to_sign()
        .unwrap();
    root.add_signature(&key);
    let mut state = TrustState::new(TrustedRoot::pin(root.to_text().as_bytes()).unwrap(), Channel::default());
    let first = state.clone();
    let release = Release::first(state.root().root(), Channel::default(), at(1), at(20));
    let mut signed = release.to_sign().unwrap();
    signed.add_signature(&key);
    state.take_release(signed.to_text().as_bytes()).unwrap();
    let second = state.clone();
    let trusted = state.current().unwrap().release.clone();
    let mut rollout = trusted
        .draft_rollout(1, RolloutOrder::Run, at(1), at(2))
        .to_sign()
        .unwrap();
    rollout.add_signature(&key);
    state.take_rollout(rollout.to_text().as_bytes()).unwrap();
    [first, second, state]
}

/// These versions installed one after the other.
fn ledger(versions: &[u8]) -> Ledger {
    let mut ledger = Ledger::default();
    for &n in versions {
        let kept = Kept {
            bundle: venom_bundle::BundleRef {
                version: semver::Version::new(u64::from(n), 0, 0),
                sha256: Digest::of(&[n]),
                file_sha256: Digest::of(&[n; 9]),
                size: 9,
                sources: Vec::new(),
            },
            release: Digest::of(b"release"),
            signers: Vec::new(),
            grants: None,
        };
        ledger.installed("EchoSkill", kept, at(2));
    }
    ledger
}

/// How far one life of an updater came: how many of its writes were acknowledged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Acknowledged {
    trust: usize,
    ledger: u8,
    bundles: u8,
}

/// One life: trust, a bundle, its note, the next of each, and the clearing away; goes on after what fails, as the updater
/// does.
async fn live(keeper: &Keeper, states: &[TrustState; 3]) -> Acknowledged {
    let (mut done, mut noted, mut kept) = (Acknowledged::default(), false, Vec::new());
    for version in 1..=2_u8 {
        let step = usize::from(version);
        if keeper.keep_trust(&states[step]).await.is_ok() {
            done.trust = step;
        }
        let file = Digest::of(&[version; 9]);
        std::fs::write(keeper.disk.partial(&file), [version; 9]).unwrap();
        if keeper.disk.keep(&file).is_ok() {
            done.bundles = version;
            kept.push(version);
            noted = keeper.keep_ledger(&ledger(&kept)).await.is_ok();
            if noted {
                done.ledger = version;
            }
        }
    }
    // only what is surely noted decides what is cleared away
    if noted {
        let _ = keeper.disk.clean(&ledger(&kept).files(0), &[].into());
    }
    done
}

/// The version in force by a ledger; 0: none.
fn version(ledger: &Ledger) -> u64 {
    let record = ledger.skills.get("EchoSkill");
    record
        .and_then(|record| record.current.as_ref())
        .map_or(0, |kept| kept.bundle.version.major)
}

#[tokio::test]
async fn case_20_the_power_fails_and_the_disk_is_full_at_every_write() {
    let states = states();
    for kind in [Kind::Full, Kind::Power] {
        let mut struck = 0;
        loop {
            let directory = tempfile::tempdir().unwrap();
            let settings = UpdateSettings::new(directory.path().join("updates"));
            let keeper = Keeper::open(&settings).unwrap();
            keeper.keep_trust(&states[0]).await.unwrap();
            keeper.disk.faults.set(struck, kind);
            let done = live(&keeper, &states).await;
            let ended = keeper.disk.faults.never_struck();
            drop(keeper);

            let again = Keeper::open(&settings).unwrap();
            let trust = again.trust(&settings).unwrap().unwrap();
            let place = states
                .iter()
                .position(|state| *state == trust)
                .expect("a state that was written");
            assert!(place >= done.trust, "{kind:?} {struck}: state {place} after {done:?}");
            let ledger = again.ledger(&settings).unwrap();
            assert!(
                version(&ledger) >= u64::from(done.ledger),
                "{kind:?} {struck}: {ledger:?} after {done:?}"
            );
            for file in ledger.files(0) {
                let kept = std::fs::read(again.disk.bundle(&file)).unwrap();
                assert_eq!(Digest::of(&kept), file, "{kind:?} {struck}");
            }
            let leftovers = std::fs::read_dir(directory.path().join("updates")).unwrap();
            assert!(
                leftovers
                    .flatten()
                    .all(|entry| entry.path().extension().is_none_or(|end| end != "tmp"))
            );
            if ended {
                assert_eq!((done.trust, done.ledger), (2, 2));
                break;
            }
            struck += 1;
        }
        assert!(struck > 20, "only {struck} places were tried");
    }
}

#[test]
fn a_ledger_in_the_middle_of_a_watch_says_so() {
    let ledger = ledger(&[1, 2]);
    assert_eq!(
        Ledger::parse(&ledger.to_bytes()).unwrap().skills["EchoSkill"].state,
        SkillState::Soaking
    );
}
