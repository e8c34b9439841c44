//! When a schedule is due. Pure: what is remembered and what time it is come in, what to do goes out.
//!
//! Time is cut into slots of `every`, counted from 1970, and in each slot a schedule is due at a moment of its own within `jitter`:
//! made from the agent's id, the schedule's name and the slot, so that a thousand agents do not come at once and a restart changes
//! nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use venom_protocol::{AgentId, Timestamp};

use crate::span;

/// The shortest period.
pub const SHORTEST_PERIOD: Duration = Duration::from_secs(10);

/// Most runs that are made up for, whatever is set.
pub const MOST_MADE_UP: u32 = 100;

/// What to do about runs that were missed: the machine slept, the agent was down, or the run before took too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Nothing; the next is run when it is due.
    Skip,
    /// One run makes up for all of them.
    #[default]
    RunOnce,
    /// Each is made up for, one after the other, the newest `most` of them.
    RunAll {
        /// At most this many, and [`MOST_MADE_UP`].
        most: u32,
    },
}

/// A skill that runs again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Names it among those of this agent.
    pub name: String,
    /// One run in each.
    #[serde(with = "span")]
    pub every: Duration,
    /// How late in its slot a run may be, at most; below `every`.
    #[serde(with = "span", default)]
    pub jitter: Duration,
    /// What to do about missed runs.
    #[serde(default)]
    pub missed: Missed,
    /// The skill.
    #[serde(default = "netscan")]
    pub skill: String,
    /// Its method.
    #[serde(default = "scan")]
    pub method: String,
    /// Longest run.
    #[serde(with = "span", default = "half_an_hour")]
    pub timeout: Duration,
    /// What to look at, CIDRs or addresses; passed as the parameter `targets` when there are any.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Whether to look at the security of what is found, too.
    #[serde(default)]
    pub shield: bool,
    /// Further parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
}

/// The skill that finds what is in a network.
pub(crate) const SCAN_SKILL: &str = "NetScanSkill";

fn netscan() -> String {
    SCAN_SKILL.to_owned()
}

fn scan() -> String {
    "scan".to_owned()
}

const fn half_an_hour() -> Duration {
    Duration::from_secs(1_800)
}

/// What is wrong with a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schedule `{name}` cannot be kept: {why}")]
pub struct InvalidSchedule {
    /// Which.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl Schedule {
    /// The usual one: the network scan.
    #[must_use]
    pub fn new(name: impl Into<String>, every: Duration) -> Self {
        Self {
            name: name.into(),
            every,
            jitter: Duration::ZERO,
            missed: Missed::default(),
            skill: netscan(),
            method: scan(),
            timeout: half_an_hour(),
            targets: Vec::new(),
            shield: false,
            parameters: Map::new(),
        }
    }

    /// Whether it can be kept.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self) -> Result<(), InvalidSchedule> {
        let named = (1..=64).contains(&self.name.len()) && !self.name.chars().any(char::is_control);
        let why = if !named {
            "its name is empty, longer than 64 bytes or has control characters".to_owned()
        } else if self.every < SHORTEST_PERIOD {
            let least = span::write_span(SHORTEST_PERIOD);
            format!("`every` is below {least}")
        } else if self.jitter >= self.every {
            "`jitter` is not below `every`".to_owned()
        } else if self.timeout.is_zero() {
            "`timeout` is zero".to_owned()
        } else if matches!(self.missed, Missed::RunAll { most } if most == 0 || most > MOST_MADE_UP) {
            format!("`most` is not 1 to {MOST_MADE_UP}")
        } else {
            return Ok(());
        };
        Err(InvalidSchedule {
            name: self.name.chars().take(64).collect(),
            why,
        })
    }

    /// What to do now. `last`: what was remembered last time, none when it never ran.
    #[must_use]
    pub fn decide(&self, agent: &AgentId, last: Option<Timestamp>, now: Timestamp) -> Decision {
        let slots = Slots { schedule: self, agent };
        let (now, every) = (millis(now), slots.every());
        let current = slots.current(now);
        let late = now.saturating_sub(slots.due(current));
        let next = at(slots.due(current.saturating_add(1)));
        let decide = |runs: u32, missed: u64| Decision {
            runs,
            skipped: missed.saturating_sub(u64::from(runs)),
            remember: at(current.saturating_mul(every)),
            next,
        };
        let Some(last) = last else {
            return decide(1, 0);
        };
        let last_slot = millis(last).div_euclid(every);
        let passed = match current.checked_sub(last_slot) {
            Some(passed) if passed > 0 => u64::try_from(passed).unwrap_or(u64::MAX),
            // the clock went a little back: that slot had its run, and what is remembered stays
            Some(0 | -1) => {
                return Decision {
                    remember: at(last_slot.saturating_mul(every)),
                    next: at(slots.due(last_slot.saturating_add(1))),
                    ..decide(0, 0)
                };
            }
            // it went far back: from here on, by the clock as it is now
            _ => return decide(0, 0),
        };
        match self.missed {
            Missed::Skip if late > self.grace() => decide(0, passed),
            Missed::Skip | Missed::RunOnce => decide(1, passed),
            Missed::RunAll { most } => {
                let most = u64::from(most.clamp(1, MOST_MADE_UP));
                decide(u32::try_from(passed.min(most)).unwrap_or(MOST_MADE_UP), passed)
            }
        }
    }

    /// How late a run may be and still be the one that was due: a tenth of the period, between 5 seconds and 5 minutes.
    fn grace(&self) -> i64 {
        let tenth = i64::try_from(self.every.as_millis() / 10).unwrap_or(i64::MAX);
        tenth.clamp(5_000, 300_000)
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// How many runs to make now, one after the other.
    pub runs: u32,
    /// Runs that were due and are not made up for.
    pub skipped: u64,
    /// To be remembered, before the runs begin.
    pub remember: Timestamp,
    /// When to ask again.
    pub next: Timestamp,
}

/// The slots of one schedule of one agent. Milliseconds since 1970.
struct Slots<'a> {
    schedule: &'a Schedule,
    agent: &'a AgentId,
}

impl Slots<'_> {
    fn every(&self) -> i64 {
        i64::try_from(self.schedule.every.as_millis())
            .unwrap_or(i64::MAX)
            .max(1_000)
    }

    /// When the run of a slot is due.
    fn due(&self, slot: i64) -> i64 {
        slot.saturating_mul(self.every()).saturating_add(self.jitter(slot))
    }

    fn jitter(&self, slot: i64) -> i64 {
        let jitter = u64::try_from(self.schedule.jitter.as_millis()).unwrap_or(u64::MAX);
        let below_a_slot = jitter.min(self.every().unsigned_abs().saturating_sub(1));
        if below_a_slot == 0 {
            return 0;
        }
        let mut hash = Sha256::new();
        for part in [
            self.agent.as_str().as_bytes(),
            b"\0",
            self.schedule.name.as_bytes(),
            b"\0",
        ] {
            hash.update(part);
        }
        hash.update(slot.to_be_bytes());
        let chance = hash
            .finalize()
            .iter()
            .take(8)
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        i64::try_from(chance % below_a_slot.saturating_add(1)).unwrap_or(0)
    }

    /// The last slot whose run is due by now.
    fn current(&self, now: i64) -> i64 {
        let slot = now.div_euclid(self.every());
        if self.due(slot) <= now {
            slot
        } else {
            slot.saturating_sub(1)
        }
    }
}

fn millis(time: Timestamp) -> i64 {
    time.0.as_millisecond()
}

fn at(millis: i64) -> Timestamp {
    let time = jiff::Timestamp::from_millisecond(millis);
    Timestamp(time.unwrap_or(jiff::Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut Schedule);

    fn agent() -> AgentId {
        "agent-1".parse().unwrap()
    }

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn hourly(missed: Missed) -> Schedule {
        Schedule {
            missed,
            ..Schedule::new("scan", Duration::from_secs(3_600))
        }
    }

    fn later(time: Timestamp, span: Duration) -> Timestamp {
        at(millis(time) + span.as_millis() as i64)
    }

    #[test]
    fn the_first_run_is_at_once_and_then_one_a_slot() {
        let schedule = hourly(Missed::RunOnce);
        let now = time("2026-05-04T10:20:00Z");
        let first = schedule.decide(&agent(), None, now);
        assert_eq!((first.runs, first.skipped), (1, 0));
        assert_eq!(first.next, time("2026-05-04T11:00:00Z"));
        let mut last = first.remember;
        for minutes in [21, 40, 59] {
            let now = time(&format!("2026-05-04T10:{minutes}:00Z"));
            assert_eq!(schedule.decide(&agent(), Some(last), now).runs, 0);
        }
        for hour in 11..20 {
            let now = time(&format!("2026-05-04T{hour}:00:01Z"));
            let due = schedule.decide(&agent(), Some(last), now);
            assert_eq!((due.runs, due.skipped), (1, 0), "{hour}");
            last = due.remember;
        }
    }

    #[test]
    fn jitter_is_the_same_each_time_differs_by_agent_and_slot_and_stays_in_its_bounds() {
        let mut schedule = hourly(Missed::Skip);
        schedule.jitter = Duration::from_secs(600);
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..50 {
            let agent: AgentId = format!("agent-{n}").parse().unwrap();
            let slots = Slots {
                schedule: &schedule,
                agent: &agent,
            };
            for slot in 490_000..490_020 {
                let jitter = slots.jitter(slot);
                assert_eq!(jitter, slots.jitter(slot));
                assert!((0..=600_000).contains(&jitter), "{jitter}");
                seen.insert(jitter);
            }
        }
        assert!(seen.len() > 900, "only {} different", seen.len());
        assert!(seen.first().unwrap() < &30_000 && seen.last().unwrap() > &570_000);
        // whatever the hash says: one run in each slot, when the agent looks each second
        let (mut last, mut runs) = (None, Vec::new());
        let begin = time("2026-05-04T10:00:00Z");
        for second in 0..6 * 3_600 {
            let now = later(begin, Duration::from_secs(second));
            let due = schedule.decide(&agent(), last, now);
            last = Some(due.remember);
            for _ in 0..due.runs {
                runs.push(second);
            }
        }
        // the first at once (for the slot before, when its own is not due yet), then one in each
        assert!((6..=7).contains(&runs.len()), "{runs:?}");
        assert!(runs.iter().skip(1).all(|second| second % 3_600 <= 600), "{runs:?}");
    }

    #[test]
    fn missed_runs_are_skipped_or_made_up_for_as_set() {
        let last = Some(time("2026-05-04T10:00:00Z"));
        // five slots passed, and the run of the sixth was due half an hour ago
        let now = time("2026-05-04T16:30:00Z");
        for (missed, runs, skipped) in [
            (Missed::Skip, 0, 6),
            (Missed::RunOnce, 1, 5),
            (Missed::RunAll { most: 100 }, 6, 0),
            (Missed::RunAll { most: 4 }, 4, 2),
        ] {
            let due = hourly(missed).decide(&agent(), last, now);
            assert_eq!((due.runs, due.skipped), (runs, skipped), "{missed:?}");
            assert_eq!(due.remember, time("2026-05-04T16:00:00Z"));
            assert_eq!(due.next, time("2026-05-04T17:00:00Z"));
            let again = hourly(missed).decide(&agent(), Some(due.remember), now);
            assert_eq!((again.runs, again.skipped), (0, 0), "{missed:?}");
        }
        // one that is on time is not a missed one
        let due = hourly(Missed::Skip).decide(&agent(), last, time("2026-05-04T16:00:02Z"));
        assert_eq!((due.runs, due.skipped), (1, 5));
    }

    #[test]
    fn a_clock_that_jumps_a_year_runs_once_and_goes_on() {
        for missed in [Missed::Skip, Missed::RunOnce, Missed::RunAll { most: 3 }] {
            let schedule = hourly(missed);
            let last = Some(time("2026-05-04T10:00:00Z"));
            // ahead: no flood
            let ahead = schedule.decide(&agent(), last, time("2027-05-04T10:00:01Z"));
            assert!(ahead.runs <= 3, "{ahead:?}");
            // and back: no run at once, none that waits for a year
            let back = schedule.decide(&agent(), Some(ahead.remember), time("2026-05-04T10:05:00Z"));
            assert_eq!((back.runs, back.skipped), (0, 0));
            assert_eq!(back.next, time("2026-05-04T11:00:00Z"));
            let next = schedule.decide(&agent(), Some(back.remember), time("2026-05-04T11:00:00Z"));
            assert_eq!(next.runs, 1, "{missed:?}");
        }
    }

    #[test]
    fn a_clock_that_is_set_a_little_back_does_not_run_a_slot_twice() {
        let schedule = hourly(Missed::RunOnce);
        let first = schedule.decide(
            &agent(),
            Some(time("2026-05-04T10:00:00Z")),
            time("2026-05-04T11:00:00Z"),
        );
        assert_eq!(first.runs, 1);
        // a minute back, and then forward over the same moment
        let back = schedule.decide(&agent(), Some(first.remember), time("2026-05-04T10:59:00Z"));
        assert_eq!((back.runs, back.remember), (0, first.remember));
        assert_eq!(back.next, time("2026-05-04T12:00:00Z"));
        assert_eq!(
            schedule
                .decide(&agent(), Some(back.remember), time("2026-05-04T11:00:00Z"))
                .runs,
            0
        );
        assert_eq!(
            schedule
                .decide(&agent(), Some(back.remember), time("2026-05-04T12:00:00Z"))
                .runs,
            1
        );
    }

    #[test]
    fn clocks_at_the_ends_of_time_do_no_harm() {
        let mut schedule = hourly(Missed::RunAll { most: 100 });
        schedule.jitter = Duration::from_secs(3_599);
        let ends = [jiff::Timestamp::MIN, jiff::Timestamp::MAX, jiff::Timestamp::UNIX_EPOCH];
        for last in ends {
            for now in ends {
                let due = schedule.decide(&agent(), Some(Timestamp(last)), Timestamp(now));
                assert!(due.runs <= 100);
            }
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_the_reason() {
        let good = hourly(Missed::RunOnce);
        good.check().unwrap();
        let wrong: [(Spoil, &str); 6] = [
            (|it| it.name.clear(), "name"),
            (|it| it.every = Duration::from_secs(9), "below 10s"),
            (|it| it.jitter = it.every, "jitter"),
            (|it| it.timeout = Duration::ZERO, "timeout"),
            (|it| it.missed = Missed::RunAll { most: 0 }, "most"),
            (|it| it.missed = Missed::RunAll { most: 101 }, "most"),
        ];
        for (spoil, word) in wrong {
            let mut schedule = good.clone();
            spoil(&mut schedule);
            let error = schedule.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn it_is_written_as_people_write_it() {
        let text = "name = \"lan\"\nevery = \"15m\"\njitter = \"1m\"\nmissed = \"skip\"\ntargets = [\"10.0.0.0/24\"]\nshield = true\n[parameters]\nports = [22]\n";
        let schedule: Schedule = toml::from_str(text).unwrap();
        assert_eq!((schedule.every.as_secs(), schedule.jitter.as_secs()), (900, 60));
        assert_eq!(
            (schedule.skill.as_str(), schedule.method.as_str()),
            ("NetScanSkill", "scan")
        );
        assert_eq!(schedule.parameters["ports"][0], 22);
        let all: Schedule =
            toml::from_str("name = \"a\"\nevery = \"1d\"\nmissed = { run_all = { most = 7 } }").unwrap();
        assert_eq!(all.missed, Missed::RunAll { most: 7 });
        for schedule in [schedule, all] {
            let again: Schedule = toml::from_str(&toml::to_string(&schedule).unwrap()).unwrap();
            assert_eq!(again, schedule);
        }
        assert!(toml::from_str::<Schedule>("name = \"a\"\nevery = \"1d\"\nevry = 1").is_err());
    }
}
