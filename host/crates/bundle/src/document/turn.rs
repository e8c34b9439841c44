//! The one question every installation begins with: may this spore install from the current release, now? All rules
//! that could say no are asked here, so that no caller forgets one.

use venom_protocol::{NodeId, Timestamp};

use super::{RolloutOrder, TrustState, TrustedRelease, bucket};

/// Why a spore installs nothing now. None of these stops what runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotYet {
    /// Nothing was released.
    #[error("there is no release yet")]
    NoRelease,
    /// Root or release expired, or a later root does not believe the release.
    #[error("{reason}: nothing is installed until there is a newer one")]
    Stale {
        /// As [`TrustState::stale`] says.
        reason: String,
    },
    /// Nobody said that it may go out.
    #[error("the release waits for its rollout")]
    NoRollout,
    /// What was said has expired.
    #[error("its rollout expired {expires}: the release waits for the next")]
    RolloutExpired {
        /// When.
        expires: Timestamp,
    },
    /// An operator or a failed wave holds it.
    #[error("the rollout is paused")]
    Paused,
    /// It is taken back.
    #[error("the rollout is taken back")]
    Reverted,
    /// Others go first.
    #[error("not this spore's turn: its place is {place} of 10000, {wave} may install")]
    Waiting {
        /// See [`bucket`].
        place: u16,
        /// Places below it may.
        wave: u16,
    },
}

impl TrustState {
    /// The release from which a spore may install now.
    ///
    /// # Errors
    /// [`NotYet`] says why it may not.
    pub fn to_install(&self, node_id: NodeId, now: Timestamp) -> Result<&TrustedRelease, NotYet> {
        let current = self.current().ok_or(NotYet::NoRelease)?;
        if let Some(reason) = self.stale(now) {
            return Err(NotYet::Stale { reason });
        }
        let rollout = current.rollout.as_ref().ok_or(NotYet::NoRollout)?.rollout();
        if self.time(now) >= rollout.expires {
            let expires = rollout.expires;
            return Err(NotYet::RolloutExpired { expires });
        }
        let place = bucket(&current.release.digest(), node_id);
        match rollout.state {
            RolloutOrder::Pause => Err(NotYet::Paused),
            RolloutOrder::Revert => Err(NotYet::Reverted),
            RolloutOrder::Run if place < rollout.wave => Ok(&current.release),
            RolloutOrder::Run => {
                let wave = rollout.wave;
                Err(NotYet::Waiting { place, wave })
            }
        }
    }
}
