//! What is installed from releases, as kept on disk: for each skill what answers calls, what did before, and where the
//! update stands. Each change of a skill's state is one function here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use venom_bundle::capability::SkillPolicy;
use venom_bundle::{BundleRef, Digest, Entry, KeyId};
use venom_protocol::{SkillReport, SkillState, Timestamp};

const FORMAT: u32 = 1;
/// Bundles remembered as bad for one skill; the oldest is forgotten first.
const MOST_BAD: usize = 32;
/// Files remembered for one skill, whatever the settings say.
const MOST_FILES: usize = 100;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    format: u32,
    /// When something was installed last.
    #[serde(default)]
    pub(super) last_install: Option<Timestamp>,
    /// The release that was installed from last.
    #[serde(default)]
    pub(super) last_release: Option<Digest>,
    pub(super) skills: BTreeMap<String, Record>,
}

/// One skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Answers calls.
    #[serde(default)]
    pub(super) current: Option<Kept>,
    /// Did before, and would again.
    #[serde(default)]
    pub(super) previous: Option<Kept>,
    pub(super) state: SkillState,
    #[serde(default)]
    pub(super) reason: Option<String>,
    pub(super) since: Timestamp,
    /// Bundles that failed here, the newest last: they are not tried again.
    #[serde(default)]
    bad: Vec<Digest>,
    /// Files of the bundles that were installed, the newest last.
    #[serde(default)]
    files: Vec<Digest>,
}

/// One installed bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) bundle: BundleRef,
    /// The release that brought it.
    pub(super) release: Digest,
    /// Keys that signed it: when one is revoked, so is this.
    pub(super) signers: Vec<KeyId>,
    /// What the release granted.
    #[serde(default)]
    pub(super) grants: Option<SkillPolicy>,
}

impl Kept {
    /// Whether an entry wants just this.
    pub(super) fn is(&self, entry: &Entry) -> bool {
        self.bundle.sha256 == entry.bundle.sha256 && self.grants == entry.grants
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            format: FORMAT,
            last_install: None,
            last_release: None,
            skills: BTreeMap::new(),
        }
    }
}

impl Ledger {
    /// Reads kept bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let ledger: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if ledger.format == FORMAT {
            Ok(ledger)
        } else {
            Err(format!("it has format {}, this host reads {FORMAT}", ledger.format))
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Files of bundles that are in use, and of each skill the newest, `keep` in all.
    pub(super) fn files(&self, keep: usize) -> BTreeSet<Digest> {
        let records = self.skills.values();
        let newest = records.flat_map(|record| record.files.iter().rev().take(keep)).copied();
        let in_use = self
            .skills
            .values()
            .flat_map(|record| [&record.current, &record.previous]);
        newest
            .chain(in_use.flatten().map(|kept| kept.bundle.file_sha256))
            .collect()
    }

    fn record(&mut self, skill: &str, now: Timestamp) -> &mut Record {
        self.skills.entry(skill.to_owned()).or_insert_with(|| Record {
            current: None,
            previous: None,
            state: SkillState::Waiting,
            reason: None,
            since: now,
            bad: Vec::new(),
            files: Vec::new(),
        })
    }

    /// Notes where the update of a skill stands; nothing is installed by it. False: that was known.
    pub(super) fn note(&mut self, skill: &str, state: SkillState, reason: Option<String>, now: Timestamp) -> bool {
        let record = self.record(skill, now);
        let news = record.state != state || record.reason != reason;
        if news {
            if record.state != state {
                record.since = now;
            }
            (record.state, record.reason) = (state, reason);
        }
        news
    }

    /// A new version takes over and is watched.
    pub(super) fn installed(&mut self, skill: &str, kept: Kept, now: Timestamp) {
        self.last_release = Some(kept.release);
        let record = self.record(skill, now);
        let file = kept.bundle.file_sha256;
        record.files.retain(|known| *known != file);
        record.files.push(file);
        let over = record.files.len().saturating_sub(MOST_FILES);
        record.files.drain(..over);
        record.previous = record.current.replace(kept);
        (record.state, record.reason, record.since) = (SkillState::Soaking, None, now);
        self.last_install = Some(now);
    }

    /// The watched version stays.
    pub(super) fn committed(&mut self, skill: &str, now: Timestamp) {
        self.note(skill, SkillState::Committed, None, now);
    }

    /// What answers calls goes, and `state` says how; the one before takes its place when it may (`fit`). Answers it.
    pub(super) fn stepped_back(
        &mut self,
        skill: &str,
        state: SkillState,
        reason: String,
        fit: impl FnOnce(&Kept) -> bool,
        now: Timestamp,
    ) -> Option<Kept> {
        let record = self.record(skill, now);
        let gone = record.current.take();
        if let Some(gone) = gone.filter(|_| state == SkillState::RolledBack) {
            record.spoil(gone.bundle.sha256);
        }
        record.current = record.previous.take().filter(fit);
        (record.state, record.reason, record.since) = (state, Some(reason), now);
        record.current.clone()
    }

    /// A wanted bundle failed before it answered a call.
    pub(super) fn failed(&mut self, skill: &str, bundle: Digest, reason: String, now: Timestamp) {
        self.record(skill, now).spoil(bundle);
        self.note(skill, SkillState::Failed, Some(reason), now);
    }

    /// Nothing of a skill is left but the word why.
    pub(super) fn removed(&mut self, skill: &str, reason: String, now: Timestamp) {
        let record = self.record(skill, now);
        (record.current, record.previous) = (None, None);
        self.note(skill, SkillState::Removed, Some(reason), now);
    }
}

impl Record {
    fn spoil(&mut self, bundle: Digest) {
        self.bad.retain(|known| *known != bundle);
        self.bad.push(bundle);
        let over = self.bad.len().saturating_sub(MOST_BAD);
        self.bad.drain(..over);
    }

    /// Whether this bundle failed here.
    pub(super) fn is_bad(&self, bundle: &Digest) -> bool {
        self.bad.contains(bundle)
    }

    /// As the nexus is told; `wanted` is the release's entry.
    pub(super) fn report(&self, skill: &str, wanted: Option<&Entry>) -> SkillReport {
        let current = self.current.as_ref().map(|kept| &kept.bundle);
        SkillReport {
            skill: skill.to_owned(),
            state: self.state,
            version: current.map(|bundle| bundle.version.to_string()),
            bundle_sha256: current.map(|bundle| bundle.sha256.to_string()),
            wanted_version: wanted.map(|entry| entry.bundle.version.to_string()),
            wanted_sha256: wanted.map(|entry| entry.bundle.sha256.to_string()),
            reason: self.reason.clone(),
            since: self.since,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-05-04T12:00:00Z").unwrap()
    }

    fn kept(n: u8) -> Kept {
        Kept {
            bundle: BundleRef {
                version: semver::Version::new(u64::from(n), 0, 0),
                sha256: Digest::of(&[n]),
                file_sha256: Digest::of(&[n, n]),
                size: 1,
                sources: Vec::new(),
            },
            release: Digest::of(b"release"),
            signers: Vec::new(),
            grants: None,
        }
    }

    #[test]
    fn a_rollback_spoils_the_bundle_and_brings_back_the_one_before() {
        let mut ledger = Ledger::default();
        ledger.installed("Echo", kept(1), now());
        ledger.committed("Echo", now());
        ledger.installed("Echo", kept(2), now());
        let back = ledger.stepped_back("Echo", SkillState::RolledBack, "it crashed".to_owned(), |_| true, now());
        assert_eq!(back, Some(kept(1)));
        let record = &ledger.skills["Echo"];
        assert!(record.is_bad(&kept(2).bundle.sha256) && !record.is_bad(&kept(1).bundle.sha256));
        assert_eq!((record.state, &record.previous), (SkillState::RolledBack, &None));
        assert_eq!(Ledger::parse(&ledger.to_bytes()), Ok(ledger.clone()));
        let file = |n| kept(n).bundle.file_sha256;
        assert_eq!(ledger.files(0), [file(1)].into(), "in use");
        for n in [3, 4, 5] {
            ledger.installed("Echo", kept(n), now());
        }
        assert_eq!(ledger.files(2), [file(4), file(5)].into());
        assert_eq!(ledger.files(3), [file(3), file(4), file(5)].into());
    }

    #[test]
    fn what_may_not_run_is_not_gone_back_to_and_a_revert_spoils_nothing() {
        let mut ledger = Ledger::default();
        ledger.installed("Echo", kept(1), now());
        ledger.installed("Echo", kept(2), now());
        let back = ledger.stepped_back("Echo", SkillState::Reverted, "reverted".to_owned(), |_| false, now());
        assert_eq!(back, None);
        let record = &ledger.skills["Echo"];
        assert!(!record.is_bad(&kept(2).bundle.sha256));
        assert_eq!((&record.current, &record.previous), (&None, &None));
    }

    #[test]
    fn what_is_remembered_as_bad_is_bounded() {
        let mut ledger = Ledger::default();
        for n in 0..100 {
            ledger.failed("Echo", Digest::of(&[n]), "no".to_owned(), now());
        }
        let record = &ledger.skills["Echo"];
        assert_eq!(record.bad.len(), MOST_BAD);
        assert!(record.is_bad(&Digest::of(&[99])) && !record.is_bad(&Digest::of(&[0])));
    }

    #[test]
    fn since_changes_with_the_state_only() {
        let mut ledger = Ledger::default();
        let later = Timestamp::parse("2026-05-04T13:00:00Z").unwrap();
        assert!(ledger.note("Echo", SkillState::Waiting, Some("wave".to_owned()), now()));
        assert!(ledger.note("Echo", SkillState::Waiting, Some("window".to_owned()), later));
        assert!(!ledger.note("Echo", SkillState::Waiting, Some("window".to_owned()), later));
        assert_eq!(ledger.skills["Echo"].since, now());
        assert!(ledger.note("Echo", SkillState::Fetching, None, later));
        assert_eq!(ledger.skills["Echo"].since, later);
    }
}
