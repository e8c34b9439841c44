//! What to do now: pure. From what is trusted, what is installed and what time it is to steps; whoever carries them out
//! asks again afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use venom_bundle::{Current, Digest, Entry, KeyId, RolloutOrder, Trust, TrustState};
use venom_protocol::{NodeId, SkillState, Timestamp};

use super::UpdateSettings;
use super::ledger::{Kept, Ledger, Record};
use super::stage::is_revoked_here;
use super::window::opens_in;

/// Everything a plan is made from.
pub(super) struct Facts<'a> {
    pub(super) node_id: NodeId,
    pub(super) tags: &'a [String],
    pub(super) trust: &'a TrustState,
    pub(super) ledger: &'a Ledger,
    pub(super) settings: &'a UpdateSettings,
    /// This machine's own trust file, for what it revokes.
    pub(super) local_trust: &'a Trust,
    /// Skills whose bundle is being fetched or staged.
    pub(super) busy: &'a BTreeSet<String>,
    /// Bundles that ask for more than their skills had, by skill.
    pub(super) held: &'a BTreeMap<String, Digest>,
    pub(super) now: Timestamp,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// It is revoked: stop it now.
    Evict {
        /// Which.
        skill: String,
        /// What to run instead when nothing that ran before may.
        fallback: Option<Box<Entry>>,
    },
    /// The rollout takes it back.
    Revert {
        /// Which.
        skill: String,
    },
    /// No release names it any more.
    Remove {
        /// Which.
        skill: String,
    },
    /// What is wanted answers already, whatever became of it before: it stays.
    Keep {
        /// Which.
        skill: String,
    },
    /// Fetch, stage and swap.
    Install {
        /// What.
        entry: Box<Entry>,
        /// Of which release.
        release: Digest,
    },
    /// Not now.
    Wait {
        /// Which.
        skill: String,
        /// Why.
        reason: String,
        /// Look again then, when that is known.
        wake: Option<Duration>,
    },
}

/// Makes the plan; steps of different skills do not depend on each other.
pub(super) fn plan(facts: &Facts<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let current = facts.trust.current();
    let wanted: Vec<&Entry> = current.map_or_else(Vec::new, |current| facts.wanted(current));
    for (skill, record) in &facts.ledger.skills {
        let entry = wanted.iter().find(|entry| entry.skill == *skill).copied();
        if let Some(step) = facts.about_installed(skill, record, current, entry) {
            steps.push(step);
        }
    }
    for entry in wanted {
        let settled = |step: &Step| step.skill() == entry.skill;
        if !facts.busy.contains(&entry.skill)
            && !steps.iter().any(settled)
            && let Some(current) = current
        {
            steps.extend(facts.about_wanted(entry, current));
        }
    }
    steps
}

impl Step {
    fn skill(&self) -> &str {
        match self {
            Self::Evict { skill, .. }
            | Self::Revert { skill }
            | Self::Remove { skill }
            | Self::Keep { skill }
            | Self::Wait { skill, .. } => skill,
            Self::Install { entry, .. } => &entry.skill,
        }
    }
}

impl Facts<'_> {
    fn wanted<'a>(&self, current: &'a Current) -> Vec<&'a Entry> {
        let wanted = current.release.release().wanted(self.node_id, self.tags);
        let off = &self.settings.switched_off;
        wanted.into_iter().filter(|entry| !off.contains(&entry.skill)).collect()
    }

    /// Whether a bundle is good for nothing any more, by root, release or this machine's trust file.
    pub(super) fn is_revoked(&self, bundle: &Digest, signers: &[KeyId]) -> bool {
        let root = &self.trust.root().root().revoked;
        let release = self.trust.current().map(|current| &current.release.release().revoked);
        let mut all = root.iter().chain(release.into_iter().flatten());
        all.any(|digest| digest == bundle || signers.iter().any(|key| key.digest() == digest))
            || is_revoked_here(self.local_trust, bundle, signers)
    }

    /// Whether what ran before may run again: not revoked, not under the floor of the release.
    pub(super) fn may_return(&self, kept: &Kept, entry: Option<&Entry>) -> bool {
        let allowed = entry.is_none_or(|entry| entry.allows(&kept.bundle.version));
        allowed && !self.is_revoked(&kept.bundle.sha256, &kept.signers)
    }

    fn about_installed(
        &self,
        skill: &str,
        record: &Record,
        current: Option<&Current>,
        entry: Option<&Entry>,
    ) -> Option<Step> {
        let kept = record.current.as_ref()?;
        let skill = skill.to_owned();
        if self.is_revoked(&kept.bundle.sha256, &kept.signers) {
            let fallback = entry.filter(|entry| entry.fallback.is_some()).cloned().map(Box::new);
            return Some(Step::Evict { skill, fallback });
        }
        let release = current?.release.digest();
        if self.trust.order(self.now) == Some(RolloutOrder::Revert) && kept.release == release {
            return Some(Step::Revert { skill });
        }
        let gone = entry.is_none() && !self.busy.contains(&skill);
        (gone && self.trust.to_install(self.node_id, self.now).is_ok()).then_some(Step::Remove { skill })
    }

    fn about_wanted(&self, entry: &Entry, current: &Current) -> Option<Step> {
        let record = self.ledger.skills.get(&entry.skill);
        if let Some(record) = record {
            let installed = record.current.as_ref().is_some_and(|kept| kept.is(entry));
            if installed {
                let settled = matches!(record.state, SkillState::Committed | SkillState::Soaking);
                let skill = entry.skill.clone();
                return (!settled).then_some(Step::Keep { skill });
            }
            let back = self.trust.order(self.now) == Some(RolloutOrder::Revert);
            let reverted = record.state == SkillState::Reverted && back;
            if record.is_bad(&entry.bundle.sha256) || reverted {
                return None;
            }
        }
        let held = self.held.get(&entry.skill) == Some(&entry.bundle.sha256);
        if held && !entry.approved {
            return None;
        }
        if self.is_revoked(&entry.bundle.sha256, &[]) {
            return Some(wait(entry, "the bundle is revoked".to_owned(), None));
        }
        match self.obstacle() {
            Some((reason, wake)) => Some(wait(entry, reason, wake)),
            None => Some(Step::Install {
                entry: Box::new(entry.clone()),
                release: current.release.digest(),
            }),
        }
    }

    /// What speaks against installing anything now, and when to look again.
    fn obstacle(&self) -> Option<(String, Option<Duration>)> {
        let release = match self.trust.to_install(self.node_id, self.now) {
            Ok(release) => release.digest(),
            Err(not_yet) => return Some((not_yet.to_string(), None)),
        };
        let closed = opens_in(&self.settings.window, self.now);
        if !closed.is_zero() {
            let windows: Vec<String> = self.settings.window.iter().map(ToString::to_string).collect();
            let reason = format!("the update window is closed ({})", windows.join(", "));
            return Some((reason, Some(closed)));
        }
        let pause = self.pause_left(&release);
        (!pause.is_zero()).then(|| {
            let reason = format!("the last install is less than {:?} ago", self.settings.min_interval);
            (reason, Some(pause))
        })
    }

    /// Rest of the interval between two releases. A clock that went back does not stretch it.
    fn pause_left(&self, release: &Digest) -> Duration {
        let Some(last) = self.ledger.last_install else {
            return Duration::ZERO;
        };
        if self.ledger.last_release.as_ref() == Some(release) {
            return Duration::ZERO;
        }
        let passed = Duration::try_from(self.now.0.duration_since(last.0)).unwrap_or(self.settings.min_interval);
        self.settings.min_interval.saturating_sub(passed)
    }
}

fn wait(entry: &Entry, reason: String, wake: Option<Duration>) -> Step {
    Step::Wait {
        skill: entry.skill.clone(),
        reason,
        wake,
    }
}

#[cfg(test)]
mod tests {
    use venom_bundle::{
        BundleRef, Channel, Release, Role, Roles, Rollout, Root, RootPublisher, Selector, SigningKey, TrustedRoot,
        WHOLE, bucket,
    };

    use super::*;

    const SKILL: &str = "EchoSkill";

    fn at(hour: u32) -> Timestamp {
        Timestamp::parse(&format!("2026-05-04T{hour:02}:00:00Z")).unwrap()
    }

    fn bundle(n: u8) -> BundleRef {
        BundleRef {
            version: semver::Version::new(u64::from(n), 0, 0),
            sha256: Digest::of(&[n]),
            file_sha256: Digest::of(&[n, n]),
            size: 100,
            sources: Vec::new(),
        }
    }

    fn entry(n: u8) -> Entry {
        Entry {
            skill: SKILL.to_owned(),
            bundle: bundle(n),
            selector: Selector::default(),
            grants: None,
            approved: false,
            floor: None,
            fallback: None,
        }
    }

    /// A spore that has a release and a rollout, and what is installed on it.
    struct Spore {
        node_id: NodeId,
        release: Release,
        rollout: Rollout,
        ledger: Ledger,
        settings: UpdateSettings,
        local_trust: Trust,
        busy: BTreeSet<String>,
        held: BTreeMap<String, Digest>,
        now: Timestamp,
    }

    impl Spore {
        fn wanting(entries: Vec<Entry>) -> Self {
            let release = Release {
                format: Release::FORMAT,
                swarm_id: "s".parse().unwrap(),
                channel: Channel::default(),
                epoch: 1,
                seq: 1,
                prev_sha256: None,
                created: at(1),
                expires: at(20),
                entries,
                revoked: Vec::new(),
            };
            let rollout = Rollout {
                format: Rollout::FORMAT,
                swarm_id: "s".parse().unwrap(),
                channel: Channel::default(),
                release_sha256: Digest::of(b""),
                counter: 1,
                wave: WHOLE,
                state: RolloutOrder::Run,
                issued: at(1),
                expires: at(19),
            };
            Self {
                node_id: NodeId::random(),
                release,
                rollout,
                ledger: Ledger::default(),
                settings: UpdateSettings::new("/nowhere"),
                local_trust: Trust::nobody(),
                busy: BTreeSet::new(),
                held: BTreeMap::new(),
                now: at(12),
            }
        }

        fn installed(mut self, n: u8) -> Self {
            self.ledger.installed(SKILL, self.kept(n), at(2));
            self
        }

        fn kept(&self, n: u8) -> Kept {
            Kept {
                bundle: bundle(n),
                release: self.release_digest(),
                signers: Vec::new(),
                grants: None,
            }
        }

        fn release_digest(&self) -> Digest {
            self.release.unsigned().digest()
        }

        fn trust(&self) -> TrustState {
            let key = SigningKey::from_seed(&[3; 32]);
            let role = || Role {
                keys: vec![key.public()],
                threshold: 1,
            };
            let root = Root {
                format: Root::FORMAT,
                swarm_id: "s".parse().unwrap(),
                version: 1,
                epoch: 1,
                created: at(0),
                expires: at(22),
                roles: Roles {
                    root: role(),
                    release: role(),
                    rollout: role(),
                },
                publishers: vec![RootPublisher {
                    name: "p".to_owned(),
                    prefix: "*".to_owned(),
                    keys: vec![key.public()],
                    threshold: 1,
                    ceiling: None,
                    budgets: Default::default(),
                }],
                revoked: Vec::new(),
            };
            let sign = |mut document: venom_bundle::SignedDocument| {
                document.add_signature(&key);
                document.to_text()
            };
            let root = TrustedRoot::pin(sign(root.unsigned()).as_bytes()).unwrap();
            let mut state = TrustState::new(root, Channel::default());
            state.take_release(sign(self.release.unsigned()).as_bytes()).unwrap();
            let rollout = Rollout {
                release_sha256: self.release_digest(),
                ..self.rollout.clone()
            };
            state.take_rollout(sign(rollout.unsigned()).as_bytes()).unwrap();
            state
        }

        fn plan(&self) -> Vec<Step> {
            let trust = self.trust();
            plan(&Facts {
                node_id: self.node_id,
                tags: &[],
                trust: &trust,
                ledger: &self.ledger,
                settings: &self.settings,
                local_trust: &self.local_trust,
                busy: &self.busy,
                held: &self.held,
                now: self.now,
            })
        }

        /// The reason of the only step, which waits.
        fn waits(&self) -> (String, Option<Duration>) {
            match self.plan().as_slice() {
                [Step::Wait { reason, wake, .. }] => (reason.clone(), *wake),
                other => panic!("does not wait: {other:?}"),
            }
        }

        fn installs(&self) -> bool {
            matches!(self.plan().as_slice(), [Step::Install { .. }])
        }
    }

    #[test]
    fn what_is_wanted_is_installed_once() {
        let mut spore = Spore::wanting(vec![entry(1)]);
        assert!(spore.installs());
        spore.busy.insert(SKILL.to_owned());
        assert_eq!(spore.plan(), []);
        assert_eq!(Spore::wanting(vec![entry(1)]).installed(1).plan(), []);
        assert!(Spore::wanting(vec![entry(2)]).installed(1).installs());
    }

    #[test]
    fn what_is_switched_off_or_failed_here_is_not_installed() {
        let mut spore = Spore::wanting(vec![entry(1)]);
        spore.settings.switched_off = vec![SKILL.to_owned()];
        assert_eq!(spore.plan(), []);
        let mut spore = Spore::wanting(vec![entry(1)]);
        spore.ledger.failed(SKILL, bundle(1).sha256, "no".to_owned(), at(3));
        assert_eq!(spore.plan(), []);
    }

    #[test]
    fn held_until_approved() {
        let mut spore = Spore::wanting(vec![entry(1)]);
        spore.held.insert(SKILL.to_owned(), bundle(1).sha256);
        assert_eq!(spore.plan(), []);
        spore.release.entries[0].approved = true;
        assert!(spore.installs());
    }

    #[test]
    fn expiry_stops_installs_and_nothing_that_runs() {
        for expired in [20, 22] {
            let mut spore = Spore::wanting(vec![entry(2)]).installed(1);
            spore.rollout.expires = at(23);
            spore.now = at(expired);
            assert!(
                spore.waits().0.contains("nothing is installed until"),
                "{:?}",
                spore.waits()
            );
            assert_eq!(
                Spore {
                    now: at(expired),
                    ..Spore::wanting(vec![]).installed(1)
                }
                .plan(),
                []
            );
        }
        let spore = Spore {
            now: at(19),
            ..Spore::wanting(vec![entry(2)]).installed(1)
        };
        assert!(spore.waits().0.contains("expired"));
    }

    #[test]
    fn the_rollout_lets_in_by_place() {
        let mut spore = Spore::wanting(vec![entry(1)]);
        let place = bucket(&spore.release_digest(), spore.node_id);
        spore.rollout.wave = place;
        assert!(spore.waits().0.contains("not this spore's turn"));
        spore.rollout.wave = place + 1;
        assert!(spore.installs());
        spore.rollout.state = RolloutOrder::Pause;
        assert!(spore.waits().0.contains("paused"));
        spore.rollout.state = RolloutOrder::Revert;
        assert!(spore.waits().0.contains("taken back"));
    }

    #[test]
    fn a_revert_takes_back_what_this_release_brought_and_nothing_else() {
        let mut spore = Spore::wanting(vec![entry(2)]).installed(1);
        spore.rollout.state = RolloutOrder::Revert;
        spore.ledger.installed(SKILL, spore.kept(2), at(3));
        assert_eq!(
            spore.plan(),
            [Step::Revert {
                skill: SKILL.to_owned()
            }]
        );
        spore
            .ledger
            .stepped_back(SKILL, SkillState::Reverted, "back".to_owned(), |_| true, at(4));
        let mut kept = spore.kept(1);
        kept.release = Digest::of(b"an earlier one");
        spore.ledger.skills.get_mut(SKILL).unwrap().current = Some(kept);
        assert_eq!(spore.plan(), []);
        spore.now = at(19);
        assert!(!spore.plan().iter().any(|step| matches!(step, Step::Revert { .. })));
    }

    #[test]
    fn what_was_gone_back_to_is_there_to_stay_once_a_release_wants_it() {
        let mut spore = Spore::wanting(vec![entry(1)]).installed(1);
        spore
            .ledger
            .note(SKILL, SkillState::Reverted, Some("back".to_owned()), at(4));
        let stays = Step::Keep {
            skill: SKILL.to_owned(),
        };
        assert_eq!(spore.plan(), [stays]);
        spore.ledger.committed(SKILL, at(5));
        assert_eq!(spore.plan(), []);
    }

    #[test]
    fn revoked_goes_at_once_whatever_else_is_said() {
        for revoked in [
            bundle(1).sha256,
            *SigningKey::from_seed(&[9; 32]).public().id().digest(),
        ] {
            let mut spore = Spore::wanting(vec![entry(2)]);
            spore.release.revoked = vec![revoked];
            let mut kept = spore.kept(1);
            kept.signers = vec![SigningKey::from_seed(&[9; 32]).public().id()];
            spore.ledger.installed(SKILL, kept, at(2));
            spore.rollout.state = RolloutOrder::Pause;
            spore.settings.window = vec!["01:00-02:00".parse().unwrap()];
            let evicted = Step::Evict {
                skill: SKILL.to_owned(),
                fallback: None,
            };
            assert_eq!(spore.plan(), [evicted]);
        }
        let mut spore = Spore::wanting(vec![entry(1)]);
        let list = format!("revoked = [\"{}\"]", bundle(1).sha256);
        spore.local_trust = Trust::parse(&list).unwrap();
        assert!(spore.waits().0.contains("revoked"));
    }

    #[test]
    fn what_no_release_names_goes_when_the_rollout_lets_it() {
        let mut spore = Spore::wanting(vec![]).installed(1);
        assert_eq!(
            spore.plan(),
            [Step::Remove {
                skill: SKILL.to_owned()
            }]
        );
        spore.rollout.state = RolloutOrder::Pause;
        assert_eq!(spore.plan(), []);
    }

    #[test]
    fn windows_and_intervals_put_off_and_say_when() {
        let mut spore = Spore::wanting(vec![entry(1)]);
        spore.settings.window = vec!["13:00-14:00".parse().unwrap()];
        let (reason, wake) = spore.waits();
        assert!(
            reason.contains("13:00-14:00") && wake == Some(Duration::from_secs(3600)),
            "{reason} {wake:?}"
        );
        spore.settings.window.clear();
        spore.settings.min_interval = Duration::from_secs(2 * 3600);
        spore.ledger.last_install = Some(at(11));
        assert_eq!(spore.waits().1, Some(Duration::from_secs(3600)));
        // the rest of one release is not held up by its own beginning
        spore.ledger.last_release = Some(spore.release_digest());
        assert!(spore.installs());
        // a clock that went back does not stretch the interval
        spore.ledger.last_release = None;
        spore.ledger.last_install = Some(at(18));
        assert!(spore.installs());
    }

    #[test]
    fn what_is_under_the_floor_or_revoked_does_not_return() {
        let mut spore = Spore::wanting(vec![entry(2)]);
        spore.release.revoked = vec![Digest::of(&[7])];
        let trust = spore.trust();
        let facts = Facts {
            node_id: spore.node_id,
            tags: &[],
            trust: &trust,
            ledger: &spore.ledger,
            settings: &spore.settings,
            local_trust: &spore.local_trust,
            busy: &spore.busy,
            held: &spore.held,
            now: spore.now,
        };
        let floor = Entry {
            floor: Some(semver::Version::new(2, 0, 0)),
            ..entry(2)
        };
        assert!(facts.may_return(&spore.kept(1), Some(&entry(2))));
        assert!(!facts.may_return(&spore.kept(1), Some(&floor)));
        assert!(facts.may_return(&spore.kept(2), Some(&floor)));
        assert!(!facts.may_return(&spore.kept(7), None));
    }
}
