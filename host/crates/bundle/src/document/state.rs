//! What one spore (or nexus) has come to trust: the newest root, release and rollout of its channel. Only grows: an older
//! document changes nothing, whoever sends it and however often. Pure: its owner keeps the bytes.

use venom_protocol::Timestamp;

use super::{Channel, DocumentError, RolloutOrder, TrustedRelease, TrustedRollout, TrustedRoot};
use crate::{Digest, Trust};

/// The newest root, release and rollout of one channel.
///
/// A release that was believed stays the current one, and what it brought goes on running, until a newer one comes. But
/// when a later root begins a new epoch, or no longer lists the keys that signed it, nothing is installed from it any
/// more: [`Self::stale`] says so. A rollout counts only as long as the root in force lists its keys: with the next root
/// a stolen online key is good for nothing.
///
/// ```
/// use venom_bundle::{Channel, NotYet, Release, RolloutOrder, Root, SigningKey, SwarmId, Taken, TrustState, TrustedRoot};
/// # use venom_protocol::{NodeId, Timestamp};
/// # let day = |text: &str| Timestamp::parse(&format!("{text}T00:00:00Z")).unwrap();
/// # let (today, later) = (day("2026-03-01"), day("2026-03-08"));
/// let (publisher, online) = (SigningKey::generate()?, SigningKey::generate()?);
/// let (id, in_ten_years) = (SwarmId::generate()?, day("2036-03-01"));
/// let mut signed = Root::first(id, &publisher.public(), &online.public(), today, in_ten_years).to_sign()?;
/// signed.add_signature(&publisher);
/// let root = TrustedRoot::pin(signed.to_text().as_bytes())?;
///
/// let mut state = TrustState::new(root.clone(), Channel::default());
/// let mut release = Release::first(root.root(), Channel::default(), today, day("2026-09-01")).to_sign()?;
/// release.add_signature(&publisher);
/// assert_eq!(state.take_release(release.to_text().as_bytes())?, Taken::New);
/// assert_eq!(state.take_release(release.to_text().as_bytes())?, Taken::Same);
///
/// // Nobody installs before the online key says so.
/// let spore = NodeId::random();
/// assert_eq!(state.to_install(spore, today).unwrap_err(), NotYet::NoRollout);
/// let trusted = state.current().unwrap().release.clone();
/// let mut rollout = trusted.draft_rollout(1, RolloutOrder::Run, today, later).to_sign()?;
/// rollout.add_signature(&online);
/// state.take_rollout(rollout.to_text().as_bytes())?;
/// assert_eq!(state.to_install(spore, today).unwrap().digest(), trusted.digest());
///
/// // What is kept is taken up again, and the rollout ends by itself.
/// let state = TrustState::from_bytes(&state.to_bytes())?;
/// assert_eq!(state.to_install(spore, later).unwrap_err(), NotYet::RolloutExpired { expires: later });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TrustState {
    pub(super) channel: Channel,
    pub(super) root: TrustedRoot,
    pub(super) current: Option<Current>,
    /// The root under which the current release was believed, where the root in force does not believe it.
    pub(super) believed_under: Option<TrustedRoot>,
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
    /// The state has changed: keep it before acting on it.
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
        /// `root`, `epoch`, `release`, `rollout`.
        what: &'static str,
        /// Its number.
        found: String,
        /// The number here.
        current: String,
    },
    /// Two documents of one number: somebody signed twice, or a key is stolen.
    #[error("two different documents are both {what} {number} ({found} and {current}): a key signs what it should not")]
    Alarm {
        /// `root`, `release`, `rollout`.
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
    /// A release that was made after another one than the current.
    #[error(
        "the release was made after {}, the current one is {current}: make it anew from the current one",
        .found.map_or_else(|| "no other".to_owned(), |digest| digest.to_string())
    )]
    Chain {
        /// The one it names.
        found: Option<Digest>,
        /// The one it must name.
        current: Digest,
    },
    /// The kept bytes are no state.
    #[error("the kept state is not understood: {problem}")]
    Kept {
        /// What is wrong.
        problem: String,
    },
}

impl TrustState {
    /// Nothing but a root.
    #[must_use]
    pub fn new(root: TrustedRoot, channel: Channel) -> Self {
        Self {
            channel,
            root,
            current: None,
            believed_under: None,
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

    /// The publishers of the root, without what the root and the current release revoke. The revocations of a release
    /// count until the next release, whatever becomes of its keys: at worst something is not installed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let current = self.current.as_ref();
        let revoked = current.map_or(&[][..], |current| &current.release.release().revoked);
        self.root.root().trust(revoked)
    }

    /// Takes the next root. A rise of the epoch lets releases begin anew; the current release stays what is running until
    /// then, and its rollout goes if its keys do.
    ///
    /// # Errors
    /// [`StateError`]; nothing has changed.
    pub fn take_root(&mut self, bytes: &[u8]) -> Result<Taken, StateError> {
        match self.root.rotate(bytes) {
            Ok(root) => {
                let before = std::mem::replace(&mut self.root, root);
                self.hold_against_the_root(before);
                Ok(Taken::New)
            }
            Err(DocumentError::NotNext { found, current }) if found <= current => {
                // signed by the root keys in force, or it would have been refused for that
                let digest = super::SignedDocument::parse(super::DocumentKind::Root, bytes)?.digest();
                let number = |version: &u64| version.to_string();
                against("root", (found, digest), (current, self.root.digest()), number).map(|_| Taken::Same)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the root that the operator has put there, at the start: whoever can write that file is believed, and needs no
    /// signature of the root before. One of another swarm begins everything anew; a newer one of this swarm comes into
    /// force, and releases still only grow; an older one changes nothing, the state has come further since.
    ///
    /// # Errors
    /// [`StateError`] where it contradicts the root in force: the same version with other content, or an epoch that has
    /// ended. Nothing has changed; an operator must say which of the two is right.
    pub fn repin(&mut self, pinned: TrustedRoot) -> Result<Taken, StateError> {
        let (now, new) = (self.root.root(), pinned.root());
        if now.swarm_id != new.swarm_id {
            *self = Self::new(pinned, self.channel.clone());
            return Ok(Taken::New);
        }
        if new.version < now.version {
            return Ok(Taken::Same);
        }
        let number = |version: &u64| version.to_string();
        let (found, here) = ((new.version, pinned.digest()), (now.version, self.root.digest()));
        if against("root", found, here, number)? == Taken::Same {
            return Ok(Taken::Same);
        }
        if new.epoch < now.epoch {
            return Err(StateError::Older {
                what: "epoch",
                found: new.epoch.to_string(),
                current: now.epoch.to_string(),
            });
        }
        let before = std::mem::replace(&mut self.root, pinned);
        self.hold_against_the_root(before);
        Ok(Taken::New)
    }

    /// Works out anew whether the root in force believes what was believed under the one before.
    pub(super) fn hold_against_the_root(&mut self, before: TrustedRoot) {
        let Some(current) = &mut self.current else {
            return;
        };
        let release = self.root.release(current.release.to_text().as_bytes(), &self.channel);
        self.believed_under = match release {
            Ok(_) => None,
            Err(_) => self.believed_under.take().or(Some(before)),
        };
        let believed = |rollout: &TrustedRollout| {
            self.root
                .rollout(rollout.to_text().as_bytes(), &current.release)
                .is_ok()
        };
        current.rollout = current.rollout.take().filter(believed);
    }

    /// Takes a release with a greater (epoch, seq). The current one signed anew, after a change of keys, is taken too.
    ///
    /// # Errors
    /// [`StateError`]; nothing has changed.
    pub fn take_release(&mut self, bytes: &[u8]) -> Result<Taken, StateError> {
        let release = self.root.release(bytes, &self.channel)?;
        if let Some(current) = &mut self.current {
            let of = |of: &TrustedRelease| ((of.release().epoch, of.release().seq), of.digest());
            let number = |(epoch, seq): &(u64, u64)| format!("{epoch}.{seq}");
            if against("release", of(&release), of(&current.release), number)? == Taken::Same {
                if self.believed_under.take().is_none() {
                    return Ok(Taken::Same);
                }
                current.release = release;
                return Ok(Taken::New);
            }
        }
        self.current = Some(Current { release, rollout: None });
        self.believed_under = None;
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
            let of = |of: &TrustedRollout| (of.rollout().counter, of.digest());
            if against("rollout", of(&rollout), of(here), u64::to_string)? == Taken::Same {
                return Ok(Taken::Same);
            }
        }
        current.rollout = Some(rollout);
        Ok(Taken::New)
    }

    /// For whoever publishes: whether a release was made from the current one, so that nobody's release is overwritten
    /// unseen. Spores do not ask: they may have missed any number of releases.
    ///
    /// # Errors
    /// [`StateError::Chain`].
    pub fn check_chain(&self, release: &TrustedRelease) -> Result<(), StateError> {
        let Some(current) = self.current.as_ref().map(|current| &current.release) else {
            return Ok(());
        };
        let (found, current_digest) = (release.release().prev_sha256, current.digest());
        let begins = release.release().epoch > current.release().epoch && found.is_none();
        if begins || release.digest() == current_digest || found == Some(current_digest) {
            return Ok(());
        }
        let current = current_digest;
        Err(StateError::Chain { found, current })
    }

    /// The time that counts: the clock's, but not before the root and the release in force were made. With a clock that
    /// is behind, what has expired does not come to life again; with one that is ahead, things are stale and no worse.
    #[must_use]
    pub fn time(&self, now: Timestamp) -> Timestamp {
        let current = self.current.as_ref().filter(|_| self.believed_under.is_none());
        let made = current.map(|current| current.release.release().created);
        now.max(self.root.root().created).max(made.unwrap_or(now))
    }

    /// Why nothing may be installed at this time; `None`: it may. Never a reason to stop what runs.
    #[must_use]
    pub fn stale(&self, now: Timestamp) -> Option<String> {
        let (now, root) = (self.time(now), self.root.root());
        if now >= root.expires {
            return Some(format!("root {} expired {}", root.version, root.expires));
        }
        let release = self.current.as_ref()?.release.release();
        let (epoch, seq) = (release.epoch, release.seq);
        if epoch < root.epoch {
            let version = root.version;
            return Some(format!(
                "release {epoch}.{seq} is of an epoch that root {version} has ended"
            ));
        }
        if self.believed_under.is_some() {
            let version = root.version;
            return Some(format!(
                "release {epoch}.{seq} is signed by keys that root {version} no longer lists"
            ));
        }
        (now >= release.expires).then(|| format!("release {epoch}.{seq} expired {}", release.expires))
    }

    /// What the rollout says at this time; `None`: there is none, or it has expired.
    #[must_use]
    pub fn order(&self, now: Timestamp) -> Option<RolloutOrder> {
        let rollout = self.current.as_ref()?.rollout.as_ref()?.rollout();
        (self.time(now) < rollout.expires).then_some(rollout.state)
    }
}

/// Holds the number and digest of a document against those of the one here: only a greater number is new.
fn against<N: Ord>(
    what: &'static str,
    (found, digest): (N, Digest),
    (current, here): (N, Digest),
    number: impl Fn(&N) -> String,
) -> Result<Taken, StateError> {
    match found.cmp(&current) {
        std::cmp::Ordering::Greater => Ok(Taken::New),
        std::cmp::Ordering::Less => Err(StateError::Older {
            what,
            found: number(&found),
            current: number(&current),
        }),
        std::cmp::Ordering::Equal if digest == here => Ok(Taken::Same),
        std::cmp::Ordering::Equal => Err(StateError::Alarm {
            what,
            number: number(&found),
            found: digest,
            current: here,
        }),
    }
}
