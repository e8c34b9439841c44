//! What a release would do, before anybody is told of it.

use venom_bundle::{
    BundleRef, Digest, DocumentKind, Entry, Manifest, Release, SignedDocument, UnverifiedBundle, bucket,
};
use venom_protocol::{DryRun, NodeView, PublishRelease, RolloutPlan, SkillChange, SporePlan, Timestamp};

use super::publish::{check_fresh, check_place, claimed, state};
use super::rollout::{check_plan, wave_of};
use super::shelf::{Line, Picture};
use super::{ReleaseError, Releases};

impl Releases {
    /// What a release would change, where, and why it could not be published as it is. It may be unsigned.
    pub(crate) async fn dry_run(&self, request: &PublishRelease) -> Result<DryRun, ReleaseError> {
        let release = claimed(&request.release)?;
        let signed = SignedDocument::parse(DocumentKind::Release, request.release.as_bytes())?;
        let plan = request.plan.clone().unwrap_or_default();
        let picture = self.look().await?;
        let before = picture.lines.get(&release.channel);
        let mut problems: Vec<String> = check_plan(&plan).err().into_iter().collect();
        problems.extend(self.problems(request, &release, &picture).await?);
        let old = before.map(|line| line.release());
        let nodes = self.hive.nodes_everywhere();
        let digest = signed.digest();
        Ok(DryRun {
            release_sha256: digest.to_string(),
            changes: self.changes(old, &release).await?,
            spores: nodes
                .into_iter()
                .map(|node| plan_of(node, old, &release, &digest, &plan))
                .collect(),
            problems,
        })
    }

    async fn problems(
        &self,
        request: &PublishRelease,
        release: &Release,
        picture: &Picture,
    ) -> Result<Vec<String>, ReleaseError> {
        let before = picture.lines.get(&release.channel).map(|line| &**line);
        let root = match self.root() {
            Ok(root) => root,
            Err(ReleaseError::NotReady(why)) => return Ok(vec![why]),
            Err(error) => return Err(error),
        };
        let mut problems = Vec::new();
        let mut trust = state(&root, &release.channel, before);
        match trust.take_release(request.release.as_bytes()) {
            Err(error) => {
                problems.push(error.to_string());
                problems.extend(before.and_then(|line| misplaced(release, line)));
            }
            Ok(_) => {
                let place = check_place(&trust, before, picture).err();
                let fresh = check_fresh(&trust, Timestamp::now()).err();
                problems.extend(place.into_iter().chain(fresh).map(|error| error.to_string()));
            }
        }
        if self.settings.online_key.is_none() {
            problems.push("this nexus has no online key and cannot begin a rollout".to_owned());
        }
        let bundles = self.check_bundles(release, &root).await;
        problems.extend(bundles.iter().map(ToString::to_string));
        Ok(problems)
    }

    /// What changes for each skill that one of the two releases names.
    async fn changes(&self, old: Option<&Release>, new: &Release) -> Result<Vec<SkillChange>, ReleaseError> {
        let old = old.map_or(&[][..], |old| &old.entries);
        let mut changes = Vec::new();
        let mut told = std::collections::BTreeSet::new();
        for entry in &new.entries {
            let is_kept = old
                .iter()
                .any(|before| before.skill == entry.skill && before.bundle.sha256 == entry.bundle.sha256);
            if is_kept || !told.insert((&entry.skill, entry.bundle.sha256)) {
                continue;
            }
            let before = old.iter().find(|before| before.skill == entry.skill);
            changes.push(self.changed(before, entry).await?);
        }
        let mut gone = std::collections::BTreeSet::new();
        for entry in old {
            let is_there = new.entries.iter().any(|after| after.skill == entry.skill);
            if !is_there && gone.insert(&entry.skill) {
                changes.push(SkillChange {
                    skill: entry.skill.clone(),
                    from: Some(entry.bundle.version.to_string()),
                    to: None,
                    asks_more: Vec::new(),
                    asks_less: Vec::new(),
                    held: false,
                });
            }
        }
        Ok(changes)
    }

    async fn changed(&self, before: Option<&Entry>, entry: &Entry) -> Result<SkillChange, ReleaseError> {
        let now = self
            .manifest(&entry.bundle)
            .await?
            .map(|manifest| manifest.capabilities)
            .unwrap_or_default();
        let was = match before {
            Some(before) => self
                .manifest(&before.bundle)
                .await?
                .map(|manifest| manifest.capabilities),
            None => None,
        };
        let was = was.unwrap_or_default();
        let asks_more = now.beyond(&was);
        Ok(SkillChange {
            skill: entry.skill.clone(),
            from: before.map(|before| before.bundle.version.to_string()),
            to: Some(entry.bundle.version.to_string()),
            held: before.is_some() && !entry.approved && !asks_more.is_empty(),
            asks_less: was.beyond(&now),
            asks_more,
        })
    }

    /// What a bundle in the store says of itself: for showing only.
    async fn manifest(&self, named: &BundleRef) -> Result<Option<Manifest>, ReleaseError> {
        let Some((path, _)) = self.find(&named.file_sha256).await? else {
            return Ok(None);
        };
        let reading = tokio::task::spawn_blocking(move || {
            let bundle = UnverifiedBundle::read(&path).ok()?;
            bundle.claimed().manifest().ok().cloned()
        });
        Ok(reading.await.unwrap_or(None))
    }
}

/// Whether a release that is not signed yet could follow the current one; signed ones are asked the whole question.
fn misplaced(release: &Release, current: &Line) -> Option<String> {
    let (epoch, seq) = (current.release().epoch, current.release().seq);
    if (release.epoch, release.seq) <= (epoch, seq) {
        return Some(format!(
            "its number must be greater than {epoch}.{seq}, that of the current release"
        ));
    }
    let expected = (release.epoch == epoch).then_some(current.digest);
    (release.prev_sha256 != expected).then(|| match expected {
        Some(digest) => format!("its prev_sha256 must be {digest}, the current release"),
        None => "its prev_sha256 must be absent: it is the first of its epoch".to_owned(),
    })
}

/// What a release would do on one spore. Of a spore that follows another channel, or none, that is nothing.
fn plan_of(node: NodeView, old: Option<&Release>, new: &Release, digest: &Digest, plan: &RolloutPlan) -> SporePlan {
    let report = node.update.as_deref();
    let follows = report.is_some_and(|report| report.channel == new.channel.as_str() && report.root_version > 0);
    let tags = &node.capabilities.tags;
    let (mut changes, mut is_meant) = (Vec::new(), false);
    if follows {
        let wanted = new.wanted(node.node_id, tags);
        let had = old.map(|old| old.wanted(node.node_id, tags)).unwrap_or_default();
        is_meant = !wanted.is_empty() || new.entries.is_empty();
        for entry in &wanted {
            let reported = report.and_then(|report| report.skills.iter().find(|skill| skill.skill == entry.skill));
            let from = reported.and_then(|skill| skill.version.clone());
            let same = reported.is_some_and(|skill| skill.bundle_sha256 == Some(entry.bundle.sha256.to_string()));
            if !same {
                let from = from.unwrap_or_else(|| "none".to_owned());
                changes.push(format!("{} {from} -> {}", entry.skill, entry.bundle.version));
            }
        }
        let gone = had
            .iter()
            .filter(|entry| wanted.iter().all(|after| after.skill != entry.skill));
        changes.extend(gone.map(|entry| format!("{} {} -> none", entry.skill, entry.bundle.version)));
    }
    SporePlan {
        wave: is_meant.then(|| wave_of(plan, bucket(digest, node.node_id))),
        node_id: node.node_id,
        node_name: node.node_name,
        is_online: node.is_online,
        changes,
    }
}
