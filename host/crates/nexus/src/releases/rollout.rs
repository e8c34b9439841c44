//! How a rollout goes on: from the plan, from what spores reported and from the time to the next step. Pure: no clock,
//! no I/O, so that every nexus comes to the same step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use venom_bundle::{RolloutOrder, WHOLE};
use venom_protocol::{OnFailure, RolloutPlan, RolloutState, Timestamp, Wave};

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) state: RolloutState,
    /// Why, for people; empty while all is well.
    pub(crate) reason: String,
    /// Waves begun, from 1.
    pub(crate) wave: usize,
    pub(crate) wave_began: Timestamp,
    /// Since when the wave is good; absent: it is not.
    pub(crate) good_since: Option<Timestamp>,
    /// Failures an operator has seen and resumed after.
    pub(crate) excused: usize,
}

/// How a spore stands with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Has said nothing about it, or that it is not its turn.
    Silent,
    /// Fetches or stages.
    Working,
    /// Answers with it and is watched.
    Soaking,
    /// All that is wanted is there for good.
    Committed,
    /// Rolled back or failed.
    Failed,
    /// Waits for an operator.
    Held,
    /// Went back, as it was told.
    Reverted,
}

/// One spore the release is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) bucket: u16,
    pub(crate) is_online: bool,
    pub(crate) standing: Standing,
}

/// What an operator may do to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Pause,
    Resume,
    Abort,
    Revert,
}

impl Progress {
    /// The first wave.
    pub(crate) fn begun(now: Timestamp) -> Self {
        Self {
            state: RolloutState::Running,
            reason: String::new(),
            wave: 1,
            wave_began: now,
            good_since: None,
            excused: 0,
        }
    }

    /// What spores are told.
    pub(crate) fn order(&self) -> RolloutOrder {
        match self.state {
            RolloutState::Running | RolloutState::Completed => RolloutOrder::Run,
            RolloutState::Paused | RolloutState::Aborted => RolloutOrder::Pause,
            RolloutState::Reverted => RolloutOrder::Revert,
        }
    }

    /// Which spores may install: those in buckets below.
    pub(crate) fn reach(&self, plan: &RolloutPlan) -> u16 {
        reach(plan, self.wave)
    }
}

/// Buckets of the waves up to this one, from 1.
pub(crate) fn reach(plan: &RolloutPlan, wave: usize) -> u16 {
    let wave = wave.checked_sub(1).and_then(|at| plan.waves.get(at));
    wave.map_or(WHOLE, |wave| parts(wave.percent))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a checked share, 0 to 10,000"
)]
fn parts(percent: f64) -> u16 {
    (percent * 100.0).round().clamp(0.0, f64::from(WHOLE)) as u16
}

/// Which wave a spore belongs to, from 1.
pub(crate) fn wave_of(plan: &RolloutPlan, bucket: u16) -> usize {
    let found = plan.waves.iter().position(|wave| bucket < parts(wave.percent));
    found.unwrap_or(plan.waves.len().saturating_sub(1)) + 1
}

/// What is wrong with a plan.
pub(crate) fn check_plan(plan: &RolloutPlan) -> Result<(), String> {
    const MOST_WAVES: usize = 32;
    const LONGEST_SOAK: f64 = 30.0 * 24.0 * 3_600.0;
    if plan.waves.is_empty() || plan.waves.len() > MOST_WAVES {
        return Err(format!(
            "plan.waves has {} waves, give 1 to {MOST_WAVES}",
            plan.waves.len()
        ));
    }
    let mut before = 0;
    for (index, wave) in plan.waves.iter().enumerate() {
        let reach = parts(wave.percent);
        if !wave.percent.is_finite() || wave.percent > 100.0 || reach <= before {
            let text = "give shares over 0 up to 100, each larger than the one before";
            return Err(format!("plan.waves[{index}].percent is {}, {text}", wave.percent));
        }
        if !(0.0..=LONGEST_SOAK).contains(&wave.soak) {
            let text = "give seconds, at most 30 days";
            return Err(format!("plan.waves[{index}].soak is {}, {text}", wave.soak));
        }
        if !(0.0..=1.0).contains(&wave.min_success) {
            return Err(format!(
                "plan.waves[{index}].min_success is {}, give 0 to 1",
                wave.min_success
            ));
        }
        before = reach;
    }
    if before != WHOLE {
        return Err("the last of plan.waves must have percent 100: nobody is left out for good".to_owned());
    }
    Ok(())
}

/// What the spores of the waves so far say of one wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gate {
    /// Good for the next wave, once it has been so for long enough.
    is_met: bool,
    /// Fewer spores than must report: it may only look good.
    is_thin: bool,
    failed: usize,
    reported: usize,
    has_failed: bool,
}

impl Gate {
    #[expect(clippy::cast_precision_loss, reason = "counts of spores")]
    fn of(wave: &Wave, reach: u16, excused: usize, seen: &[Seen]) -> Self {
        let mut known = 0;
        let (mut online, mut working, mut good, mut failed) = (0_usize, 0_usize, 0_usize, 0_usize);
        for spore in seen.iter().filter(|spore| spore.bucket < reach) {
            known += 1;
            online += usize::from(spore.is_online);
            match spore.standing {
                // one that failed may well be gone because of it
                Standing::Failed => failed += 1,
                Standing::Committed => good += usize::from(spore.is_online),
                Standing::Working | Standing::Soaking | Standing::Held => working += usize::from(spore.is_online),
                Standing::Silent | Standing::Reverted => {}
            }
        }
        let failed = failed.saturating_sub(excused);
        let reported = good + working + failed;
        let wanted = usize::try_from(wave.min_reports).unwrap_or(usize::MAX);
        // of a wave that has spores at least one must have shown that it works
        let needed = wanted.min(online).max(usize::from(known > 0 && wanted > 0));
        let judged = reported.max(needed) as f64;
        let bad = failed as f64;
        Self {
            is_met: !seen.is_empty() && good >= needed && good as f64 >= wave.min_success * reported as f64 - EXACTLY,
            is_thin: online < wanted.max(1),
            failed,
            reported,
            has_failed: failed > 0 && bad > (1.0 - wave.min_success) * judged + EXACTLY,
        }
    }
}

/// What the arithmetic of shares may be off: far less than one spore of a million.
const EXACTLY: f64 = 1e-9;

/// The next step, if there is one. `patience` is for waves with too few spores to be sure.
pub(crate) fn next(
    plan: &RolloutPlan,
    progress: &Progress,
    seen: &[Seen],
    now: Timestamp,
    patience: Duration,
) -> Option<Progress> {
    if progress.state != RolloutState::Running {
        return None;
    }
    let wave = progress.wave.checked_sub(1).and_then(|at| plan.waves.get(at))?;
    let gate = Gate::of(wave, progress.reach(plan), progress.excused, seen);
    if gate.has_failed {
        return Some(failed(plan, progress, wave, gate));
    }
    if !gate.is_met {
        let lost = progress.good_since.is_some();
        return lost.then(|| Progress {
            good_since: None,
            ..progress.clone()
        });
    }
    let soak = Duration::try_from_secs_f64(wave.soak).unwrap_or(Duration::MAX);
    let soak = if gate.is_thin { soak.max(patience) } else { soak };
    let since = progress.good_since.unwrap_or(now);
    if elapsed(since, now) >= soak {
        return Some(advanced(plan, progress, now));
    }
    let first = progress.good_since.is_none();
    first.then(|| Progress {
        good_since: Some(now),
        ..progress.clone()
    })
}

/// Time between two moments of clocks that need not agree; never negative.
fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.0.duration_since(since.0)).unwrap_or_default()
}

fn advanced(plan: &RolloutPlan, progress: &Progress, now: Timestamp) -> Progress {
    let is_last = progress.wave >= plan.waves.len();
    Progress {
        state: if is_last {
            RolloutState::Completed
        } else {
            RolloutState::Running
        },
        reason: String::new(),
        wave: if is_last { progress.wave } else { progress.wave + 1 },
        wave_began: if is_last { progress.wave_began } else { now },
        good_since: None,
        excused: progress.excused,
    }
}

fn failed(plan: &RolloutPlan, progress: &Progress, wave: &Wave, gate: Gate) -> Progress {
    let state = match plan.on_failure {
        OnFailure::Pause => RolloutState::Paused,
        OnFailure::Revert => RolloutState::Reverted,
    };
    let reason = format!(
        "wave {} failed: {} of {} spores that reported rolled back or failed, and {:.0}% must be good",
        progress.wave,
        gate.failed,
        gate.reported,
        wave.min_success * 100.0
    );
    Progress {
        state,
        reason,
        good_since: None,
        ..progress.clone()
    }
}

/// What an operator's wish makes of a rollout; `None`: it is so already. `failures` are those known now.
///
/// # Errors
/// Why it cannot be, for people.
pub(crate) fn ordered(
    progress: &Progress,
    action: Action,
    reason: String,
    failures: usize,
) -> Result<Option<Progress>, String> {
    use RolloutState::{Aborted, Completed, Paused, Reverted, Running};
    let to = |state| {
        Ok(Some(Progress {
            state,
            reason,
            good_since: None,
            ..progress.clone()
        }))
    };
    let over = "publish another release to go on";
    match (action, progress.state) {
        (Action::Pause, Paused) | (Action::Abort, Aborted) | (Action::Revert, Reverted) => Ok(None),
        (Action::Resume, Running | Completed) => Ok(None),
        (Action::Pause, Running | Completed) => to(Paused),
        (Action::Abort, Running | Paused | Completed) => to(Aborted),
        (Action::Revert, Running | Paused | Completed | Aborted) => to(Reverted),
        (Action::Resume, Paused) => Ok(Some(Progress {
            state: Running,
            reason: String::new(),
            good_since: None,
            excused: failures,
            ..progress.clone()
        })),
        (Action::Pause | Action::Resume, Aborted) => Err(format!("the rollout is aborted: {over}")),
        (Action::Pause | Action::Resume | Action::Abort, Reverted) => Err(format!("the rollout is reverted: {over}")),
    }
}

/// Whether a signed rollout must be signed anew: half of its life is over.
pub(crate) fn is_old(issued: Timestamp, expires: Timestamp, now: Timestamp) -> bool {
    elapsed(now, expires) <= elapsed(issued, expires) / 2
}

#[cfg(test)]
mod tests;
