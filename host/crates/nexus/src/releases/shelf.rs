//! What is kept of a channel, and the picture of all of it that asks are answered from: read from the broker, verified
//! as a spore would, and held in memory behind one `Arc`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Serialize};
use venom_broker::Broker;
use venom_bundle::{Channel, Current, Digest, Release, TrustState};
use venom_protocol::{RolloutPlan, RolloutState, Timestamp};

use super::ReleaseError;
use super::chain::{self, Chain};
use super::records;
use super::rollout::Progress;

/// The format to write.
pub(super) const FORMAT: u32 = 1;
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
    /// The same release was signed anew: whoever has it by its digest may have it under old keys.
    #[serde(default)]
    pub(super) is_resigned: bool,
    /// Envelope of the newest rollout.
    pub(super) rollout: String,
    /// A signed [`Note`]: whoever writes to the broker and has no online key moves no rollout.
    pub(super) note: String,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) release_sha256: Digest,
    /// Grows with every change, so that an older note is known for one.
    pub(super) turn: u64,
    pub(super) plan: RolloutPlan,
    pub(super) progress: Progress,
}

/// A channel, read and believed.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Of its record.
    pub(super) version: u64,
    pub(super) kept: Kept,
    pub(super) note: Note,
    pub(super) trust: TrustState,
    pub(super) current: Current,
    pub(super) digest: Digest,
    /// The same as text.
    pub(super) sha256: String,
}

impl Line {
    /// Of two lines the one with the greater number is newer.
    fn number(&self) -> (u64, u64, u64) {
        (self.release().epoch, self.release().seq, self.note.turn)
    }

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
    // what is known stays; the next change writes it over what is there
    let stays = |old: &Arc<Line>| {
        let old = Line::clone(old);
        Arc::new(Line { version, ..old })
    };
    match believed(chain, name, version, kept) {
        Ok(line) if old.is_some_and(|old| line.number() < old.number()) => {
            tracing::error!(channel = %name, "the broker has an older state than this nexus knows; it is not taken");
            Ok(old.map(stays))
        }
        Ok(line) => Ok(Some(Arc::new(line))),
        Err(error) => {
            tracing::error!(channel = %name, %error, "a release kept in the broker is not believed");
            Ok(old.map(stays))
        }
    }
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
    let note = trust.root().note(kept.note.as_bytes());
    let current = trust.current().cloned().ok_or(venom_bundle::StateError::NoRelease)?;
    let digest = current.release.digest();
    let note = note
        .map_err(|error| error.to_string())
        .and_then(|note: Note| match note.release_sha256 == digest {
            true => Ok(note),
            false => Err("it is about another release".to_owned()),
        });
    Ok(Line {
        version,
        note: note.unwrap_or_else(|why| unbelieved(name, digest, &why)),
        kept,
        trust,
        digest,
        sha256: digest.to_string(),
        current,
    })
}

/// What is kept of a rollout was written by somebody else, or by a key the root no longer lists: nobody installs until an
/// operator has looked, and all that may be known of the plan is that the last wave is everybody.
fn unbelieved(name: &Channel, release: Digest, why: &str) -> Note {
    tracing::error!(channel = %name, why, "what is kept of a rollout is not believed; it is paused");
    Note {
        release_sha256: release,
        turn: 0,
        plan: RolloutPlan::default(),
        progress: Progress {
            state: RolloutState::Paused,
            reason: format!(
                "what was kept of this rollout is not believed ({why}): resume lets all spores install at once, or \
                 publish the release anew under a greater number with a plan"
            ),
            ..Progress::begun(Timestamp::now())
        },
    }
}
