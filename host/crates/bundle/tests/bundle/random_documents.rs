//! Random sequences of documents, good and bad, new and old, against a naive model of what a state may take: numbers
//! never fall, two documents never share one, and nothing gets in that the keys of the root in force did not sign.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use venom_bundle::{
    Channel, Digest, DocumentKind, Release, RolloutOrder, Root, Taken, TrustState, TrustedRoot, bucket,
};

use crate::mutations::{apply, change, runner};
use crate::swarm::*;

/// Which of three keys signed. The seeds of roots, releases and rollouts are apart, so that roles do not mix.
type Keys = Vec<u8>;
const ROOT_KEYS: u8 = 100;
const RELEASE_KEYS: u8 = 110;
const ROLLOUT_KEYS: u8 = 120;

fn seeds(first: u8, keys: &[u8]) -> Vec<u8> {
    keys.iter().map(|key| first + key).collect()
}

/// All that the roots, releases and rollouts of this test differ in.
#[derive(Debug, Clone, PartialEq)]
struct RootModel {
    version: u64,
    epoch: u64,
    /// The only key of each role: roots, releases, rollouts.
    keys: [u8; 3],
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct ReleaseModel {
    epoch: u64,
    seq: u64,
    variant: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct RolloutModel {
    of: ReleaseModel,
    counter: u64,
    pauses: bool,
}

#[derive(Debug, Clone)]
enum Step {
    /// Version and epoch as steps from those in force, the keys, who signs.
    Root(u64, u64, [u8; 3], Keys),
    /// Epoch as steps back from that in force.
    Release(u64, u64, u8, Keys),
    /// Of the current release, or of another.
    Rollout(Option<(u64, u64, u8)>, u64, bool, Keys),
    Restart,
    /// The last document again, with a bit of it flipped.
    Flipped(usize),
    /// The n-th document from the beginning again, as it was.
    Again(usize),
}

#[derive(Debug, Clone, PartialEq)]
struct Model {
    root: RootModel,
    /// And who signed it.
    release: Option<(ReleaseModel, Keys)>,
    believed: bool,
    rollout: Option<(RolloutModel, Keys)>,
}

/// A document of the model, with who signed it.
#[derive(Debug, Clone)]
enum Document {
    Root(RootModel, Keys),
    Release(ReleaseModel, Keys),
    Rollout(RolloutModel, Keys),
}

impl RootModel {
    fn document(&self) -> Root {
        let mut root = root();
        (root.version, root.epoch) = (self.version, self.epoch);
        root.roles.root = role(&[ROOT_KEYS + self.keys[0]], 1);
        root.roles.release = role(&[RELEASE_KEYS + self.keys[1]], 1);
        root.roles.rollout = role(&[ROLLOUT_KEYS + self.keys[2]], 1);
        root
    }
}

impl ReleaseModel {
    fn document(&self) -> Release {
        let mut document = release(self.seq);
        document.epoch = self.epoch;
        document.expires = day(200 + i64::from(self.variant));
        document
    }
}

impl Document {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Root(root, keys) => sign(root.document().unsigned(), &seeds(ROOT_KEYS, keys)),
            Self::Release(release, keys) => sign(release.document().unsigned(), &seeds(RELEASE_KEYS, keys)),
            Self::Rollout(document, keys) => {
                let mut written = rollout(&document.of.document().unsigned().digest(), document.counter);
                if document.pauses {
                    written.state = RolloutOrder::Pause;
                }
                sign(written.unsigned(), &seeds(ROLLOUT_KEYS, keys))
            }
        }
    }

    /// With its first signature only.
    fn alone(&self) -> Self {
        let mut alone = self.clone();
        let (Self::Root(_, keys) | Self::Release(_, keys) | Self::Rollout(_, keys)) = &mut alone;
        keys.truncate(1);
        alone
    }

    fn offer(&self, bytes: &[u8], state: &mut TrustState) -> Option<Taken> {
        let result = match self {
            Self::Root(..) => state.take_root(bytes),
            Self::Release(..) => state.take_release(bytes),
            Self::Rollout(..) => state.take_rollout(bytes),
        };
        result.ok()
    }
}

impl Model {
    /// What becomes of a document; `None`: it changes nothing.
    fn take(&mut self, document: &Document) -> Option<Taken> {
        match document {
            Document::Root(root, keys) => self.take_root(root, keys),
            Document::Release(release, keys) => self.take_release(*release, keys),
            Document::Rollout(rollout, keys) => self.take_rollout(*rollout, keys),
        }
    }

    fn take_root(&mut self, root: &RootModel, keys: &Keys) -> Option<Taken> {
        if !keys.contains(&self.root.keys[0]) || !keys.contains(&root.keys[0]) {
            return None;
        }
        if *root == self.root {
            return Some(Taken::Same);
        }
        let steps = (
            root.version - self.root.version.min(root.version),
            root.epoch.checked_sub(self.root.epoch)?,
        );
        if steps.0 != 1 || steps.1 > 1 {
            return None;
        }
        self.root = root.clone();
        let signed = |keys: &Keys, role: usize| keys.contains(&self.root.keys[role]);
        self.believed = self
            .release
            .as_ref()
            .is_some_and(|(it, keys)| it.epoch == self.root.epoch && signed(keys, 1));
        self.rollout = self.rollout.take().filter(|(_, keys)| signed(keys, 2));
        Some(Taken::New)
    }

    fn take_release(&mut self, release: ReleaseModel, keys: &Keys) -> Option<Taken> {
        if release.epoch != self.root.epoch || !keys.contains(&self.root.keys[1]) {
            return None;
        }
        let number = |of: &ReleaseModel| (of.epoch, of.seq);
        match &self.release {
            Some((here, _)) if number(&release) < number(here) => return None,
            Some((here, _)) if number(&release) == number(here) && release != *here => return None,
            Some((here, _)) if release == *here && self.believed => return Some(Taken::Same),
            Some((here, _)) if release == *here => {}
            _ => self.rollout = None,
        }
        (self.release, self.believed) = (Some((release, keys.clone())), true);
        Some(Taken::New)
    }

    fn take_rollout(&mut self, rollout: RolloutModel, keys: &Keys) -> Option<Taken> {
        let (current, _) = self.release.as_ref()?;
        if rollout.of != *current || !keys.contains(&self.root.keys[2]) {
            return None;
        }
        match &self.rollout {
            Some((here, _)) if *here == rollout => return Some(Taken::Same),
            Some((here, _)) if rollout.counter <= here.counter => return None,
            _ => self.rollout = Some((rollout, keys.clone())),
        }
        Some(Taken::New)
    }

    fn installs(&self) -> bool {
        self.believed && self.rollout.as_ref().is_some_and(|(it, _)| !it.pauses)
    }
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || subsequence(vec![0, 1, 2], 0..=3);
    let roles = [0..2_u8, 0..2, 0..2];
    // mostly what could be taken, so that a run gets somewhere
    let all = || prop_oneof![3 => Just(vec![0, 1, 2]), 2 => keys()];
    let forward = || prop_oneof![4 => Just(1_u64), 1 => 0..4_u64];
    prop_oneof![
        3 => (forward(), 0..3_u64, roles, all()).prop_map(|(version, epoch, roles, keys)| Step::Root(version, epoch, roles, keys)),
        6 => (0..2_u64, 1..6_u64, 0..2_u8, all()).prop_map(|(back, seq, variant, keys)| Step::Release(back, seq, variant, keys)),
        6 => (prop::option::weighted(0.2, (1..3_u64, 1..6_u64, 0..2_u8)), 1..5_u64, any::<bool>(), all())
            .prop_map(|(of, counter, pauses, keys)| Step::Rollout(of, counter, pauses, keys)),
        1 => Just(Step::Restart),
        1 => any::<usize>().prop_map(Step::Flipped),
        3 => any::<usize>().prop_map(Step::Again),
    ]
}

fn document_of(step: Step, model: &Model, sent: &[Document]) -> Option<Document> {
    let current = model.release.as_ref().map(|(release, _)| *release);
    Some(match step {
        Step::Root(version, epoch, keys, signers) => {
            let version = (model.root.version + version)
                .saturating_sub(u64::from(version > 2) * 4)
                .max(1);
            let epoch = model.root.epoch + epoch;
            Document::Root(RootModel { version, epoch, keys }, signers)
        }
        Step::Release(back, seq, variant, keys) => {
            let epoch = model.root.epoch.saturating_sub(back).max(1);
            Document::Release(ReleaseModel { epoch, seq, variant }, keys)
        }
        Step::Rollout(of, counter, pauses, keys) => {
            let other = of.map(|(epoch, seq, variant)| ReleaseModel { epoch, seq, variant });
            let of = other.or(current)?;
            Document::Rollout(RolloutModel { of, counter, pauses }, keys)
        }
        Step::Again(n) => sent.get(n.checked_rem(sent.len())?)?.clone(),
        Step::Restart | Step::Flipped(_) => return None,
    })
}

/// What must never fall, and the release that goes with the numbers.
fn marks(state: &TrustState) -> ((u64, u64), (u64, u64), Option<Digest>, u64) {
    let root = state.root().root();
    let current = state.current();
    let release = current.map(|it| (it.release.release().epoch, it.release.release().seq));
    let counter = current
        .and_then(|it| it.rollout.as_ref())
        .map_or(0, |it| it.rollout().counter);
    (
        (root.version, root.epoch),
        release.unwrap_or_default(),
        current.map(|it| it.release.digest()),
        counter,
    )
}

fn check_growth(before: &TrustState, after: &TrustState) -> Result<(), TestCaseError> {
    let (old, new) = (marks(before), marks(after));
    prop_assert!(
        old.0.0 <= new.0.0 && old.0.1 <= new.0.1 && old.1 <= new.1,
        "{:?} {:?}",
        old,
        new
    );
    // one number, one release, and within it the counter; it begins anew only where a new root voids the old keys
    if old.1 == new.1 && old.1 != (0, 0) {
        prop_assert_eq!(old.2, new.2);
        prop_assert!(old.3 <= new.3 || old.0.0 < new.0.0, "{:?} {:?}", old, new);
    }
    Ok(())
}

fn run(steps: Vec<Step>, seen: &RefCell<BTreeMap<&'static str, u32>>) -> Result<(), TestCaseError> {
    let first = RootModel {
        version: 1,
        epoch: 1,
        keys: [0, 0, 0],
    };
    let pinned = TrustedRoot::pin(&sign(first.document().unsigned(), &[ROOT_KEYS])).unwrap();
    let mut state = TrustState::new(pinned, Channel::default());
    let (mut model, mut sent) = (
        Model {
            root: first,
            release: None,
            believed: false,
            rollout: None,
        },
        Vec::new(),
    );
    let count = |what| *seen.borrow_mut().entry(what).or_default() += 1;
    for step in steps {
        let before = state.clone();
        match (&step, sent.last()) {
            (Step::Restart, _) => state = restarted(&state),
            // with several signatures, one that is not needed may break
            (Step::Flipped(bit), Some(last)) => {
                let last = Document::alone(last);
                let mut bytes = last.bytes();
                let bit = bit % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(last.offer(&bytes, &mut state), None, "bit {} of {:?}", bit, last);
                count("flipped");
            }
            _ => {}
        }
        if let Some(document) = document_of(step, &model, &sent) {
            let expected = model.take(&document);
            let got = document.offer(&document.bytes(), &mut state);
            prop_assert_eq!(got, expected, "{:?} under {:?}", document, model);
            count(match (&document, got) {
                (Document::Root(..), Some(Taken::New)) => "root",
                (Document::Release(..), Some(Taken::New)) => "release",
                (Document::Rollout(..), Some(Taken::New)) => "rollout",
                (_, Some(Taken::Same)) => "same",
                (_, None) => "refused",
            });
            if got != Some(Taken::New) {
                prop_assert_eq!(&state, &before);
            }
            sent.push(document);
        }
        check_growth(&before, &state)?;
        let installs = state.to_install(spore(), day(1)).is_ok();
        prop_assert_eq!(installs, model.installs(), "{:?}", model);
        if installs {
            count("installs");
        } else if model.release.is_some() && !model.believed {
            count("stale");
        }
        prop_assert_eq!(&restarted(&state), &state);
    }
    Ok(())
}

#[test]
fn states_only_grow_and_only_by_what_is_signed() {
    let seen = RefCell::new(BTreeMap::new());
    let mut runner = TestRunner::new(Config {
        cases: 150,
        rng_seed: RngSeed::Fixed(6),
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&prop::collection::vec(step(), 1..40), |steps| run(steps, &seen))
        .unwrap();
    for what in [
        "root", "release", "rollout", "same", "refused", "flipped", "installs", "stale",
    ] {
        let seen = seen.borrow().get(what).copied().unwrap_or_default();
        assert!(seen >= 30, "the test tests too little: {what} {seen} times");
    }
}

/// Documents changed at random, outside and inside their signatures: nothing panics, and what is taken is what was signed.
#[test]
fn documents_changed_at_random_are_refused_or_the_same() {
    let first = state();
    let good = [signed_root(&next_root(&pinned(), |_| ())), signed_release(5)];
    let digest = |bytes: &[u8]| Digest::of(&payload_of(bytes));
    let taken = RefCell::new([0_u32; 2]);
    let changes = prop::collection::vec(change(), 1..4);
    let result = runner(7).run(&(changes, 0..2_usize, any::<bool>()), |(changes, which, inside)| {
        let mut bytes = good[which].clone();
        if inside {
            let mut payload = payload_of(&bytes);
            changes.into_iter().for_each(|change| apply(&mut payload, change));
            let (kind, seeds) = [(DocumentKind::Root, &ROOTS[..]), (DocumentKind::Release, &[RELEASE])][which];
            bytes = raw(kind, &payload, seeds);
        } else {
            changes.into_iter().for_each(|change| apply(&mut bytes, change));
        }
        let mut state = first.clone();
        let result = [TrustState::take_root, TrustState::take_release][which](&mut state, &bytes);
        if result.is_err() {
            prop_assert_eq!(&state, &first);
            return Ok(());
        }
        taken.borrow_mut()[usize::from(inside)] += 1;
        prop_assert_eq!(&restarted(&state), &state);
        if !inside {
            let new = [
                Some(state.root().digest()),
                state.current().map(|it| it.release.digest()),
            ];
            prop_assert_eq!(new[which], Some(digest(&good[which])));
        }
        Ok(())
    });
    result.unwrap();
    let [outside, inside] = taken.into_inner();
    assert!(
        outside > 0 && inside > 5,
        "the test tests too little: {outside} {inside}"
    );
}

/// A wave means the share of spores that it says, and other spores for every release.
#[test]
fn waves_have_their_share_of_the_spores() {
    let spores: Vec<venom_protocol::NodeId> = (0..4_000_u32)
        .map(|n| format!("{n:08x}-c54c-4fa8-9e0b-5a2f41a3c54c").parse().unwrap())
        .collect();
    let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
    for wave in [100, 1_000, 5_000] {
        let among = |release: &Digest| spores.iter().filter(|it| bucket(release, **it) < wave).count();
        let expected = spores.len() * usize::from(wave) / 10_000;
        for count in [among(&one), among(&two)] {
            assert!(count.abs_diff(expected) < expected / 4 + 15, "{count} of {expected}");
        }
    }
    let first = |release: &Digest| {
        spores
            .iter()
            .filter(|it| bucket(release, **it) < 1_000)
            .collect::<Vec<_>>()
    };
    let (one_first, two_first) = (first(&one), first(&two));
    let both = one_first.iter().filter(|it| two_first.contains(it)).count();
    assert!(both < 100, "the same spores go first in both: {both}");
    assert_eq!(bucket(&one, spore()), bucket(&one, spore()));
}
