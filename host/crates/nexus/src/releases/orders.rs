//! What operators order, and every other change of a rollout: signed, written by compare-and-set, told.

use std::sync::Arc;

use serde_json::json;
use venom_bundle::{Channel, DocumentKind, MAX_SEQ, Rollout, SignedDocument, sign_note};
use venom_protocol::{RolloutState, Timestamp};

use super::publish::{TRIES, contended};
use super::rollout::{self, Action, Progress};
use super::shelf::{Kept, Line, Note};
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
            let progress = &line.note.progress;
            let surveyed = survey(self.hive.nodes_everywhere(), line.release(), &line.digest);
            let failed = failures(&surveyed, progress.reach(&line.note.plan));
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
        let note = line.next_note(next);
        let says_so = |rollout: &Rollout| {
            rollout.state == note.progress.order()
                && rollout.wave == note.progress.reach(&note.plan)
                && !rollout::is_old(rollout.issued, rollout.expires, now)
        };
        let signed = line.current.rollout.as_ref();
        let text = match signed.filter(|rollout| says_so(rollout.rollout())) {
            Some(_) => line.kept.rollout.clone(),
            None => self.sign(&mut line.trust.clone(), &note, line.next_counter(), now)?,
        };
        let kept = Kept {
            rollout: text,
            note: sign_note(&note, self.online_key()?),
            ..line.kept.clone()
        };
        self.write(&line.release().channel, &kept, Some(line)).await
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
            fields.insert("waves".to_owned(), json!(line.note.plan.waves.len()));
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

impl Line {
    /// The note of the next turn.
    pub(super) fn next_note(&self, progress: Progress) -> Note {
        Note {
            turn: self.note.turn + 1,
            progress,
            ..self.note.clone()
        }
    }

    /// A number no rollout of this release has had, also where the one that is kept is no longer believed.
    pub(super) fn next_counter(&self) -> u64 {
        let kept = SignedDocument::parse(DocumentKind::Rollout, self.kept.rollout.as_bytes());
        let claimed = kept.and_then(|signed| signed.claimed::<Rollout>());
        let claimed = claimed.map_or(0, |rollout| rollout.counter.min(MAX_SEQ - 1));
        claimed.max(self.counter()) + 1
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
