//! What goes on by itself: what heartbeats said is written down, silence is noticed, what is too old is thrown away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use venom_protocol::{Timestamp, with_causes};

use super::{Doer, FleetRoom};

/// Between two writes of what heartbeats said: that much is forgotten when the process is killed.
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks for what is too old.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// A wall clock that moved so much against the steady one was set; silence measured with it says nothing.
const CLOCK_WAS_SET: Duration = Duration::from_secs(10);

/// How far back a look for deregistered agents goes beyond the last one that succeeded: clocks of several nexuses differ.
const LOOK_BACK: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// The two clocks, since when agents can be heard and the wall clock be trusted for measuring silence, and how looking went.
struct Clocks {
    steady: Instant,
    wall: Timestamp,
    up_since: Timestamp,
    /// Whether the last look failed.
    trouble: bool,
    /// When a look succeeded last.
    looked: Timestamp,
}

impl Clocks {
    fn new() -> Self {
        let wall = Timestamp::now();
        Self {
            steady: Instant::now(),
            wall,
            up_since: wall,
            trouble: false,
            looked: wall,
        }
    }

    /// Looks at both. When the wall clock was set, or when nobody could be heard as the fleet could not be reached, silence begins
    /// anew for everybody.
    fn look(&mut self, steady: Instant, wall: Timestamp) {
        let passed = steady.saturating_duration_since(self.steady).as_secs_f64();
        let told = wall.0.duration_since(self.wall.0).as_secs_f64();
        if (told - passed).abs() > CLOCK_WAS_SET.as_secs_f64() {
            tracing::warn!(
                seconds = told - passed,
                "the clock was set: agents get the whole time of silence anew"
            );
            self.up_since = wall;
        }
        if self.trouble {
            self.up_since = wall;
        }
        (self.steady, self.wall) = (steady, wall);
    }

    /// From when on deregistrations may not have been seen yet. Clocks of several nexuses differ, and this one may have been set.
    fn unseen_since(&self) -> Timestamp {
        Timestamp(self.looked.min(self.wall).0 - LOOK_BACK)
    }

    /// A look has come to its end. True: it failed and the one before did not, which is worth a word, once for each trouble.
    const fn ended(&mut self, is_ok: bool) -> bool {
        let is_news = !is_ok && !self.trouble;
        self.trouble = !is_ok;
        if is_ok {
            self.looked = self.wall;
        }
        is_news
    }
}

impl FleetRoom {
    /// Starts what goes on by itself, until `ending`; then what was begun is ended, and what is unwritten is written.
    pub(crate) fn start(self: &Arc<Self>, tasks: &TaskTracker, ending: &CancellationToken) {
        let (room, until) = (Arc::clone(self), ending.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = room.forget() => {}
                () = until.cancelled() => {}
            }
        });
        let (room, ending) = (Arc::clone(self), ending.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = room.watch() => {}
                () = ending.cancelled() => {}
            }
            room.work.close();
            room.work.wait().await;
            room.complain("agents' last words are lost", room.fleet.flush(Timestamp::now()).await);
            room.fleet.close().await;
        });
    }

    async fn watch(&self) {
        let mut interval = tokio::time::interval(EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clocks = Clocks::new();
        loop {
            interval.tick().await;
            clocks.look(Instant::now(), Timestamp::now());
            let looked = self.look(&clocks).await;
            if clocks.ended(looked.is_ok()) {
                self.complain("the fleet is not looked after", looked);
            }
        }
    }

    /// Throws away what is too old. On its own: there may be much of it, and silence is noticed meanwhile.
    async fn forget(&self) {
        let mut interval = tokio::time::interval(PRUNE_EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let pruned = self.fleet.prune(Timestamp::now()).await;
            self.complain("the fleet's history is not cut", pruned);
        }
    }

    async fn look(&self, clocks: &Clocks) -> Result<(), venom_fleet::FleetError> {
        self.fleet.flush(clocks.wall).await?;
        for event in self.fleet.tick(clocks.wall, clocks.up_since).await? {
            self.publish(
                &event,
                Doer {
                    name: "nexus",
                    peer: None,
                },
            );
        }
        // deregistered here or by another nexus of the same database
        for agent in self.fleet.deregistered_since(clocks.unseen_since()).await? {
            self.links.cut(&agent);
        }
        Ok(())
    }

    fn complain<T>(&self, what: &str, outcome: Result<T, venom_fleet::FleetError>) {
        if let Err(error) = &outcome {
            tracing::error!(error = %with_causes(error), "{what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_begins_silence_anew_and_a_slow_look_does_not() {
        let mut clocks = Clocks::new();
        let (steady, wall, began) = (clocks.steady, clocks.wall, clocks.up_since);
        let later = |seconds: i64| Timestamp(wall.0 + jiff::SignedDuration::from_secs(seconds));
        clocks.look(steady + Duration::from_secs(300), later(300));
        assert_eq!(clocks.up_since, began);
        clocks.look(steady + Duration::from_secs(301), later(4_000));
        assert_eq!(clocks.up_since, later(4_000));
        clocks.look(steady + Duration::from_secs(302), later(302));
        assert_eq!(clocks.up_since, later(302));
    }

    #[test]
    fn after_looks_that_failed_silence_begins_anew_and_nothing_that_happened_meanwhile_is_missed() {
        let mut clocks = Clocks::new();
        let (steady, wall) = (clocks.steady, clocks.wall);
        let later = |seconds: i64| Timestamp(wall.0 + jiff::SignedDuration::from_secs(seconds));
        let mut look = |seconds: u64, is_ok: bool| {
            let at = i64::try_from(seconds).unwrap();
            clocks.look(steady + Duration::from_secs(seconds), later(at));
            let (up_since, unseen_since) = (clocks.up_since, clocks.unseen_since());
            (up_since, unseen_since, clocks.ended(is_ok))
        };
        assert_eq!(look(1, true), (wall, later(-60), false));
        assert_eq!(look(2, false), (wall, later(-59), true), "it is said once");
        assert_eq!(look(900, false), (later(900), later(-59), false));
        assert_eq!(look(901, true), (later(901), later(-59), false));
        assert_eq!(look(902, true), (later(901), later(841), false));
    }
}
