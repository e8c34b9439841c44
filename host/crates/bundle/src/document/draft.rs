//! The next document made from the one before, so that whoever edits and signs (a command line, a pipeline) needs no
//! rules of its own. Drafts are checked by `to_sign`, and believed by nobody before they are signed.

use venom_protocol::Timestamp;

use super::root::same;
use super::{
    DocumentError, DocumentKind, MAX_SEQ, Release, Role, Roles, Root, RootPublisher, SwarmId, TrustedRelease,
    TrustedRoot,
};
use crate::PublicKey;
use crate::capability::BudgetLimits;

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
}
