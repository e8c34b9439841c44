//! What operators order, and every other change of a rollout: signed, written by compare-and-set, told.

use std::sync::Arc;

use serde_json::json;
use venom_bundle::Channel;
use venom_protocol::{RolloutState, Timestamp};

use super::publish::{TRIES, contended};
use super::rollout::{self, Action, Progress};
use super::shelf::{Kept, Line};
use super::standing::{failures, survey};
use super::{ReleaseError, Releases, Who};

impl Releases {
    /// Pauses, resumes, aborts or reverts. What is so already stays so.
    pub(crate) async fn order(
        &self,
        channel: &Channel,
        action: Action,
        reason: &str,
        who: &Who,
    ) -> Result<Arc<Line>, ReleaseError> {
        for _ in 0..TRIES {
            let picture = self.look().await?;
            let line = Self::line(&picture, channel)?;
            let progress = &line.kept.progress;
            let surveyed = survey(self.hive.nodes_everywhere(), line.release(), &line.digest);
            let failed = failures(&surveyed, progress.reach(&line.kept.plan));
            let wished = rollout::ordered(progress, action, said(action, reason, who), failed);
            let Some(next) = wished.map_err(ReleaseError::Conflict)? else {
                return Ok(line);
            };
            if self.turn(&line, next.clone(), Timestamp::now()).await? {
                let line = Self::line(&*self.look().await?, channel)?;
                self.tell_turn(progress, &next, &line, who).await;
                return Ok(line);
            }
        }
        Err(contended())
    }

    /// Changes a rollout. False: somebody else did meanwhile. The document is signed anew when spores are told something
    /// else, or when it is old.
    pub(super) async fn turn(&self, line: &Line, next: Progress, now: Timestamp) -> Result<bool, ReleaseError> {
        let plan = &line.kept.plan;
        let says_so = |rollout: &venom_bundle::Rollout| {
            rollout.state == next.order()
                && rollout.wave == next.reach(plan)
                && !rollout::is_old(rollout.issued, rollout.expires, now)
        };
        let signed = line
            .current
            .rollout
            .as_ref()
            .filter(|rollout| says_so(rollout.rollout()));
        let text = match signed {
            Some(_) => line.kept.rollout.clone(),
            None => self.sign(&mut line.trust.clone(), &next, plan, self.next_counter(line), now)?,
        };
        let kept = Kept {
            rollout: text,
            progress: next,
            ..line.kept.clone()
        };
        self.write(&line.release().channel, &kept, Some(line)).await
    }

    /// A number no rollout of this release has had, also where the one that is kept is no longer believed.
    fn next_counter(&self, line: &Line) -> u64 {
        let kept = line.kept.rollout.as_bytes();
        let kept = venom_bundle::SignedDocument::parse(venom_bundle::DocumentKind::Rollout, kept);
        let claimed = kept.and_then(|signed| signed.claimed::<venom_bundle::Rollout>());
        let claimed = claimed.map_or(0, |rollout| rollout.counter.min(venom_bundle::MAX_SEQ - 1));
        claimed.max(line.counter()) + 1
    }

    /// Says what became of a rollout.
    pub(super) async fn tell_turn(&self, before: &Progress, now: &Progress, line: &Line, who: &Who) {
        if before.order() != now.order() || before.wave != now.wave {
            self.announce(Self::facts(line)).await;
        }
        let Some((kind, what)) = change(before, now) else {
            return;
        };
        let release = line.release();
        let name = format!("{} {}.{}", release.channel, release.epoch, release.seq);
        let mut facts = Self::facts(line);
        if let Some(fields) = facts.as_object_mut() {
            fields.insert("wave".to_owned(), json!(now.wave));
            fields.insert("waves".to_owned(), json!(line.kept.plan.waves.len()));
            fields.insert("reason".to_owned(), json!(now.reason));
        }
        let reason = if now.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", now.reason)
        };
        self.record(kind, format!("rollout of {name} {what}{reason}"), facts, who);
        self.stirred.notify_one();
    }
}

/// The event of a change, and how it goes on after "rollout of X".
fn change(before: &Progress, now: &Progress) -> Option<(&'static str, String)> {
    let was_paused = before.state == RolloutState::Paused;
    Some(match now.state {
        state if state == before.state && before.wave == now.wave => return None,
        RolloutState::Running if was_paused => ("ROLLOUT_RESUMED", format!("goes on with wave {}", now.wave)),
        RolloutState::Running => ("ROLLOUT_WAVE", format!("begins wave {}", now.wave)),
        RolloutState::Paused => ("ROLLOUT_PAUSED", "is paused".to_owned()),
        RolloutState::Aborted => ("ROLLOUT_ABORTED", "is aborted".to_owned()),
        RolloutState::Reverted => ("ROLLOUT_REVERTED", "is taken back".to_owned()),
        RolloutState::Completed => ("ROLLOUT_COMPLETED", "is complete".to_owned()),
    })
}

fn said(action: Action, reason: &str, who: &Who) -> String {
    let what = match action {
        Action::Pause => "paused",
        Action::Resume => "resumed",
        Action::Abort => "aborted",
        Action::Revert => "reverted",
    };
    match reason.trim() {
        "" => format!("{what} by {}", who.name),
        reason => format!("{what} by {}: {reason}", who.name),
    }
}
