//! What one spore (or nexus) has come to trust: the newest root, release and rollout of its channel. Only grows: an older
//! document changes nothing, whoever sends it and however often. Pure: its owner keeps the bytes.

use serde::{Deserialize, Serialize};
use venom_protocol::Timestamp;

use super::{Channel, DocumentError, TrustedRelease, TrustedRollout, TrustedRoot};
use crate::Digest;

const FORMAT: u32 = 1;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustState {
    channel: Channel,
    root: TrustedRoot,
    current: Option<Current>,
}

/// The newest release and what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Current {
    /// The release.
    pub release: TrustedRelease,
    /// Its newest rollout.
    pub rollout: Option<TrustedRollout>,
}

/// What came of a document that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the newest now. Keep the state before acting on it.
    New,
    /// It is the one already there.
    Same,
}

/// Why a document changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is not believed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It is older than what is there.
    #[error("{what} {found} is older than {current}, which is here already: somebody replays it, or sent it late")]
    Older {
        /// `release`, `rollout`.
        what: &'static str,
        /// Its number.
        found: String,
        /// The number here.
        current: String,
    },
    /// Two documents of one number: somebody signed twice, or a key is stolen.
    #[error("two different documents are both {what} {number} ({found} and {current}): a key signs what it should not")]
    Alarm {
        /// `release`, `rollout`.
        what: &'static str,
        /// The number.
        number: String,
        /// Digest of the new one.
        found: Digest,
        /// Digest of the one here.
        current: Digest,
    },
    /// A rollout, but no release it could belong to.
    #[error("there is no release here that a rollout could belong to")]
    NoRelease,
    /// The kept bytes are no state.
    #[error("the kept state is not understood: {problem}")]
    Kept {
        /// What is wrong.
        problem: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    channel: Channel,
    root: String,
    #[serde(default)]
    release: Option<String>,
    #[serde(default)]
    rollout: Option<String>,
}

impl TrustState {
    /// Nothing but a root.
    #[must_use]
    pub fn new(root: TrustedRoot, channel: Channel) -> Self {
        Self {
            channel,
            root,
            current: None,
        }
    }

    /// The root trusted now.
    #[must_use]
    pub fn root(&self) -> &TrustedRoot {
        &self.root
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The newest release, if there was one.
    #[must_use]
    pub fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// Takes the next root. A rise of the epoch lets releases begin anew; the current release stays what is running until
    /// then.
    ///
    /// # Errors
    /// [`StateError`]; nothing has changed.
    pub fn take_root(&mut self, bytes: &[u8]) -> Result<Taken, StateError> {
        if bytes == self.root.to_text().as_bytes() {
            return Ok(Taken::Same);
        }
        self.root = self.root.rotate(bytes)?;
        Ok(Taken::New)
    }

    /// Takes a release with a greater (epoch, seq).
    ///
    /// # Errors
    /// [`StateError`]; nothing has changed.
    pub fn take_release(&mut self, bytes: &[u8]) -> Result<Taken, StateError> {
        let release = self.root.release(bytes, &self.channel)?;
        if let Some(current) = &self.current {
            let number = |of: &TrustedRelease| (of.release().epoch, of.release().seq);
            let (found, here) = (number(&release), number(&current.release));
            let words = |(epoch, seq): (u64, u64)| format!("{epoch}.{seq}");
            if found < here {
                return Err(StateError::Older {
                    what: "release",
                    found: words(found),
                    current: words(here),
                });
            }
            if found == here {
                return if release.digest() == current.release.digest() {
                    Ok(Taken::Same)
                } else {
                    Err(StateError::Alarm {
                        what: "release",
                        number: words(found),
                        found: release.digest(),
                        current: current.release.digest(),
                    })
                };
            }
        }
        self.current = Some(Current { release, rollout: None });
        Ok(Taken::New)
    }

    /// Takes a rollout of the current release with a greater counter.
    ///
    /// # Errors
    /// [`StateError`]; nothing has changed.
    pub fn take_rollout(&mut self, bytes: &[u8]) -> Result<Taken, StateError> {
        let current = self.current.as_mut().ok_or(StateError::NoRelease)?;
        let rollout = self.root.rollout(bytes, &current.release)?;
        if let Some(here) = &current.rollout {
            let (found, known) = (rollout.rollout().counter, here.rollout().counter);
            if found < known {
                return Err(StateError::Older {
                    what: "rollout",
                    found: found.to_string(),
                    current: known.to_string(),
                });
            }
            if found == known {
                return if rollout.rollout() == here.rollout() {
                    Ok(Taken::Same)
                } else {
                    Err(StateError::Alarm {
                        what: "rollout",
                        number: found.to_string(),
                        found: Digest::of(rollout.to_text().as_bytes()),
                        current: Digest::of(here.to_text().as_bytes()),
                    })
                };
            }
        }
        current.rollout = Some(rollout);
        Ok(Taken::New)
    }

    /// Why nothing may be installed at this time; `None`: it may. Never a reason to stop what runs.
    #[must_use]
    pub fn stale(&self, now: Timestamp) -> Option<String> {
        let root = self.root.root();
        if now >= root.expires {
            return Some(format!("root {} expired {}", root.version, root.expires));
        }
        let release = self.current.as_ref()?.release.release();
        if now >= release.expires {
            let (epoch, seq) = (release.epoch, release.seq);
            return Some(format!("release {epoch}.{seq} expired {}", release.expires));
        }
        None
    }

    /// The bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let current = self.current.as_ref();
        let kept = Kept {
            format: FORMAT,
            channel: self.channel.clone(),
            root: self.root.to_text(),
            release: current.map(|current| current.release.to_text()),
            rollout: current
                .and_then(|current| current.rollout.as_ref())
                .map(TrustedRollout::to_text),
        };
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Takes up kept bytes. They were believed when they were written; signatures are checked again all the same.
    ///
    /// # Errors
    /// [`StateError::Kept`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let unfit = |problem: String| StateError::Kept { problem };
        let kept: Kept = serde_json::from_slice(bytes).map_err(|error| unfit(error.to_string()))?;
        if kept.format != FORMAT {
            return Err(unfit(format!("it has format {}", kept.format)));
        }
        let mut state = Self::new(TrustedRoot::pin(kept.root.as_bytes())?, kept.channel);
        if let Some(release) = kept.release {
            state.take_release(release.as_bytes())?;
        }
        if let Some(rollout) = kept.rollout {
            state.take_rollout(rollout.as_bytes())?;
        }
        Ok(state)
    }
}
