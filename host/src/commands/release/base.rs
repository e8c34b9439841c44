//! What a new release goes on from: the nexus's current one, believed only where the root's release keys signed it, or
//! a file the operator vouches for.

use std::path::Path;

use reqwest::{Method, StatusCode};
use venom_bundle::{Channel, Digest, DocumentKind, Release, Root, SignedDocument, TrustedRoot};
use venom_protocol::{ReleaseDocument, Timestamp};

use crate::client::NexusClient;
use crate::commands::root::read;
use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::Lifetime;

/// A release and its id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Base {
    pub(super) release: Release,
    pub(super) digest: Digest,
}

impl Base {
    /// A file; the operator who names it vouches for it.
    pub(super) fn of_file(path: &Path) -> Result<Self, Failure> {
        let (signed, release) = draft(path)?;
        Ok(Self {
            release,
            digest: signed.digest(),
        })
    }

    /// The nexus's current release; none where it has none that counts.
    pub(super) async fn current(
        client: &NexusClient,
        root: &TrustedRoot,
        channel: &Channel,
        data: &DataDir,
    ) -> Result<Option<Self>, Failure> {
        let path = format!("/api/v1/releases/current?channel={channel}");
        let answer = client
            .ask(Method::GET, &path, None::<&()>, std::time::Duration::ZERO)
            .await;
        match answer {
            Ok(document) => believe(&document, root, &earlier_roots(root, data), channel),
            Err(trouble) if trouble.status == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(trouble) => Err(trouble.failure),
        }
    }

    /// The release after `before`; the first of the channel where there is none.
    pub(super) fn next(
        before: Option<&Self>,
        root: &Root,
        channel: &Channel,
        expires: Lifetime,
    ) -> Result<Release, Failure> {
        let now = Timestamp::now();
        let expires = expires.after(now)?;
        let Some(before) = before else {
            return Ok(Release::first(root, channel.clone(), now, expires));
        };
        let of = &before.release;
        if of.channel != *channel || of.swarm_id != root.swarm_id {
            return Err(Failure::new("the release to go on from is another's").because(format!(
                "it is for channel {} of swarm {}, and the new one for channel {channel} of swarm {}",
                of.channel, of.swarm_id, root.swarm_id
            )));
        }
        Ok(of.next(before.digest, root, now, expires))
    }
}

/// A release of which nobody vouches for anything yet, and what it claims.
pub(super) fn draft(path: &Path) -> Result<(SignedDocument, Release), Failure> {
    let what = || format!("{} cannot be used", path.display());
    let signed = SignedDocument::parse(DocumentKind::Release, &read(path)?).or_fail(what())?;
    let claimed = signed.claimed().or_fail(what())?;
    Ok((signed, claimed))
}

/// A nexus that lies about its release would have its lies signed: what it says is believed for its signatures only.
fn believe(
    document: &ReleaseDocument,
    root: &TrustedRoot,
    earlier: &[TrustedRoot],
    channel: &Channel,
) -> Result<Option<Base>, Failure> {
    let what = "the nexus's current release is not believed";
    let bytes = document.release.as_bytes();
    let signed = SignedDocument::parse(DocumentKind::Release, bytes).or_fail(what)?;
    let claimed: Release = signed.claimed().or_fail(what)?;
    let (theirs, ours) = (claimed.epoch, root.root().epoch);
    if claimed.swarm_id == root.root().swarm_id && theirs < ours {
        output::note(format!(
            "release {theirs}.{} no longer counts: epoch {ours} begins with no entries but those you give; \
             to take entries over, name a release file you vouch for with `release create --from`",
            claimed.seq
        ));
        return Ok(None);
    }
    let under_earlier = earlier
        .iter()
        .filter(|old| still_good(&signed, old.root(), root.root()))
        .find_map(|old| old.release(bytes, channel).ok());
    let trusted = under_earlier.map_or_else(|| root.release(bytes, channel), Ok);
    let trusted = trusted.or_advise(
        what,
        format!(
            "this command goes by root {} of swarm {}: if the nexus has a newer one (`venom-host doctor`), copy its root.json here; \
             or go on from a release you vouch for with --from FILE",
            root.root().version,
            root.root().swarm_id
        ),
    )?;
    Ok(Some(Base {
        release: trusted.release().clone(),
        digest: trusted.digest(),
    }))
}

/// Most roots kept here that are looked at.
const MOST_ROOTS: u64 = 16;

/// The roots before this one that are kept here: after release keys were replaced, the current release is still signed
/// by those before.
fn earlier_roots(root: &TrustedRoot, data: &DataDir) -> Vec<TrustedRoot> {
    let newest = root.root();
    let versions = newest.version.saturating_sub(MOST_ROOTS).max(1)..newest.version;
    let kept = versions.filter_map(|version| TrustedRoot::pin(&read(&data.old_root(version)).ok()?).ok());
    kept.filter(|old| old.root().swarm_id == newest.swarm_id).collect()
}

/// Whether enough release keys of an earlier root signed that nobody has revoked since.
fn still_good(signed: &SignedDocument, old: &Root, newest: &Root) -> bool {
    let role = &old.roles.release;
    let signers = signed.signers(role).into_iter();
    let good = signers.filter(|key| !newest.revoked.contains(key.digest()));
    good.count() >= role.threshold
}

#[cfg(test)]
mod tests {
    use venom_bundle::SigningKey;

    use super::*;

    fn root(epoch: u64) -> TrustedRoot {
        root_of(1, epoch, &[])
    }

    fn root_of(seed: u8, epoch: u64, revoked: &[u8]) -> TrustedRoot {
        let key = SigningKey::from_seed(&[seed; 32]);
        let (now, end) = (Timestamp::now(), Lifetime::OF_A_ROOT.after(Timestamp::now()).unwrap());
        let mut root = Root::first("one".parse().unwrap(), &key.public(), &key.public(), now, end);
        root.epoch = epoch;
        let ids = revoked
            .iter()
            .map(|seed| SigningKey::from_seed(&[*seed; 32]).public().id());
        root.revoked = ids.map(|id| *id.digest()).collect();
        let mut signed = root.unsigned();
        signed.add_signature(&key);
        TrustedRoot::pin(signed.to_text().as_bytes()).unwrap()
    }

    fn document(root: &TrustedRoot, signer: u8) -> ReleaseDocument {
        let release = Base::next(None, root.root(), &Channel::default(), Lifetime::OF_A_ROOT).unwrap();
        let mut signed = release.unsigned();
        signed.add_signature(&SigningKey::from_seed(&[signer; 32]));
        ReleaseDocument {
            release: signed.to_text(),
            release_sha256: signed.digest().to_string(),
        }
    }

    #[test]
    fn only_what_release_keys_signed_is_gone_on_from() {
        let root = root(1);
        let channel = Channel::default();
        let base = believe(&document(&root, 1), &root, &[], &channel).unwrap().unwrap();
        let next = Base::next(Some(&base), root.root(), &channel, Lifetime::OF_A_ROOT).unwrap();
        assert_eq!((next.seq, next.prev_sha256), (2, Some(base.digest)));
        let failure = believe(&document(&root, 2), &root, &[], &channel).unwrap_err();
        assert!(failure.summary().contains("not believed"), "{failure:?}");
        let other: Channel = "canary".parse().unwrap();
        assert!(believe(&document(&root, 1), &root, &[], &other).is_err());
        assert!(Base::next(Some(&base), root.root(), &other, Lifetime::OF_A_ROOT).is_err());
    }

    #[test]
    fn a_replaced_key_still_signed_what_it_signed_unless_it_is_revoked() {
        let (old, channel) = (root(1), Channel::default());
        let made = document(&old, 1);
        let earlier = [old];
        assert!(believe(&made, &root_of(2, 1, &[]), &[], &channel).is_err());
        assert!(
            believe(&made, &root_of(2, 1, &[]), &earlier, &channel)
                .unwrap()
                .is_some()
        );
        assert!(believe(&made, &root_of(2, 1, &[1]), &earlier, &channel).is_err());
        assert!(believe(&document(&earlier[0], 3), &root_of(2, 1, &[]), &earlier, &channel).is_err());
    }

    #[test]
    fn an_earlier_epoch_is_not_gone_on_from_whoever_signed_it() {
        let old = document(&root(1), 1);
        assert_eq!(believe(&old, &root(2), &[root(1)], &Channel::default()).unwrap(), None);
    }
}
