//! A state as bytes. What is kept is the text of the envelopes, and taking it up verifies them all again: the release
//! against the root under which it was believed, which may be an earlier one, the rollout against the root in force.

use serde::{Deserialize, Serialize};

use super::{Channel, Current, StateError, TrustState, TrustedRollout, TrustedRoot};

const FORMAT: u32 = 1;
/// Two roots, a release and a rollout at their largest, escaped once more as JSON strings.
const MAX_BYTES: usize = 2 * (3 * 64 + 256) * 1024 + 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    channel: Channel,
    root: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    /// The root under which the release was believed, where it is an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    believed_under: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rollout: Option<String>,
}

fn unfit(problem: impl ToString) -> StateError {
    let problem = problem.to_string();
    StateError::Kept { problem }
}

impl TrustState {
    /// The bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let current = self.current.as_ref();
        let rollout = current.and_then(|current| current.rollout.as_ref());
        let kept = Kept {
            format: FORMAT,
            channel: self.channel.clone(),
            root: self.root.to_text(),
            release: current.map(|current| current.release.to_text()),
            believed_under: self.believed_under.as_ref().map(TrustedRoot::to_text),
            rollout: rollout.map(TrustedRollout::to_text),
        };
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Takes up kept bytes. They were believed when they were written; signatures are checked again all the same.
    ///
    /// # Errors
    /// [`StateError::Kept`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() > MAX_BYTES {
            return Err(unfit(format!("it has more than {MAX_BYTES} bytes")));
        }
        let kept: Kept = serde_json::from_slice(bytes).map_err(unfit)?;
        if kept.format != FORMAT {
            return Err(unfit(format!("it has format {}", kept.format)));
        }
        let root = TrustedRoot::pin(kept.root.as_bytes()).map_err(unfit)?;
        let mut state = Self::new(root, kept.channel);
        match (&kept.release, &kept.believed_under) {
            (Some(release), earlier) => state.take_up(release, earlier.as_deref())?,
            (None, None) => {}
            (None, Some(_)) => return Err(unfit("there is an earlier root, but no release that needs it")),
        }
        if let Some(rollout) = &kept.rollout {
            state.take_rollout(rollout.as_bytes()).map_err(unfit)?;
        }
        Ok(state)
    }

    fn take_up(&mut self, release: &str, earlier: Option<&str>) -> Result<(), StateError> {
        let earlier = earlier.map(|text| self.earlier_root(text)).transpose()?;
        let believer = earlier.as_ref().unwrap_or(&self.root);
        let release = believer.release(release.as_bytes(), &self.channel).map_err(unfit)?;
        self.current = Some(Current { release, rollout: None });
        if let Some(earlier) = earlier {
            self.hold_against_the_root(earlier);
        }
        Ok(())
    }

    fn earlier_root(&self, text: &str) -> Result<TrustedRoot, StateError> {
        let earlier = TrustedRoot::pin(text.as_bytes()).map_err(unfit)?;
        let (now, then) = (self.root.root(), earlier.root());
        if then.swarm_id != now.swarm_id || then.version >= now.version || then.epoch > now.epoch {
            return Err(unfit(
                "the root that believed the release is none before the root in force",
            ));
        }
        Ok(earlier)
    }
}
