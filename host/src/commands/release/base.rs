//! What a new release goes on from: the nexus's current one, believed only where the root's release keys signed it, or
//! a file the operator vouches for.

use std::path::Path;

use reqwest::{Method, StatusCode};
use venom_bundle::{Channel, Digest, DocumentKind, Release, Root, SignedDocument, TrustedRoot};
use venom_protocol::{ReleaseDocument, Timestamp};

use crate::client::NexusClient;
use crate::commands::root::read;
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
    ) -> Result<Option<Self>, Failure> {
        let path = format!("/api/v1/releases/current?channel={channel}");
        let answer = client
            .ask(Method::GET, &path, None::<&()>, std::time::Duration::ZERO)
            .await;
        match answer {
            Ok(document) => believe(&document, root, channel),
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
fn believe(document: &ReleaseDocument, root: &TrustedRoot, channel: &Channel) -> Result<Option<Base>, Failure> {
    let what = "the nexus's current release is not believed";
    let bytes = document.release.as_bytes();
    let signed = SignedDocument::parse(DocumentKind::Release, bytes).or_fail(what)?;
    let claimed: Release = signed.claimed().or_fail(what)?;
    let (theirs, ours) = (claimed.epoch, root.root().epoch);
    if claimed.swarm_id == root.root().swarm_id && theirs < ours {
        output::note(format!(
            "release {theirs}.{} no longer counts: epoch {ours} begins with a release of no entries but those you give; \
             to take its entries over, save it and name it with --from",
            claimed.seq
        ));
        return Ok(None);
    }
    let trusted = root.release(bytes, channel).or_advise(
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

#[cfg(test)]
mod tests {
    use venom_bundle::SigningKey;

    use super::*;

    fn root(epoch: u64) -> TrustedRoot {
        let key = SigningKey::from_seed(&[1; 32]);
        let (now, end) = (Timestamp::now(), Lifetime::OF_A_ROOT.after(Timestamp::now()).unwrap());
        let mut root = Root::first("one".parse().unwrap(), &key.public(), &key.public(), now, end);
        root.epoch = epoch;
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
        let base = believe(&document(&root, 1), &root, &channel).unwrap().unwrap();
        let next = Base::next(Some(&base), root.root(), &channel, Lifetime::OF_A_ROOT).unwrap();
        assert_eq!((next.seq, next.prev_sha256), (2, Some(base.digest)));
        let failure = believe(&document(&root, 2), &root, &channel).unwrap_err();
        assert!(failure.summary().contains("not believed"), "{failure:?}");
        let other: Channel = "canary".parse().unwrap();
        assert!(believe(&document(&root, 1), &root, &other).is_err());
        assert!(Base::next(Some(&base), root.root(), &other, Lifetime::OF_A_ROOT).is_err());
    }

    #[test]
    fn an_earlier_epoch_is_not_gone_on_from_whoever_signed_it() {
        let old = document(&root(1), 1);
        assert_eq!(believe(&old, &root(2), &Channel::default()).unwrap(), None);
    }
}
