//! What is known of the calls of one loaded skill: how many run, and how those that ended went. A new version is watched
//! by it before it is trusted to stay, and an old one until nothing of it runs. It keeps no call and decides nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use venom_protocol::{CallError, ErrorCode};

/// A caller that waits less than this, and less than the skill's own `wall` budget, may just be impatient: its timeout
/// says nothing of the skill. Any other does, or a version that hangs would never be noticed.
const FAIR_PATIENCE: Duration = Duration::from_secs(1);

/// How the calls of a skill went since it was loaded.
///
/// What says nothing of the skill does not count: calls that were cancelled, were not let in or waited for their turn
/// too long, had wrong parameters or named no method of it, were cut off by a timeout of their caller under
/// one second, or were ended because the version was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Calls that ended.
    pub calls: u64,
    /// Those of them that failed, for whatever reason; crashes are among them.
    pub failures: u64,
    /// Those of them that crashed: a trap, or a budget used up.
    pub traps: u64,
    /// Calls that run or wait for their turn now, counted or not.
    pub in_flight: u32,
}

/// What a call says of its skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    Failed,
    Crashed,
    /// The caller's doing, or the host's.
    Nothing,
}

impl Verdict {
    fn of(error: &CallError, patience: Duration) -> Self {
        match error.code {
            ErrorCode::Cancelled
            | ErrorCode::Busy
            | ErrorCode::Draining
            | ErrorCode::InvalidParams
            | ErrorCode::UnknownMethod
            | ErrorCode::UnknownSkill
            | ErrorCode::NodeLost => Self::Nothing,
            ErrorCode::TimedOut if patience < FAIR_PATIENCE => Self::Nothing,
            ErrorCode::Trapped | ErrorCode::LimitExceeded => Self::Crashed,
            ErrorCode::Denied
            | ErrorCode::NotFound
            | ErrorCode::TimedOut
            | ErrorCode::Unavailable
            | ErrorCode::SkillFailed => Self::Failed,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Record {
    calls: AtomicU64,
    failures: AtomicU64,
    traps: AtomicU64,
    in_flight: AtomicU32,
    retired: AtomicBool,
    /// Told when the last call in flight ends.
    idle: Notify,
    /// Told at each failure.
    trouble: Notify,
    /// Told once.
    retirement: Notify,
}

impl Record {
    pub(crate) fn health(&self) -> Health {
        Health {
            calls: self.calls.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            traps: self.traps.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
        }
    }

    /// A call arrives.
    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// It is answered, or its caller dropped it.
    pub(crate) fn leave(&self) {
        if self.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.idle.notify_waiters();
        }
    }

    /// Counts a call that ran and ended. `patience`: how long its caller would have waited, or the `wall` budget if that
    /// ended it: `None`.
    pub(crate) fn count(&self, error: Option<&CallError>, patience: Option<Duration>) {
        let verdict = error.map_or(Verdict::Fine, |error| {
            Verdict::of(error, patience.unwrap_or(Duration::MAX))
        });
        if verdict == Verdict::Nothing || self.is_retired() {
            return;
        }
        if verdict == Verdict::Crashed {
            self.traps.fetch_add(1, Ordering::Relaxed);
        }
        if verdict != Verdict::Fine {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        if verdict != Verdict::Fine {
            self.trouble.notify_waiters();
        }
    }

    /// Ends what still runs, and whatever comes.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.retirement.notify_waiters();
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(crate) async fn retired(&self) {
        wait(&self.retirement, || self.is_retired()).await;
    }

    pub(crate) async fn drained(&self) {
        wait(&self.idle, || self.in_flight.load(Ordering::Acquire) == 0).await;
    }

    pub(crate) async fn troubled(&self, after: &Health) {
        wait(&self.trouble, || self.failures.load(Ordering::Acquire) > after.failures).await;
    }
}

/// Looks each time it is told. Being told counts from before the look, so nothing falls between the two.
async fn wait(told: &Notify, done: impl Fn() -> bool) {
    loop {
        let next = told.notified();
        if done() {
            return;
        }
        next.await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn counted(code: ErrorCode, patience: Option<Duration>) -> (u64, u64, u64) {
        let record = Record::default();
        record.count(Some(&CallError::new(code, "as a test says")), patience);
        let health = record.health();
        (health.calls, health.failures, health.traps)
    }

    #[test]
    fn only_what_the_skill_answers_for_counts() {
        for code in [
            ErrorCode::Cancelled,
            ErrorCode::Busy,
            ErrorCode::InvalidParams,
            ErrorCode::UnknownMethod,
        ] {
            assert_eq!(counted(code, None), (0, 0, 0), "{code:?}");
        }
        for code in [ErrorCode::Trapped, ErrorCode::LimitExceeded] {
            assert_eq!(counted(code, None), (1, 1, 1), "{code:?}");
        }
        for code in [ErrorCode::SkillFailed, ErrorCode::Denied, ErrorCode::Unavailable] {
            assert_eq!(counted(code, None), (1, 1, 0), "{code:?}");
        }
    }

    #[test]
    fn an_impatient_callers_timeout_is_not_the_skills_fault() {
        let short = FAIR_PATIENCE - Duration::from_millis(1);
        assert_eq!(counted(ErrorCode::TimedOut, Some(short)), (0, 0, 0));
        assert_eq!(counted(ErrorCode::TimedOut, Some(FAIR_PATIENCE)), (1, 1, 0));
        assert_eq!(counted(ErrorCode::TimedOut, None), (1, 1, 0), "its own `wall` budget");
        assert_eq!(counted(ErrorCode::Trapped, Some(short)), (1, 1, 1));
    }

    #[test]
    fn what_retirement_ends_does_not_count() {
        let record = Record::default();
        record.retire();
        record.count(Some(&CallError::new(ErrorCode::Unavailable, "replaced")), None);
        record.count(None, None);
        assert_eq!(record.health(), Health::default());
    }

    #[tokio::test]
    async fn waiters_are_told_and_none_waits_for_what_has_happened() {
        let record = Arc::new(Record::default());
        record.drained().await;
        record.enter();
        record.enter();
        let before = record.health();
        let waiting = {
            let record = Arc::clone(&record);
            tokio::spawn(async move {
                record.drained().await;
                record.troubled(&before).await;
                record.retired().await;
            })
        };
        tokio::task::yield_now().await;
        record.leave();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "one is still in flight");
        record.leave();
        tokio::task::yield_now().await;
        record.count(None, None);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "a call that went well is no trouble");
        record.count(Some(&CallError::new(ErrorCode::SkillFailed, "no")), None);
        record.retire();
        waiting.await.unwrap();
        record.troubled(&before).await;
    }
}
