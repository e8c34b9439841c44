//! When a link has to do something unasked: heartbeats, listening for silence, deadlines. Pure but for
//! the type of its instants.

use std::time::Duration;

use tokio::time::Instant;

use super::WELCOME_WAIT;

/// Silence after which a nexus that does not say so takes a spore for gone (the default of CONTRACTS).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest a drain waits for the nexus to confirm that it read of it.
const SETTLE_WAIT: Duration = Duration::from_secs(1);

/// Calls that ignore their cancellation are given this long after the drain deadline.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// No welcome came: the nexus speaks protocol 1.
    TakeSilenceForConsent,
    /// Send a heartbeat.
    Beat,
    /// The nexus was quiet for a while: ask whether it is there.
    Ping,
    /// It was silent too long.
    GiveUp {
        /// How long.
        silence: Duration,
    },
    /// The nexus had time to read that this spore drains; no call can be on its way any more.
    DrainIsKnown,
    /// Calls ran longer than the drain lets them.
    CancelCalls,
    /// Calls ignored even that.
    LeaveCalls,
}

/// The clock of one link.
#[derive(Debug)]
pub(super) struct Due {
    /// What the settings say; a nexus with less patience is sent more heartbeats.
    wanted_interval: Duration,
    timeout: Duration,
    welcome: Option<Instant>,
    beat: Option<Instant>,
    heard: Instant,
    asked: Instant,
    known: Option<Instant>,
    cancel: Option<Instant>,
    leave: Option<Instant>,
}

impl Due {
    pub(super) fn new(now: Instant, wanted_interval: Duration) -> Self {
        Self {
            wanted_interval,
            timeout: DEFAULT_TIMEOUT,
            welcome: Some(now + WELCOME_WAIT),
            beat: None,
            heard: now,
            asked: now,
            known: None,
            cancel: None,
            leave: None,
        }
    }

    /// The nexus took the spore; the first heartbeat is due at once. `timeout`: its patience, when it said.
    pub(super) fn accepted(&mut self, now: Instant, timeout: Option<Duration>) {
        self.timeout = timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(self.timeout);
        self.welcome = None;
        self.beat = Some(now);
    }

    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn drain_began(&mut self, now: Instant, drain_timeout: Duration) {
        self.known = Some(now + SETTLE_WAIT);
        self.cancel = Some(now + drain_timeout);
        self.leave = Some(now + drain_timeout + CANCEL_GRACE);
    }

    /// Three heartbeats fit into the patience of the nexus, so that one may be lost.
    fn interval(&self) -> Duration {
        self.wanted_interval.min(self.timeout / 3)
    }

    /// Quiet after which the nexus is asked; again and again until it is given up.
    fn quiet(&self) -> Duration {
        self.timeout / 4
    }

    /// Silence that means the link is dead. Below the patience of the nexus, so that both ends agree soon.
    fn dead(&self) -> Duration {
        self.timeout * 3 / 4
    }

    fn next_ping(&self) -> Instant {
        self.heard.max(self.asked) + self.quiet()
    }

    /// When the next duty comes.
    pub(super) fn next(&self) -> Instant {
        let others = [self.welcome, self.beat, self.known, self.cancel, self.leave];
        let silence = (self.heard + self.dead()).min(self.next_ping());
        others.into_iter().flatten().fold(silence, Instant::min)
    }

    /// One duty that is due now, marked as done.
    pub(super) fn take(&mut self, now: Instant) -> Option<Duty> {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let silence = now - self.heard;
        if silence >= self.dead() {
            return Some(Duty::GiveUp { silence });
        }
        if passed(self.leave) {
            self.leave = None;
            return Some(Duty::LeaveCalls);
        }
        if passed(self.cancel) {
            self.cancel = None;
            return Some(Duty::CancelCalls);
        }
        if passed(self.known) {
            self.known = None;
            return Some(Duty::DrainIsKnown);
        }
        if passed(self.welcome) {
            self.welcome = None;
            return Some(Duty::TakeSilenceForConsent);
        }
        if passed(self.beat) {
            self.beat = Some(now + self.interval());
            return Some(Duty::Beat);
        }
        if self.next_ping() <= now {
            self.asked = now;
            return Some(Duty::Ping);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn all(due: &mut Due, now: Instant) -> Vec<Duty> {
        std::iter::from_fn(|| due.take(now)).collect()
    }

    #[test]
    fn a_nexus_that_never_welcomes_is_accepted_after_the_wait() {
        let start = Instant::now();
        let mut due = Due::new(start, 30 * SECOND);
        assert_eq!(due.take(start), None);
        assert_eq!(due.next(), start + WELCOME_WAIT);
        assert_eq!(all(&mut due, start + WELCOME_WAIT), [Duty::TakeSilenceForConsent]);
    }

    #[test]
    fn heartbeats_come_at_once_and_then_at_the_interval() {
        let start = Instant::now();
        let mut due = Due::new(start, 10 * SECOND);
        due.accepted(start, None);
        assert_eq!(all(&mut due, start), [Duty::Beat]);
        assert_eq!(due.next(), start + 10 * SECOND);
        assert_eq!(all(&mut due, start + 10 * SECOND), [Duty::Beat]);
    }

    #[test]
    fn an_impatient_nexus_is_sent_more_heartbeats() {
        let start = Instant::now();
        let mut due = Due::new(start, 30 * SECOND);
        due.accepted(start, Some(3 * SECOND));
        assert_eq!(all(&mut due, start), [Duty::Beat]);
        due.heard(start + SECOND);
        assert_eq!(all(&mut due, start + SECOND), [Duty::Beat]);
    }

    #[test]
    fn a_quiet_nexus_is_asked_and_a_silent_one_given_up_within_its_timeout() {
        let start = Instant::now();
        let mut due = Due::new(start, 600 * SECOND);
        due.accepted(start, Some(60 * SECOND));
        assert_eq!(all(&mut due, start), [Duty::Beat]);
        assert_eq!(all(&mut due, start + 15 * SECOND), [Duty::Ping]);
        due.heard(start + 16 * SECOND);
        assert_eq!(all(&mut due, start + 30 * SECOND), [Duty::Beat]);
        assert_eq!(all(&mut due, start + 31 * SECOND), [Duty::Ping]);
        assert_eq!(all(&mut due, start + 46 * SECOND), [Duty::Ping]);
        let given_up = due.take(start + 61 * SECOND);
        assert_eq!(given_up, Some(Duty::GiveUp { silence: 45 * SECOND }));
    }

    #[test]
    fn a_drain_first_cancels_and_then_leaves() {
        let start = Instant::now();
        let mut due = Due::new(start, 30 * SECOND);
        due.accepted(start, None);
        due.drain_began(start, 5 * SECOND);
        assert_eq!(all(&mut due, start), [Duty::Beat]);
        assert_eq!(all(&mut due, start + SETTLE_WAIT), [Duty::DrainIsKnown]);
        assert_eq!(all(&mut due, start + 5 * SECOND), [Duty::CancelCalls]);
        assert_eq!(all(&mut due, start + 5 * SECOND + CANCEL_GRACE), [Duty::LeaveCalls]);
    }
}
