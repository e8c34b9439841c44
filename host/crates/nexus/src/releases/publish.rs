//! Publishing: a root or a release is verified exactly as a spore would, everything it names must be here, and only then
//! it is kept and told. Asking again for what was done changes nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use venom_bundle::{
    BundleRef, Channel, Digest, DocumentKind, MAX_ROLLOUT_LIFETIME, Release, Rollout, Root, SignedDocument, SigningKey,
    Taken, TrustState, TrustedRoot, sign_note,
};
use venom_protocol::{PublishRelease, ReleaseView, RolloutPlan, Timestamp};

use super::rollout::{self, Progress};
use super::shelf::{FORMAT, Kept, Line, MOST_CHANNELS, Note, Picture};
use super::{ReleaseError, Releases, chain, records, store};

/// Tries of a write that others get in the way of.
pub(super) const TRIES: usize = 16;
/// Releases of a channel that are listed.
const LISTED: usize = 100;
/// Most bytes of that list: it is one record.
const LIST_BYTES: usize = 900 * 1024;

/// Who does something.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// Name of the token, or `nexus`.
    pub(crate) name: Arc<str>,
    /// From where; absent: the nexus itself.
    pub(crate) peer: Option<IpAddr>,
}

/// What came of publishing.
pub(crate) struct Published {
    pub(crate) line: Arc<Line>,
    /// False: it was there already.
    pub(crate) is_new: bool,
}

impl Releases {
    /// Takes the next root. True: it is new.
    pub(crate) async fn publish_root(&self, text: &str, who: &Who) -> Result<bool, ReleaseError> {
        let taken = self.take_root(text).await;
        match &taken {
            Ok(Some(root)) => {
                let root = root.root();
                let facts = json!({ "version": root.version, "epoch": root.epoch, "swarm_id": root.swarm_id });
                self.record("ROOT_ROTATED", format!("root {} counts now", root.version), facts, who);
                let lines: Vec<Arc<Line>> = self.picture()?.lines.values().cloned().collect();
                for line in &lines {
                    self.announce(Self::facts(line)).await;
                }
                if lines.is_empty() {
                    self.announce(json!({ "channel": Channel::default() })).await;
                }
            }
            Ok(None) => {}
            Err(error) => self.refused("root", error, who),
        }
        Ok(taken?.is_some())
    }

    async fn take_root(&self, text: &str) -> Result<Option<TrustedRoot>, ReleaseError> {
        let picture = self.look().await?;
        if let Some(conflict) = &picture.conflict {
            return Err(ReleaseError::NotReady(conflict.clone()));
        }
        let chain = picture.chain.as_ref().ok_or_else(store::no_root)?;
        let signed = SignedDocument::parse(DocumentKind::Root, text.as_bytes())?;
        // nothing is decided by it but which root it may be a copy of
        if let Ok(Root { version, .. }) = signed.claimed()
            && let Some(kept) = chain.at(version)
        {
            if kept.digest() == signed.digest() {
                return Ok(None);
            }
            // of whoever cannot sign a root this is no alarm, only wrong
            let next = chain
                .at(version.saturating_sub(1))
                .map(|before| before.rotate(text.as_bytes()));
            return Err(match next {
                Some(Ok(_)) => ReleaseError::Alarm(format!(
                    "two different roots are both version {version} ({} and {}): a key signs what it should not",
                    signed.digest().short(),
                    kept.digest().short()
                )),
                Some(Err(error)) => error.into(),
                None => ReleaseError::Conflict(format!("root {version} is where trust began here, and it is another")),
            });
        }
        let root = chain.newest().rotate(text.as_bytes())?;
        chain::keep(&*self.broker, &root).await?;
        self.look().await?;
        Ok(Some(root))
    }

    /// Takes a release and begins its rollout.
    pub(crate) async fn publish(&self, request: PublishRelease, who: &Who) -> Result<Published, ReleaseError> {
        let published = self
            .try_publish(&request)
            .await
            .inspect_err(|error| self.refused("release", error, who))?;
        let (published, before) = published;
        if published.is_new {
            self.after_publishing(&published.line, before.as_deref(), who).await;
        }
        Ok(published)
    }

    /// Who tried to pass what, and why it was refused.
    pub(super) fn refused(&self, what: &str, error: &ReleaseError, who: &Who) {
        let facts = json!({ "document": what, "reason": error.to_string(), "by": &*who.name, "peer": who.peer });
        self.audit.record("document_refused", facts);
        if let ReleaseError::Alarm(why) = error {
            self.alarm(&who.name, why);
        }
    }

    async fn try_publish(&self, request: &PublishRelease) -> Result<(Published, Option<Arc<Line>>), ReleaseError> {
        let plan = request.plan.clone().unwrap_or_default();
        rollout::check_plan(&plan).map_err(ReleaseError::Malformed)?;
        let text = request.release.as_str();
        let channel = claimed(text)?.channel;
        let mut checked_under = None;
        for _ in 0..TRIES {
            let picture = self.look().await?;
            let root = self.root()?;
            let before = picture.lines.get(&channel).cloned();
            let mut trust = state(&root, &channel, before.as_deref());
            if trust.take_release(text.as_bytes())? == Taken::Same
                && let Some(line) = before
            {
                return Ok((Published { line, is_new: false }, None));
            }
            check_place(&trust, before.as_deref(), &picture)?;
            let now = Timestamp::now();
            check_fresh(&trust, now)?;
            let kept = self.begun(&mut trust, before.as_deref(), &plan, now)?;
            if checked_under != Some(root.digest()) {
                let problems = self.check_bundles(release_of(&trust)?, &root).await;
                problems.into_iter().next().map_or(Ok(()), Err)?;
                checked_under = Some(root.digest());
            }
            if self.write(&channel, &kept, before.as_deref()).await? {
                let picture = self.look().await?;
                let line = Self::line(&picture, &channel)?;
                return Ok((Published { line, is_new: true }, before));
            }
        }
        Err(contended())
    }

    /// What is kept of a release that is taken. The current one signed anew goes on where it was.
    fn begun(
        &self,
        trust: &mut TrustState,
        before: Option<&Line>,
        plan: &RolloutPlan,
        now: Timestamp,
    ) -> Result<Kept, ReleaseError> {
        let current = trust.current().ok_or(venom_bundle::StateError::NoRelease)?;
        let (text, digest) = (current.release.to_text(), current.release.digest());
        let same = before.filter(|line| line.digest == digest);
        let note = same.map_or_else(
            || Note {
                release_sha256: digest,
                turn: 1,
                plan: plan.clone(),
                progress: Progress::begun(now),
            },
            |line| line.next_note(line.note.progress.clone()),
        );
        let counter = same.map_or(1, Line::next_counter);
        Ok(Kept {
            format: FORMAT,
            root_version: trust.root().root().version,
            is_resigned: same.is_some(),
            release: text,
            rollout: self.sign(trust, &note, counter, now)?,
            note: sign_note(&note, self.online_key()?),
        })
    }

    /// Writes a channel if nobody else did. A new channel is listed before it is there.
    pub(super) async fn write(
        &self,
        channel: &Channel,
        kept: &Kept,
        before: Option<&Line>,
    ) -> Result<bool, ReleaseError> {
        if before.is_none() {
            records::change(&*self.broker, records::CHANNELS, |mut names: Vec<Channel>| {
                if names.contains(channel) {
                    return None;
                }
                names.push(channel.clone());
                Some(names)
            })
            .await?;
        }
        let (name, bytes) = (records::channel(channel.as_str()), records::bytes_of(kept)?);
        let expected = before.map_or(0, |line| line.version);
        Ok(records::put(&*self.broker, &name, bytes, expected).await?)
    }

    /// What signs rollouts.
    pub(super) fn online_key(&self) -> Result<&SigningKey, ReleaseError> {
        self.settings.online_key.as_deref().ok_or_else(|| {
            ReleaseError::NotReady(
                "this nexus has no online key, so it cannot begin or change a rollout: put keys/online.key (made by \
                 `venom-host init`) into its data directory, or ask a nexus that has it"
                    .to_owned(),
            )
        })
    }

    /// Signs a rollout and takes it, so that nothing is told that spores would refuse.
    pub(super) fn sign(
        &self,
        trust: &mut TrustState,
        note: &Note,
        counter: u64,
        now: Timestamp,
    ) -> Result<String, ReleaseError> {
        let key = self.online_key()?;
        let current = trust.current().ok_or(venom_bundle::StateError::NoRelease)?;
        let lifetime = jiff::SignedDuration::try_from(self.settings.rollout_lifetime).unwrap_or(MAX_ROLLOUT_LIFETIME);
        let expires = now
            .0
            .checked_add(lifetime.min(MAX_ROLLOUT_LIFETIME))
            .map_or(now, Timestamp);
        let order = note.progress.order();
        let mut document = Rollout {
            wave: note.progress.reach(&note.plan),
            ..current.release.draft_rollout(counter, order, now, expires)
        }
        .unsigned();
        document.add_signature(key);
        let text = document.to_text();
        trust.take_rollout(text.as_bytes()).map_err(|error| {
            ReleaseError::NotReady(format!(
                "the online key of this nexus ({}) cannot sign rollouts under root {}: {error}; publish a root whose \
                 rollout role is this key alone",
                key.public().id().short(),
                trust.root().root().version
            ))
        })?;
        self.metrics.rollouts_signed.inc();
        Ok(text)
    }

    async fn after_publishing(&self, line: &Line, before: Option<&Line>, who: &Who) {
        self.metrics.published.inc();
        if let Err(error) = self.list(line, before).await {
            tracing::warn!(%error, "the release is published, and the list of releases lacks it for now");
        }
        let release = line.release();
        let name = format!("{} {}.{}", release.channel, release.epoch, release.seq);
        let mut facts = Self::facts(line);
        if let Some(fields) = facts.as_object_mut() {
            fields.insert("entries".to_owned(), json!(view_of(line).entries));
        }
        self.record("RELEASE_PUBLISHED", format!("release {name} is published"), facts, who);
        self.announce(Self::facts(line)).await;
        self.stirred.notify_one();
    }

    /// Adds a release to the list of its channel, and the one before where it is missing.
    async fn list(&self, line: &Line, before: Option<&Line>) -> Result<(), ReleaseError> {
        let name = records::history(line.release().channel.as_str());
        let new: Vec<ReleaseView> = before.into_iter().chain([line]).map(view_of).collect();
        records::change(&*self.broker, &name, |mut views: Vec<ReleaseView>| {
            for view in &new {
                if !views.iter().any(|known| known.release_sha256 == view.release_sha256) {
                    views.insert(0, view.clone());
                }
            }
            views.truncate(LISTED);
            while serde_json::to_vec(&views).is_ok_and(|bytes| bytes.len() > LIST_BYTES) && views.pop().is_some() {}
            Some(views)
        })
        .await
    }

    /// What is wrong with the bundles a release names: each must be here, be what the release says, and verify under
    /// the root with what the release revokes.
    pub(super) async fn check_bundles(&self, release: &Release, root: &TrustedRoot) -> Vec<ReleaseError> {
        let entries = release.entries.iter();
        let named = entries.flat_map(|entry| {
            let fallback = entry.fallback.iter();
            std::iter::once(&entry.bundle)
                .chain(fallback)
                .map(|bundle| (&entry.skill, bundle))
        });
        // one bundle for several selectors is verified once
        let named: BTreeMap<(Digest, Digest, String), _> = named
            .map(|(skill, bundle)| ((bundle.file_sha256, bundle.sha256, skill.clone()), bundle))
            .collect();
        let mut problems = Vec::new();
        for ((_, _, skill), bundle) in named {
            if let Err(error) = self.check_bundle(&skill, bundle, release, root).await {
                problems.push(error);
            }
        }
        problems
    }

    async fn check_bundle(
        &self,
        skill: &str,
        named: &BundleRef,
        release: &Release,
        root: &TrustedRoot,
    ) -> Result<(), ReleaseError> {
        let (path, size) = self.file_of(skill, named).await?;
        let wrong = |what: &str, found: &dyn std::fmt::Display, said: &dyn std::fmt::Display| {
            let text = format!("entry {skill}: {what} of its bundle is {found}, the release says {said}");
            Err(ReleaseError::Unfit(text))
        };
        if size != named.size {
            return wrong("the size", &size, &named.size);
        }
        let verified = self.verified(path, root.root().trust(&release.revoked)).await;
        let bundle = verified.map_err(|error| about(skill, named, error))?;
        let manifest = bundle.manifest();
        if manifest.name != skill {
            return wrong("the name", &manifest.name, &skill);
        }
        if manifest.version != named.version {
            return wrong("the version", &manifest.version, &named.version);
        }
        if bundle.digest() != named.sha256 {
            return wrong("the digest of the manifest", &bundle.digest(), &named.sha256);
        }
        Ok(())
    }

    /// Where the file of a bundle is.
    pub(super) async fn file_of(&self, skill: &str, named: &BundleRef) -> Result<(PathBuf, u64), ReleaseError> {
        self.find(&named.file_sha256).await?.ok_or_else(|| {
            ReleaseError::Unfit(format!(
                "entry {skill}: bundle {} ({}) is not here; upload it first with POST /api/v1/bundles",
                named.version, named.file_sha256
            ))
        })
    }
}

fn about(skill: &str, named: &BundleRef, error: ReleaseError) -> ReleaseError {
    let text = format!("entry {skill} {}: {error}", named.version);
    match error {
        ReleaseError::NotTrusted(_) => ReleaseError::NotTrusted(text),
        ReleaseError::Unfit(_) | ReleaseError::Malformed(_) => ReleaseError::Unfit(text),
        other => other,
    }
}

/// What a document claims, to know where to look; decides nothing.
pub(super) fn claimed(text: &str) -> Result<Release, ReleaseError> {
    Ok(SignedDocument::parse(DocumentKind::Release, text.as_bytes())?.claimed()?)
}

/// What is trusted in a channel before a release comes.
pub(super) fn state(root: &TrustedRoot, channel: &Channel, before: Option<&Line>) -> TrustState {
    before.map_or_else(
        || TrustState::new(root.clone(), channel.clone()),
        |line| line.trust.clone(),
    )
}

pub(super) fn release_of(trust: &TrustState) -> Result<&Release, ReleaseError> {
    let current = trust.current().ok_or(venom_bundle::StateError::NoRelease)?;
    Ok(current.release.release())
}

/// Each release names the one it was made from, so that nobody's release is overwritten unseen.
pub(super) fn check_place(taken: &TrustState, before: Option<&Line>, picture: &Picture) -> Result<(), ReleaseError> {
    if before.is_none() && picture.lines.len() >= MOST_CHANNELS {
        return Err(ReleaseError::Unfit(format!(
            "there are {MOST_CHANNELS} channels, as many as may be"
        )));
    }
    let current = taken.current().ok_or(venom_bundle::StateError::NoRelease)?;
    match before {
        Some(before) => Ok(before.trust.check_chain(&current.release)?),
        None => Ok(()),
    }
}

pub(super) fn check_fresh(trust: &TrustState, now: Timestamp) -> Result<(), ReleaseError> {
    trust.stale(now).map_or(Ok(()), |why| {
        Err(ReleaseError::Unfit(format!(
            "{why}: no spore would install it; sign one that is good for longer"
        )))
    })
}

pub(super) fn contended() -> ReleaseError {
    ReleaseError::Busy {
        why: "others change this channel at the same time, or its record cannot be read (see the log); try again"
            .to_owned(),
        after: std::time::Duration::from_secs(1),
    }
}

/// A release in a list.
pub(super) fn view_of(line: &Line) -> ReleaseView {
    let release = line.release();
    let entry = |entry: &venom_bundle::Entry| format!("{} {}", entry.skill, entry.bundle.version);
    ReleaseView {
        channel: release.channel.as_str().to_owned(),
        epoch: release.epoch,
        seq: release.seq,
        release_sha256: line.sha256.clone(),
        created: release.created,
        expires: release.expires,
        entries: release.entries.iter().map(entry).collect(),
        current: true,
    }
}
