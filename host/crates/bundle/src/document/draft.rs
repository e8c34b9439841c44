//! The next document made from the one before, so that whoever edits and signs (a command line, a pipeline) needs no
//! rules of its own. Drafts are checked by `to_sign`, and believed by nobody before they are signed.

use venom_protocol::Timestamp;

use super::root::same;
use super::{
    Channel, DocumentError, DocumentKind, Entry, MAX_SEQ, Release, Role, Roles, Rollout, RolloutOrder, Root,
    RootPublisher, Selector, SwarmId, TrustedRelease, TrustedRoot,
};
use crate::capability::BudgetLimits;
use crate::{Digest, PublicKey};

impl Root {
    /// The first root of a newcomer's swarm: one key for roots, releases and bundles of any name, another that is kept
    /// online for rollouts.
    #[must_use]
    pub fn founding(
        swarm_id: SwarmId,
        publisher: (&str, PublicKey),
        online: PublicKey,
        created: Timestamp,
        expires: Timestamp,
    ) -> Self {
        let (name, key) = publisher;
        let alone = |key| Role {
            keys: vec![key],
            threshold: 1,
        };
        Self {
            format: Self::FORMAT,
            swarm_id,
            version: 1,
            epoch: 1,
            created,
            expires,
            roles: Roles {
                root: alone(key),
                release: alone(key),
                rollout: alone(online),
            },
            publishers: vec![RootPublisher {
                name: name.to_owned(),
                prefix: "*".to_owned(),
                keys: vec![key],
                threshold: 1,
                ceiling: None,
                budgets: BudgetLimits::default(),
            }],
            revoked: Vec::new(),
        }
    }

    /// Lets releases begin anew with number 1: for when a release key was stolen, or the numbers are used up. Raise it at
    /// most once in a root.
    pub fn begin_epoch(&mut self) {
        self.epoch += 1;
    }
}

impl TrustedRoot {
    /// The root after this one, with the same keys and publishers, to be edited. It must be signed by enough root keys of
    /// both.
    #[must_use]
    pub fn successor(&self, created: Timestamp, expires: Timestamp) -> Root {
        let root = self.root();
        Root {
            version: root.version + 1,
            created,
            expires,
            ..root.clone()
        }
    }
}

impl Release {
    /// The first release of a channel in the root's epoch, without entries.
    #[must_use]
    pub fn first(root: &Root, channel: Channel, created: Timestamp, expires: Timestamp) -> Self {
        Self {
            format: Self::FORMAT,
            swarm_id: root.swarm_id.clone(),
            channel,
            epoch: root.epoch,
            seq: 1,
            prev_sha256: None,
            created,
            expires,
            entries: Vec::new(),
            revoked: Vec::new(),
        }
    }

    /// Adds an entry, or puts it in the place of the one for the same skill and the same spores. A new one for some spores
    /// goes before all others of its skill, since of several the first that selects a spore counts; a new one for
    /// everybody goes last.
    pub fn put(&mut self, entry: Entry) {
        let same = |it: &&mut Entry| it.skill == entry.skill && it.selector.normal() == entry.selector.normal();
        if let Some(known) = self.entries.iter_mut().find(same) {
            *known = entry;
            return;
        }
        let first = self.entries.iter().position(|it| it.skill == entry.skill);
        match first.filter(|_| entry.selector.normal() != Selector::default().normal()) {
            Some(first) => self.entries.insert(first, entry),
            None => self.entries.push(entry),
        }
    }

    /// Takes out the entries of a skill: those for the given spores, or all. Says how many there were.
    pub fn remove(&mut self, skill: &str, selector: Option<&Selector>) -> usize {
        let before = self.entries.len();
        let meant = |it: &Entry| selector.is_none_or(|selector| selector.normal() == it.selector.normal());
        self.entries.retain(|it| it.skill != skill || !meant(it));
        before - self.entries.len()
    }

    /// Revokes a bundle or a publisher's key. An entry that still names the bundle must be replaced or removed.
    pub fn revoke(&mut self, digest: Digest) {
        if !self.revoked.contains(&digest) {
            self.revoked.push(digest);
        }
    }
}

impl TrustedRelease {
    /// The release after this one, with the same entries and revocations, to be edited: the next number, or number 1 where
    /// the root has begun a new epoch.
    ///
    /// # Errors
    /// When the root is of another swarm or an earlier epoch, or the numbers of this epoch are used up.
    pub fn successor(&self, root: &Root, created: Timestamp, expires: Timestamp) -> Result<Release, DocumentError> {
        let (kind, before) = (DocumentKind::Release, self.release());
        same(kind, "swarm", &before.swarm_id, &root.swarm_id)?;
        let next = Release {
            created,
            expires,
            ..before.clone()
        };
        if root.epoch > before.epoch {
            return Ok(Release {
                epoch: root.epoch,
                seq: 1,
                prev_sha256: None,
                ..next
            });
        }
        same(kind, "epoch", &before.epoch, &root.epoch)?;
        if before.seq >= MAX_SEQ {
            let problem = "the numbers of this epoch are used up: sign a root with the next epoch first";
            return Err(DocumentError::value(kind, "seq", problem));
        }
        Ok(Release {
            seq: before.seq + 1,
            prev_sha256: Some(self.digest()),
            ..next
        })
    }

    /// A rollout of this release, for all spores to begin with.
    #[must_use]
    pub fn draft_rollout(&self, counter: u64, state: RolloutOrder, issued: Timestamp, expires: Timestamp) -> Rollout {
        let release = self.release();
        Rollout {
            format: Rollout::FORMAT,
            swarm_id: release.swarm_id.clone(),
            channel: release.channel.clone(),
            release_sha256: self.digest(),
            counter,
            wave: super::WHOLE,
            state,
            issued,
            expires,
        }
    }
}
