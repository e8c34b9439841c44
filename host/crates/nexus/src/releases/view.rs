//! Releases and rollouts as REST shows them.

use venom_bundle::Channel;
use venom_protocol::{ReleaseDocument, ReleaseList, ReleaseView, RolloutView, TrustView};

use super::publish::view_of;
use super::shelf::{Line, Picture};
use super::standing::{counts, progress, survey};
use super::{ReleaseError, Releases, records, store};

/// How much of a rollout is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Spores one by one too.
    Spores,
    /// Numbers only.
    Numbers,
}

impl Releases {
    /// The newest root.
    pub(crate) fn trust(&self) -> Result<TrustView, ReleaseError> {
        let picture = self.picture()?;
        let chain = picture
            .chain
            .as_ref()
            .ok_or_else(|| ReleaseError::Unknown(store::no_root().to_string()))?;
        let newest = chain.newest();
        let root = newest.root();
        Ok(TrustView {
            swarm_id: root.swarm_id.as_str().to_owned(),
            root_version: root.version,
            epoch: root.epoch,
            root_sha256: newest.digest().to_string(),
            expires: root.expires,
            root: newest.to_text(),
        })
    }

    /// The release spores of a channel are given.
    pub(crate) fn current(&self, channel: &Channel) -> Result<ReleaseDocument, ReleaseError> {
        let line = Self::line(&*self.picture()?, channel)?;
        Ok(ReleaseDocument {
            release: line.kept.release.clone(),
            release_sha256: line.sha256.clone(),
        })
    }

    /// Releases of one channel or of all, the newest first.
    pub(crate) async fn listed(&self, channel: Option<&Channel>) -> Result<ReleaseList, ReleaseError> {
        let picture = self.picture()?;
        let mut releases = Vec::new();
        for line in lines(&picture, channel) {
            let name = records::history(line.release().channel.as_str());
            let kept: Option<(u64, Vec<ReleaseView>)> = records::read(&*self.broker, &name).await?;
            let mut views = kept.map(|(_, views)| views).unwrap_or_default();
            // the list is written after the release; a crash between leaves it one short
            if !views.iter().any(|view| view.release_sha256 == line.sha256) {
                views.insert(0, view_of(line));
            }
            for view in &mut views {
                view.current = view.release_sha256 == line.sha256;
            }
            releases.extend(views);
        }
        Ok(ReleaseList { releases })
    }

    /// How the rollout of a channel goes.
    pub(crate) fn rollout(&self, channel: &Channel, shown: Shown) -> Result<RolloutView, ReleaseError> {
        Ok(self.shown(&*Self::line(&*self.picture()?, channel)?, shown))
    }

    /// How this rollout goes.
    pub(crate) fn shown(&self, line: &Line, shown: Shown) -> RolloutView {
        let surveyed = survey(self.hive.nodes_everywhere(), line.release(), &line.digest);
        let (release, note) = (line.release(), &line.note);
        RolloutView {
            channel: release.channel.as_str().to_owned(),
            release_sha256: line.sha256.clone(),
            epoch: release.epoch,
            seq: release.seq,
            created: release.created,
            expires: release.expires,
            state: note.progress.state,
            reason: note.progress.reason.clone(),
            wave: note.progress.wave,
            plan: note.plan.clone(),
            wave_began: note.progress.wave_began,
            counter: line.counter(),
            counts: counts(&surveyed, &note.plan, note.progress.wave),
            spores: match shown {
                Shown::Spores => progress(surveyed, &note.plan),
                Shown::Numbers => Vec::new(),
            },
        }
    }
}

fn lines<'a>(picture: &'a Picture, channel: Option<&'a Channel>) -> impl Iterator<Item = &'a Line> {
    let all = picture.lines.iter();
    all.filter(move |(name, _)| channel.is_none_or(|wanted| wanted == *name))
        .map(|(_, line)| &**line)
}
