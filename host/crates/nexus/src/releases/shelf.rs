//! What is kept of a channel, and the picture of all of it that asks are answered from: read from the broker, verified
//! as a spore would, and held in memory behind one `Arc`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Serialize};
use venom_broker::Broker;
use venom_bundle::{Channel, Current, Digest, Release, TrustState};
use venom_protocol::{RolloutPlan, Timestamp};

use super::ReleaseError;
use super::chain::{self, Chain};
use super::records;
use super::rollout::Progress;

const FORMAT: u32 = 1;
/// Channels of one swarm: each is read anew at every look.
pub(super) const MOST_CHANNELS: usize = 64;
/// Answers written once and sent many times.
const FRAMES: usize = 256;

/// A channel as one record: release, rollout and progress change together or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) format: u32,
    /// Root under which the release was taken; a later one may have other keys or another epoch.
    pub(super) root_version: u64,
    /// Envelope.
    pub(super) release: String,
    /// Envelope of the newest rollout.
    pub(super) rollout: String,
    pub(super) plan: RolloutPlan,
    pub(super) progress: Progress,
    pub(super) published: Timestamp,
}

impl Kept {
    pub(super) fn new(
        root_version: u64,
        release: String,
        rollout: String,
        plan: RolloutPlan,
        progress: Progress,
        published: Timestamp,
    ) -> Self {
        Self {
            format: FORMAT,
            root_version,
            release,
            rollout,
            plan,
            progress,
            published,
        }
    }
}

/// A channel, read and believed.
#[derive(Debug)]
pub(crate) struct Line {
    /// Of its record.
    pub(super) version: u64,
    pub(super) kept: Kept,
    pub(super) trust: TrustState,
    pub(super) current: Current,
    pub(super) digest: Digest,
    /// The same as text.
    pub(super) sha256: String,
}

impl Line {
    /// What the release says.
    pub(crate) fn release(&self) -> &Release {
        self.current.release.release()
    }

    /// Number of the newest rollout; 0: there is none that is believed.
    pub(crate) fn counter(&self) -> u64 {
        let rollout = self.current.rollout.as_ref();
        rollout.map_or(0, |rollout| rollout.rollout().counter)
    }
}

/// Everything, as of one look.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(super) chain: Option<Chain>,
    pub(super) lines: BTreeMap<Channel, Arc<Line>>,
    /// The operator's root does not fit those in the broker: nothing is published.
    pub(super) conflict: Option<String>,
    /// Answers to asks: channel, root and whether release and rollout are in it.
    pub(super) frames: Mutex<HashMap<(Channel, u64, bool, bool), Utf8Bytes>>,
}

impl Picture {
    /// Keeps an answer for the next who asks the same.
    pub(super) fn remember(&self, key: (Channel, u64, bool, bool), frame: &Utf8Bytes) {
        let mut frames = self.frames.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if frames.len() < FRAMES {
            frames.insert(key, frame.clone());
        }
    }

    pub(super) fn remembered(&self, key: &(Channel, u64, bool, bool)) -> Option<Utf8Bytes> {
        let frames = self.frames.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        frames.get(key).cloned()
    }
}

/// Looks at everything; what has not changed since `before` is taken from there.
pub(super) async fn look(broker: &dyn Broker, before: Option<&Picture>) -> Result<Picture, ReleaseError> {
    let known = before.and_then(|before| before.chain.as_ref());
    let chain = chain::load(broker, known).await?;
    let mut lines = BTreeMap::new();
    if let Some(chain) = &chain {
        let names: Option<(u64, Vec<Channel>)> = records::read(broker, records::CHANNELS).await?;
        for name in names.into_iter().flat_map(|(_, names)| names).take(MOST_CHANNELS) {
            let old = before.and_then(|before| before.lines.get(&name));
            if let Some(line) = look_at(broker, chain, &name, old).await? {
                lines.insert(name, line);
            }
        }
    }
    Ok(Picture {
        chain,
        lines,
        conflict: None,
        frames: Mutex::default(),
    })
}

async fn look_at(
    broker: &dyn Broker,
    chain: &Chain,
    name: &Channel,
    old: Option<&Arc<Line>>,
) -> Result<Option<Arc<Line>>, ReleaseError> {
    let Some((version, kept)) = records::read::<Kept>(broker, &records::channel(name.as_str())).await? else {
        return Ok(None);
    };
    let is_as_before = |old: &&Arc<Line>| old.version == version && old.trust.root() == &**chain.newest();
    if let Some(old) = old.filter(is_as_before) {
        return Ok(Some(Arc::clone(old)));
    }
    match believed(chain, name, version, kept) {
        Ok(line) if old.is_some_and(|old| is_older(&line, old)) => {
            tracing::error!(channel = %name, "the broker has an older release than this nexus knows; it is not taken");
            Ok(old.cloned())
        }
        Ok(line) => Ok(Some(Arc::new(line))),
        Err(error) => {
            tracing::error!(channel = %name, %error, "a release kept in the broker is not believed");
            Ok(old.cloned())
        }
    }
}

fn is_older(line: &Line, old: &Line) -> bool {
    let number = |line: &Line| (line.release().epoch, line.release().seq);
    number(line) < number(old)
}

/// Verifies a record as a spore would.
pub(super) fn believed(chain: &Chain, name: &Channel, version: u64, kept: Kept) -> Result<Line, ReleaseError> {
    if kept.format != FORMAT {
        let text = format!(
            "the record has format {}, this host reads {FORMAT}: update it",
            kept.format
        );
        return Err(ReleaseError::NotReady(text));
    }
    let root = chain.at(kept.root_version);
    let root = root.ok_or_else(|| ReleaseError::NotReady(format!("root {} is not kept", kept.root_version)))?;
    let mut trust = TrustState::new((**root).clone(), name.clone());
    trust.take_release(kept.release.as_bytes())?;
    for root in chain.after(kept.root_version) {
        trust.take_root(root.to_text().as_bytes())?;
    }
    if let Err(error) = trust.take_rollout(kept.rollout.as_bytes()) {
        tracing::warn!(channel = %name, %error, "the rollout that is kept is not believed under the newest root");
    }
    let current = trust.current().cloned().ok_or(venom_bundle::StateError::NoRelease)?;
    let digest = current.release.digest();
    Ok(Line {
        version,
        kept,
        trust,
        digest,
        sha256: digest.to_string(),
        current,
    })
}
