//! Answers to spores that ask what they lack: from memory, each written once and sent to all who lack the same.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tokio_util::task::TaskTracker;
use venom_bundle::Channel;
use venom_protocol::{MAX_ROOTS_IN_ANSWER, ReleaseAnswer, ReleaseAsk, Timestamp, encode};

use super::Releases;
use super::shelf::Picture;
use crate::link::{LinkHandle, Outgoing};

/// How long an ask waits for the first look of a nexus that has just started. The spore asks again by itself.
const FIRST_LOOK: Duration = Duration::from_secs(30);

impl Releases {
    /// Answers at once, or after the first look.
    pub(crate) fn asked(self: &Arc<Self>, ask: ReleaseAsk, link: LinkHandle, tasks: &TaskTracker) {
        self.metrics.asks.inc();
        let picture = self.picture.borrow().clone();
        if let Some(picture) = picture {
            send(&picture, &ask, &link);
            return;
        }
        let mut pictures = self.picture.subscribe();
        tasks.spawn(async move {
            let first = async {
                let seen = pictures.wait_for(Option::is_some).await;
                seen.ok().and_then(|picture| picture.clone())
            };
            tokio::select! {
                looked = tokio::time::timeout(FIRST_LOOK, first) => {
                    if let Ok(Some(picture)) = looked {
                        send(&picture, &ask, &link);
                    }
                }
                () = link.closed() => {}
            }
        });
    }
}

fn send(picture: &Picture, ask: &ReleaseAsk, link: &LinkHandle) {
    if let Some(frame) = frame(picture, ask) {
        link.send(Outgoing::Written(frame));
    }
}

fn frame(picture: &Picture, ask: &ReleaseAsk) -> Option<Utf8Bytes> {
    let Ok(channel) = ask.channel.parse::<Channel>() else {
        tracing::debug!(channel = ask.channel, "a spore asks for a channel that can be none");
        return None;
    };
    let line = picture.lines.get(&channel);
    // one that was signed anew has the same digest, and whoever has no rollout of it may have it under old keys
    let lacks_release = line.is_some_and(|line| {
        let has_it = ask.release_sha256.as_deref() == Some(line.sha256.as_str());
        !has_it || (line.kept.is_resigned && ask.rollout_counter < line.counter())
    });
    let lacks_rollout =
        line.is_some_and(|line| line.counter() > 0 && (lacks_release || ask.rollout_counter < line.counter()));
    let key = (channel, ask.root_version, lacks_release, lacks_rollout);
    if let Some(known) = picture.remembered(&key) {
        return Some(known);
    }
    let answer = ReleaseAnswer {
        channel: key.0.as_str().to_owned(),
        roots: roots(picture, ask.root_version),
        release: line.filter(|_| lacks_release).map(|line| line.kept.release.clone()),
        rollout: line.filter(|_| lacks_rollout).map(|line| line.kept.rollout.clone()),
    };
    let text = encode(&answer, Timestamp::now());
    let text = text.inspect_err(|error| tracing::error!(%error, "answer to a spore cannot be written"));
    let frame = Utf8Bytes::from(text.ok()?);
    picture.remember(key, &frame);
    Some(frame)
}

/// A spore that trusts no root gets them all: whether it takes the first is its own business.
fn roots(picture: &Picture, version: u64) -> Vec<String> {
    let chain = picture.chain.iter();
    let after = chain.flat_map(|chain| chain.after(version)).take(MAX_ROOTS_IN_ANSWER);
    after.map(|root| root.to_text()).collect()
}
