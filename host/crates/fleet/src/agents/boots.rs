//! Runs of an agent, by the ids it makes for each: one that was superseded and speaks again is a second machine with the same id.

use std::time::Duration;

use serde_json::json;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use venom_protocol::{AgentId, Event, Timestamp};

use crate::FleetError;
use crate::database::timestamp;
use crate::fleet::event;
use crate::stored::from_json;

/// Superseded runs that are remembered.
const REMEMBERED: usize = 8;
/// Between two tellings of the same clone.
const TOLD_EVERY: Duration = Duration::from_secs(600);

/// The columns [`Boots::read`] wants.
pub(super) const COLUMNS: &str = "boot_id, boot_seen, boots, clone_told_at";

/// The runs of an agent that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Boots {
    /// The one that counts.
    pub(super) current: Option<String>,
    /// When that one was heard of last.
    pub(super) seen: Option<Timestamp>,
    /// Those before it, newest last.
    pub(super) superseded: Vec<String>,
    /// When it was told last that two of them speak.
    pub(super) told: Option<Timestamp>,
}

/// What one more word of a run means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is the one that counts, or has become it.
    Current,
    /// It was superseded, and the one that did is there too.
    Clone,
    /// The same, and that was told a short while ago.
    CloneAsTold,
}

impl Boots {
    /// As they are kept.
    pub(super) fn read(row: &AnyRow) -> Result<Self, FleetError> {
        let time = |column: &str| -> Result<Option<Timestamp>, FleetError> {
            row.try_get::<Option<i64>, _>(column)?.map(timestamp).transpose()
        };
        Ok(Self {
            current: row.try_get("boot_id")?,
            seen: time("boot_seen")?,
            superseded: from_json(row.try_get("boots")?, "boots")?,
            told: time("clone_told_at")?,
        })
    }

    /// Run `boot` speaks. `within`: for so long after its last word a run is taken to be there.
    pub(super) fn hear(&mut self, boot: &str, now: Timestamp, within: Duration) -> Heard {
        if self.current.as_deref() == Some(boot) {
            self.seen = Some(now);
            return Heard::Current;
        }
        let is_superseded = self.superseded.iter().any(|known| known == boot);
        let is_other_there = self.seen.is_some_and(|seen| is_within(seen, now, within));
        if is_superseded && is_other_there {
            if self.told.is_some_and(|told| is_within(told, now, TOLD_EVERY)) {
                return Heard::CloneAsTold;
            }
            self.told = Some(now);
            return Heard::Clone;
        }
        self.superseded.retain(|known| known != boot);
        self.superseded.extend(self.current.replace(boot.to_owned()));
        let surplus = self.superseded.len().saturating_sub(REMEMBERED);
        self.superseded.drain(..surplus);
        self.seen = Some(now);
        Heard::Current
    }
}

/// That two machines speak as one agent.
pub(super) fn clone_suspected(agent: &AgentId, name: &str, site: &str, now: Timestamp) -> Event {
    let data = json!({"agent_id": agent, "name": name, "site_name": site});
    let message = format!("two machines seem to speak as agent {name}: one is a copy of the other");
    event("AGENT_CLONE_SUSPECTED", message, data, now)
}

/// Whether `then` is no longer than `length` before `now`.
pub(super) fn is_within(then: Timestamp, now: Timestamp, length: Duration) -> bool {
    let passed = now.0.as_microsecond().saturating_sub(then.0.as_microsecond());
    u128::try_from(passed).unwrap_or(0) <= length.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(100);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(jiff::Timestamp::from_second(seconds).unwrap())
    }

    fn heard(words: &[(&str, i64)]) -> (Vec<Heard>, Boots) {
        let mut boots = Boots::default();
        let heard = words.iter().map(|(boot, second)| boots.hear(boot, at(*second), WITHIN));
        (heard.collect(), boots)
    }

    #[test]
    fn restarts_are_no_clones() {
        let (heard, boots) = heard(&[("a", 0), ("a", 30), ("b", 31), ("c", 32), ("c", 60)]);
        assert!(heard.iter().all(|heard| *heard == Heard::Current));
        assert_eq!(boots.superseded, ["a", "b"]);
    }

    #[test]
    fn a_superseded_run_that_speaks_while_the_other_is_there_is_a_clone_each_time() {
        let (heard, boots) = heard(&[("a", 0), ("b", 10), ("a", 30), ("b", 40), ("a", 60)]);
        assert_eq!(heard[2..], [Heard::Clone, Heard::Current, Heard::CloneAsTold]);
        assert_eq!((boots.current.as_deref(), boots.told), (Some("b"), Some(at(30))));
        let mut later = boots;
        later.hear("b", at(600), WITHIN);
        assert_eq!(later.clone().hear("a", at(630), WITHIN), Heard::CloneAsTold);
        assert_eq!(later.hear("a", at(631), WITHIN), Heard::Clone);
    }

    #[test]
    fn a_machine_set_back_to_an_older_state_is_no_clone() {
        let (heard, boots) = heard(&[("a", 0), ("b", 10), ("a", 111), ("a", 120)]);
        assert_eq!(heard, [Heard::Current; 4]);
        assert_eq!(
            (boots.current.as_deref(), boots.superseded),
            (Some("a"), vec!["b".to_owned()])
        );
        let (heard, _) = super::tests::heard(&[("a", 0), ("b", 10), ("a", 110)]);
        assert_eq!(heard[2], Heard::Clone, "100 s are still within");
    }

    #[test]
    fn only_so_many_are_remembered() {
        let words: Vec<(String, i64)> = (0..20).map(|boot| (boot.to_string(), i64::from(boot))).collect();
        let words: Vec<(&str, i64)> = words.iter().map(|(boot, at)| (boot.as_str(), *at)).collect();
        let (_, mut boots) = heard(&words);
        assert_eq!(boots.superseded.len(), REMEMBERED);
        assert_eq!(boots.hear("11", at(20), WITHIN), Heard::Clone);
        assert_eq!(boots.hear("10", at(20), WITHIN), Heard::Current);
    }
}
