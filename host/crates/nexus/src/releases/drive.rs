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

/// Which rollouts are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those that may go on, and those that must be signed anew.
    Running,
    /// The others too, for the metrics.
    All,
}

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
            let is_due = looked.is_none_or(|looked| looked.elapsed() >= self.settings.poll);
            if is_due {
                self.look_or_complain().await;
                looked = self.picture().is_ok().then(Instant::now);
            }
            let began = Instant::now();
            let which = if is_due { Which::All } else { Which::Running };
            let outcome = self.step_all(which, &itself).await.err().map(|error| error.to_string());
            if let Some(trouble) = outcome.as_ref().filter(|_| outcome != said) {
                tracing::warn!("rollouts do not go on: {trouble}");
            }
            said = outcome;
            // a look at ten thousand spores takes its time: no more than a tenth of a core for it
            let gather = GATHER.max(began.elapsed() * 10);
            if tokio::time::timeout(TICK.max(gather), self.stirred.notified())
                .await
                .is_ok()
            {
                tokio::time::sleep(gather).await;
            }
        }
    }

    async fn step_all(&self, which: Which, itself: &Who) -> Result<(), ReleaseError> {
        let Ok(picture) = self.picture() else { return Ok(()) };
        let mut failed = Ok(());
        for line in picture.lines.values() {
            let goes_on = line.note.progress.state == RolloutState::Running;
            let is_wanted = goes_on || which == Which::All || self.needs_signing(line, Timestamp::now());
            // trouble with one channel does not hold up the others
            if is_wanted && let Err(error) = self.step(line, itself).await {
                failed = Err(error);
            }
        }
        failed
    }

    /// One step of one rollout.
    async fn step(&self, line: &Line, itself: &Who) -> Result<(), ReleaseError> {
        let now = Timestamp::now();
        let (plan, progress) = (&line.note.plan, &line.note.progress);
        let surveyed = survey(self.hive.nodes_everywhere(), line.release(), &line.digest);
        let counts = counts(&surveyed, plan, progress.wave);
        self.metrics
            .mirror(line.release().channel.as_str(), progress.wave, &counts);
        let patience = self.settings.thin_wave_patience;
        let next = rollout::next(plan, progress, &seen(&surveyed), now, patience);
        let anew = || self.needs_signing(line, now).then(|| progress.clone());
        match next.or_else(anew) {
            Some(next) => self.carry_out(line, next, now, itself).await,
            None => Ok(()),
        }
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
            self.tell_turn(&line.note.progress, &next, changed, itself).await;
        }
        Ok(())
    }
}
