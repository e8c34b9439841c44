//! What goes on by itself: rollouts advance when their gates are met, stop when a wave fails, and are signed anew before
//! they run out. Every nexus does it; compare-and-set decides which of them did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use venom_protocol::{RolloutState, Timestamp};

use super::rollout::{self, Progress};
use super::shelf::Line;
use super::standing::{counts, seen, survey};
use super::{ReleaseError, Releases, Who};

/// How often rollouts are looked at when nothing is heard.
const TICK: Duration = Duration::from_secs(1);
/// Reports come in crowds; so many of them are looked at together.
const GATHER: Duration = Duration::from_millis(20);

impl Releases {
    /// Goes on for ever.
    pub(super) async fn drive(self: Arc<Self>) {
        let itself = Who {
            name: "nexus".into(),
            peer: None,
        };
        let mut looked: Option<Instant> = None;
        let mut said = None;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= self.settings.poll) {
                self.look_or_complain().await;
                looked = self.picture().is_ok().then(Instant::now);
            }
            let outcome = self.step_all(&itself).await.err().map(|error| error.to_string());
            if let Some(trouble) = outcome.as_ref().filter(|_| outcome != said) {
                tracing::warn!("rollouts do not go on: {trouble}");
            }
            said = outcome;
            if tokio::time::timeout(TICK, self.stirred.notified()).await.is_ok() {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    async fn step_all(&self, itself: &Who) -> Result<(), ReleaseError> {
        let Ok(picture) = self.picture() else { return Ok(()) };
        let mut failed = Ok(());
        for line in picture.lines.values() {
            // trouble with one channel does not hold up the others
            if let Err(error) = self.step(line, itself).await {
                failed = Err(error);
            }
        }
        failed
    }

    /// One step of one rollout.
    async fn step(&self, line: &Line, itself: &Who) -> Result<(), ReleaseError> {
        let now = Timestamp::now();
        let (plan, progress) = (&line.kept.plan, &line.kept.progress);
        let surveyed = survey(self.hive.nodes_everywhere(), line.release(), &line.digest);
        let channel = line.release().channel.as_str();
        self.metrics
            .mirror(channel, progress.wave, &counts(&surveyed, plan, progress.wave));
        let next = match progress.state {
            RolloutState::Running => {
                rollout::next(plan, progress, &seen(&surveyed), now, self.settings.thin_wave_patience)
            }
            _ => None,
        };
        let Some(next) = next.or_else(|| self.needs_signing(line, now).then(|| progress.clone())) else {
            return Ok(());
        };
        self.carry_out(line, next, now, itself).await
    }

    /// Without a key of its own a nexus leaves the signing to others.
    fn needs_signing(&self, line: &Line, now: Timestamp) -> bool {
        let rollout = line.current.rollout.as_ref().map(|rollout| rollout.rollout());
        let is_old = rollout.is_none_or(|rollout| rollout::is_old(rollout.issued, rollout.expires, now));
        is_old && self.settings.online_key.is_some()
    }

    async fn carry_out(&self, line: &Line, next: Progress, now: Timestamp, itself: &Who) -> Result<(), ReleaseError> {
        if self.settings.online_key.is_none() {
            return Ok(());
        }
        let is_ours = self.turn(line, next.clone(), now).await?;
        let picture = self.look().await?;
        if is_ours && let Some(changed) = picture.lines.get(&line.release().channel) {
            self.tell_turn(&line.kept.progress, &next, changed, itself).await;
        }
        Ok(())
    }
}
