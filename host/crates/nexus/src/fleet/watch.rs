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

/// How far back a look for deregistered agents goes: clocks of several nexuses differ, and a look may come late.
const LOOK_BACK: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// The two clocks, and since when the wall clock can be trusted for measuring silence.
struct Clocks {
    steady: Instant,
    wall: Timestamp,
    up_since: Timestamp,
}

impl Clocks {
    fn new() -> Self {
        let wall = Timestamp::now();
        Self {
            steady: Instant::now(),
            wall,
            up_since: wall,
        }
    }

    /// Looks at both. When the wall clock was set, silence begins anew for everybody.
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
        (self.steady, self.wall) = (steady, wall);
    }
}

impl FleetRoom {
    /// Starts what goes on by itself, until `ending`; then what is unwritten is written.
    pub(crate) fn start(self: &Arc<Self>, tasks: &TaskTracker, ending: &CancellationToken) {
        let (room, ending) = (Arc::clone(self), ending.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = room.watch() => {}
                () = ending.cancelled() => {}
            }
            room.complain("agents' last words are lost", room.fleet.flush(Timestamp::now()).await);
            room.fleet.close().await;
        });
    }

    async fn watch(&self) {
        let mut interval = tokio::time::interval(EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clocks = Clocks::new();
        let mut pruned: Option<Instant> = None;
        let mut trouble = false;
        loop {
            interval.tick().await;
            clocks.look(Instant::now(), Timestamp::now());
            let looked = self.look(&clocks).await;
            // once for each trouble, not once a second
            if !trouble {
                trouble = !self.complain("the fleet is not looked after", looked);
            } else {
                trouble = looked.is_err();
            }
            if pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
                pruned = Some(Instant::now());
                self.complain("the fleet's history is not cut", self.fleet.prune(clocks.wall).await);
            }
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
        let since = Timestamp(clocks.wall.0 - LOOK_BACK);
        for agent in self.fleet.deregistered_since(since).await? {
            self.links.cut(&agent);
        }
        Ok(())
    }

    fn complain<T>(&self, what: &str, outcome: Result<T, venom_fleet::FleetError>) -> bool {
        if let Err(error) = &outcome {
            tracing::error!(error = %with_causes(error), "{what}");
        }
        outcome.is_ok()
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
}
