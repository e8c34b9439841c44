//! Taking what a nexus answers: each document by the rules of [`TrustState`], kept on disk before anything is done with
//! it. What is refused is audited, and changes nothing.

use serde_json::json;
use venom_bundle::{DocumentKind, Root, SignedDocument, StateError, Taken, TrustState, TrustedRoot};
use venom_protocol::{MAX_ROOTS_IN_ANSWER, ReleaseAnswer, ReleaseAsk, ReleaseMark};

use super::UpdateSettings;
use super::keeper::Keeper;

/// What this spore trusts, and what is odd about what it was sent.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) state: Option<TrustState>,
    /// Two documents of one number were seen, for people.
    pub(super) alarm: Option<String>,
    /// In development: the nexus showed its first root since this process began.
    pub(super) shown: bool,
}

/// What came of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Digested {
    /// Something is new.
    pub(super) news: bool,
    /// There may be more: ask again.
    pub(super) more: bool,
    /// The disk did not take it: nothing has changed.
    pub(super) not_kept: bool,
}

impl Trusted {
    /// What to ask.
    pub(super) fn ask(&self, settings: &UpdateSettings) -> Option<ReleaseAsk> {
        let channel = settings.channel.to_string();
        let unseen = settings.trust_on_first_use && !self.shown;
        let Some(state) = self.state.as_ref().filter(|_| !unseen) else {
            return settings.trust_on_first_use.then_some(ReleaseAsk {
                channel,
                root_version: 0,
                release_sha256: None,
                rollout_counter: 0,
            });
        };
        let current = state.current();
        let rollout = current.and_then(|current| current.rollout.as_ref());
        Some(ReleaseAsk {
            channel,
            root_version: state.root().root().version,
            release_sha256: current.map(|current| current.release.digest().to_string()),
            rollout_counter: rollout.map_or(0, |rollout| rollout.rollout().counter),
        })
    }

    /// The newest release, for the report.
    pub(super) fn mark(&self) -> Option<ReleaseMark> {
        let release = &self.state.as_ref()?.current()?.release;
        Some(ReleaseMark {
            epoch: release.release().epoch,
            seq: release.release().seq,
            sha256: release.digest().to_string(),
        })
    }

    /// Takes an answer. On a disk that does not take it nothing has changed, and the next poll tries again.
    pub(super) async fn digest(
        &mut self,
        answer: &ReleaseAnswer,
        settings: &UpdateSettings,
        keeper: &Keeper,
    ) -> Digested {
        let mut digested = Digested::default();
        if answer.channel != settings.channel.as_str() {
            return digested;
        }
        let first = pin_first(answer, settings, keeper, self.state.as_ref()).filter(|_| !self.shown);
        let begins = first.is_some();
        self.shown |= !answer.roots.is_empty();
        let Some(mut state) = first.or_else(|| self.state.clone()) else {
            return digested;
        };
        digested.news = self.take(&mut state, answer, settings, keeper) || begins;
        digested.more = answer.roots.len() >= MAX_ROOTS_IN_ANSWER && digested.news;
        if digested.news {
            if let Err(error) = keeper.keep_trust(&state).await {
                tracing::error!(%error, "what is to be trusted cannot be kept on disk; nothing is installed until it can");
                return Digested {
                    not_kept: true,
                    ..Digested::default()
                };
            }
            self.state = Some(state);
        }
        digested
    }

    fn take(
        &mut self,
        state: &mut TrustState,
        answer: &ReleaseAnswer,
        settings: &UpdateSettings,
        keeper: &Keeper,
    ) -> bool {
        let mut news = false;
        for root in &answer.roots {
            if settings.trust_on_first_use && !is_news(root, state) {
                continue;
            }
            let taken = state.take_root(root.as_bytes());
            let version = state.root().root().version;
            news |= self.judge("root", taken, keeper, || json!({ "version": version }));
        }
        if let Some(release) = &answer.release {
            let taken = state.take_release(release.as_bytes());
            let digest = state.current().map(|current| current.release.digest().to_string());
            news |= self.judge("release", taken, keeper, || json!({ "release_sha256": digest }));
        }
        if let Some(rollout) = &answer.rollout {
            let taken = state.take_rollout(rollout.as_bytes());
            news |= self.judge("rollout", taken, keeper, || json!({}));
        }
        news
    }

    fn judge(
        &mut self,
        what: &'static str,
        taken: Result<Taken, StateError>,
        keeper: &Keeper,
        facts: impl FnOnce() -> serde_json::Value,
    ) -> bool {
        match taken {
            // rollouts are signed anew all the time: not worth a line each
            Ok(Taken::New) => {
                if what != "rollout" {
                    keeper.audit("document_taken", json!({ "kind": what, "facts": facts() }));
                }
                true
            }
            Ok(Taken::Same) => false,
            Err(error) => {
                let reason = venom_protocol::with_causes(&error);
                tracing::warn!(what, reason, "a document of the nexus is refused");
                keeper.audit("document_refused", json!({ "kind": what, "reason": reason }));
                if matches!(error, StateError::Alarm { .. }) {
                    self.alarm = Some(reason);
                }
                false
            }
        }
    }
}

/// Whether a root claims to be newer than the one trusted: a nexus that was asked for all sends those before too.
fn is_news(root: &str, state: &TrustState) -> bool {
    let signed = SignedDocument::parse(DocumentKind::Root, root.as_bytes());
    let claimed = signed.and_then(|signed| signed.claimed::<Root>());
    !claimed.is_ok_and(|claimed| claimed.version <= state.root().root().version)
}

/// In development: the first root of the nexus, unless it is of the swarm that is trusted already.
fn pin_first(
    answer: &ReleaseAnswer,
    settings: &UpdateSettings,
    keeper: &Keeper,
    known: Option<&TrustState>,
) -> Option<TrustState> {
    let first = answer.roots.first().filter(|_| settings.trust_on_first_use)?;
    let root = match TrustedRoot::pin(first.as_bytes()) {
        Ok(root) => root,
        Err(error) => {
            tracing::warn!(%error, "the nexus's root cannot be trusted");
            return None;
        }
    };
    let swarm_id = &root.root().swarm_id;
    if known.is_some_and(|known| known.root().root().swarm_id == *swarm_id) {
        return None;
    }
    tracing::warn!(%swarm_id, "development: the nexus's root is trusted unseen");
    keeper.audit(
        "root_trusted_unseen",
        json!({ "swarm_id": swarm_id, "root_sha256": root.digest() }),
    );
    Some(TrustState::new(root, settings.channel.clone()))
}
