//! What changes which version answers: taking over, stepping back, falling back, going away. Each is noted on disk and in
//! the audit log.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use venom_bundle::{Digest, Entry};
use venom_protocol::{SkillState, Timestamp};

use super::{Employer, Updater, entry_of, of};
use crate::update::ledger::Kept;
use crate::update::live::Watched;
use crate::update::plan::Step;
use crate::update::stage::{self, Staged};

impl Updater {
    /// A bundle that will never do.
    pub(super) async fn refuse(&mut self, entry: Entry, why: String, employer: &Employer) {
        let name = entry.skill.as_str();
        tracing::error!(skill = name, version = %entry.bundle.version, why, "a bundle of the release is refused");
        let facts = json!({ "skill": name, "version": entry.bundle.version, "bundle_sha256": entry.bundle.sha256, "reason": why });
        self.keeper.audit("bundle_refused", facts);
        self.ledger.failed(name, entry.bundle.sha256, why, Timestamp::now());
        self.keep_ledger().await;
        if self.live.current(name).is_none() {
            self.fall_back(entry, employer);
        }
    }

    /// The new version takes over, if it is still wanted. Kept on disk first: after a crash it takes over again.
    pub(super) async fn swap(&mut self, entry: Entry, release: Digest, staged: Staged, employer: &Employer) {
        let name = entry.skill.clone();
        let is_fallback = self.is_fallback(&entry);
        let still = |step: &Step| matches!(step, Step::Install { entry: wanted, .. } if **wanted == entry);
        if !is_fallback && !self.plan(employer).iter().any(still) {
            tracing::info!(skill = name, "the release moved on while a bundle was staged");
            return;
        }
        let before = self.ledger.clone();
        let version = entry.bundle.version.clone();
        let kept = Kept {
            release,
            signers: staged.signers,
            grants: entry.grants,
            bundle: entry.bundle,
        };
        let now = Timestamp::now();
        let facts = json!({ "skill": name, "version": version, "bundle_sha256": kept.bundle.sha256, "release_sha256": release });
        self.ledger.installed(&name, kept, now);
        if is_fallback {
            let reason = "what the release wants failed; this is what it falls back on".to_owned();
            self.ledger.note(&name, SkillState::RolledBack, Some(reason), now);
        }
        if !self.keep_ledger().await {
            self.ledger = before;
            self.put_off(&name, None);
            let reason = "the disk does not take the note of it".to_owned();
            self.ledger.note(&name, SkillState::Failed, Some(reason), now);
            return;
        }
        self.later.remove(&name);
        self.live
            .swap(&name, staged.loaded, (!is_fallback).then_some(self.settings.soak));
        tracing::info!(skill = name, %version, "a new version answers calls");
        self.keeper.audit("skill_installed", facts);
        employer.line.skills_changed();
        self.clean();
    }

    /// Whether an entry is what some entry falls back on.
    fn is_fallback(&self, entry: &Entry) -> bool {
        let entries = self.release().map_or(&[][..], |release| &release.entries);
        entries
            .iter()
            .any(|known| known.skill == entry.skill && known.fallback.as_ref() == Some(&entry.bundle))
            && !entries
                .iter()
                .any(|known| known.skill == entry.skill && known.bundle == entry.bundle)
    }

    /// Installs what an entry falls back on, whatever the rollout says: there is nothing else to run.
    pub(super) fn fall_back(&mut self, entry: Entry, employer: &Employer) {
        let Some(bundle) = entry.fallback.clone() else { return };
        let spoiled = self
            .ledger
            .skills
            .get(&entry.skill)
            .is_some_and(|record| record.is_bad(&bundle.sha256));
        let release = self.trusted.mark().and_then(|mark| mark.sha256.parse().ok());
        if let Some(release) = release.filter(|_| !spoiled && !self.busy.contains(&entry.skill)) {
            let entry = Entry {
                bundle,
                fallback: None,
                ..entry
            };
            self.install(Box::new(entry), release, employer);
        }
    }

    /// What answers goes, and what did before takes its place where it may.
    pub(super) async fn step_back(&mut self, name: &str, state: SkillState, reason: String, employer: &Employer) {
        let now = Timestamp::now();
        let Some(trust) = &self.trusted.state else { return };
        let entry = of(&self.wanted(employer), name).cloned();
        let busy = BTreeSet::new();
        let fit = {
            let facts = self.facts(trust, employer, &busy);
            let previous = self.ledger.skills.get(name).and_then(|record| record.previous.as_ref());
            previous.is_some_and(|kept| facts.may_return(kept, entry.as_ref()))
        };
        let facts = json!({ "skill": name, "state": state, "reason": reason });
        let back = self.ledger.stepped_back(name, state, reason.clone(), |_| fit, now);
        // what is wrong stops first, whether the disk takes the note or not
        self.live.step_back(name, back.is_some(), state == SkillState::Removed);
        tracing::warn!(skill = name, ?state, reason, back = ?back.as_ref().map(|kept| &kept.bundle.version), "a version stepped back");
        self.keeper.audit("skill_stepped_back", facts);
        self.keep_ledger().await;
        if let Some(back) = back.filter(|_| self.live.current(name).is_none()) {
            self.reload(name, &back).await;
        }
        employer.line.skills_changed();
        if let Some(entry) = entry.filter(|_| state == SkillState::RolledBack && self.live.current(name).is_none()) {
            self.fall_back(entry, employer);
        }
    }

    /// Takes up from disk what answers by the ledger but is not in memory.
    async fn reload(&mut self, name: &str, kept: &Kept) {
        match self.load_beside(name, kept).await {
            Ok(staged) => self.live.restore(name, staged.loaded, None, None),
            Err(why) => self.could_not_restore(name, &why, None),
        }
    }

    /// The version kept ready had calls that did not end in time, and was stopped: another of the same is made ready.
    pub(super) async fn ready_again(&mut self, name: &str) {
        let previous = self.ledger.skills.get(name).and_then(|record| record.previous.clone());
        let Some(kept) = previous else { return };
        match self.load_beside(name, &kept).await {
            Ok(staged) => self.live.keep_ready(name, staged.loaded),
            Err(why) => tracing::warn!(skill = name, why, "the version before cannot be kept ready"),
        }
    }

    async fn load_beside(&self, name: &str, kept: &Kept) -> Result<Staged, String> {
        let path = self.keeper.disk.bundle(&kept.bundle.file_sha256);
        let (ground, order) = (Arc::clone(&self.ground), self.order(entry_of(name, kept), None));
        let loading = tokio::task::spawn_blocking(move || stage::load(&ground, &order, &path));
        loading.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    pub(super) async fn remove(&mut self, name: &str, employer: &Employer) {
        let reason = "no release names it any more".to_owned();
        self.ledger.removed(name, reason, Timestamp::now());
        if self.keep_ledger().await {
            self.live.step_back(name, false, false);
            self.keeper.audit("skill_removed", json!({ "skill": name }));
            employer.line.skills_changed();
        }
    }

    pub(super) async fn watch(&mut self, employer: &Employer) {
        for watched in self.live.look(&self.settings.gate) {
            match watched {
                Watched::Stays(name) => {
                    self.ledger.committed(&name, Timestamp::now());
                    self.keep_ledger().await;
                    self.keeper.audit("skill_committed", json!({ "skill": name }));
                }
                Watched::Fails(name, reason) => {
                    self.step_back(&name, SkillState::RolledBack, reason, employer).await;
                }
            }
        }
    }

    fn clean(&self) {
        let mut needed = self.ledger.files(self.settings.keep);
        let entries = self.release().map_or(&[][..], |release| &release.entries);
        let refs = entries
            .iter()
            .flat_map(|entry| [Some(&entry.bundle), entry.fallback.as_ref()]);
        let coming: BTreeSet<Digest> = refs.flatten().map(|bundle| bundle.file_sha256).collect();
        // one that has just come may be about to be staged
        needed.extend(&coming);
        if let Err(error) = self.keeper.disk.clean(&needed, &coming) {
            tracing::warn!(%error, "old bundles cannot be cleared away");
        }
    }
}
