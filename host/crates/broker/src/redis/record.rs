//! The record of a task as it is stored. `lua/book.lua` describes it; scripts write it, this only reads it.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as Unreadable;
use venom_protocol::{ErrorCode, Lane, NodeId, Priority, SessionId, TaskId};

use crate::{Outcome, State, StoredTask};

/// Length of an id as text.
pub(super) const ID: usize = 36;

/// A record, taken apart.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) state: State,
    pub(super) fence: u64,
    pub(super) session: Option<SessionId>,
    pub(super) attempt: u32,
    pub(super) losses: u32,
    pub(super) ended: u64,
    pub(super) started: u64,
    pub(super) due: u64,
    pub(super) node: Option<NodeId>,
    pub(super) created: u64,
    pub(super) priority: Priority,
    pub(super) lane: Lane,
    pub(super) deps: Vec<TaskId>,
    pub(super) body: &'a str,
    pub(super) outcome: &'a str,
}

/// What changes in a record.
struct Head<'a> {
    state: State,
    words: [&'a str; 11],
}

impl<'a> Head<'a> {
    /// A task that never ran.
    const FIRST: Self = Self {
        state: State::Pending,
        words: ["0", "-", "0", "0", "0", "0", "0", "0", "-", "0", "0"],
    };

    fn read(text: &'a str) -> Option<Self> {
        if text == "P" {
            return Some(Self::FIRST);
        }
        let state = state(text.get(..1)?)?;
        let mut words = [""; 11];
        let mut found = text.get(1..)?.split(' ');
        for word in &mut words {
            *word = found.next()?;
        }
        found.next().is_none().then_some(Self { state, words })
    }
}

impl<'a> Record<'a> {
    /// None: it is not a record.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, rest) = text.split_once('|')?;
        let (fixed, rest) = rest.split_once('|')?;
        let Head { state, words } = Head::read(head)?;
        let [
            fence,
            session,
            attempt,
            losses,
            _flags,
            ended,
            started,
            due,
            node,
            _left,
            outlen,
        ] = words;
        let mut numbers = [0_usize; 7];
        let mut found = fixed.split(' ');
        for number in &mut numbers {
            *number = found.next()?.parse().ok()?;
        }
        let [created, _batch, priority, lane, key, deps, body] = numbers;
        let (lane, rest) = rest.split_at_checked(lane)?;
        let (_key, rest) = rest.split_at_checked(key)?;
        let (deps, rest) = rest.split_at_checked(deps.checked_mul(ID)?)?;
        let (body, outcome) = rest.split_at_checked(body)?;
        if outlen.parse() != Ok(outcome.len()) {
            return None;
        }
        Some(Self {
            state,
            fence: fence.parse().ok()?,
            session: optional(session)?,
            attempt: attempt.parse().ok()?,
            losses: losses.parse().ok()?,
            ended: ended.parse().ok()?,
            started: started.parse().ok()?,
            due: due.parse().ok()?,
            node: optional(node)?,
            created: u64::try_from(created).ok()?,
            priority: Priority::new(u8::try_from(priority).ok()?)?,
            lane: lane.parse().ok()?,
            deps: ids(deps)?,
            body,
            outcome,
        })
    }

    pub(super) fn stored(self, id: TaskId) -> StoredTask {
        let is_running = self.state == State::Running;
        let has_ended = self.state.has_ended();
        StoredTask {
            id,
            state: self.state,
            fence: self.fence,
            attempt: self.attempt,
            losses: self.losses,
            body: self.body.to_owned(),
            created_at: self.created,
            due_at: Some(self.due).filter(|_| self.state == State::Delayed),
            started_at: Some(self.started).filter(|at| *at > 0),
            ended_at: Some(self.ended).filter(|_| has_ended),
            node: self.node,
            session: self.session.filter(|_| is_running),
            outcome: outcome(self.outcome),
            lane: self.lane,
            priority: self.priority,
        }
    }
}

fn state(letter: &str) -> Option<State> {
    Some(match letter {
        "B" => State::Blocked,
        "D" => State::Delayed,
        other => state_of(other)?,
    })
}

/// State by the letter scripts use.
pub(super) fn state_of(letter: &str) -> Option<State> {
    Some(match letter {
        "B" => State::Blocked,
        "D" => State::Delayed,
        "P" => State::Pending,
        "R" => State::Running,
        "C" => State::Completed,
        "F" => State::Failed,
        "X" => State::Cancelled,
        _ => return None,
    })
}

#[expect(clippy::option_option, reason = "not readable, absent, there")]
fn optional<T: std::str::FromStr>(word: &str) -> Option<Option<T>> {
    if word == "-" {
        return Some(None);
    }
    word.parse().ok().map(Some)
}

fn ids(text: &str) -> Option<Vec<TaskId>> {
    let mut ids = Vec::with_capacity(text.len() / ID);
    let mut rest = text;
    while !rest.is_empty() {
        let (id, more) = rest.split_at_checked(ID)?;
        ids.push(id.parse().ok()?);
        rest = more;
    }
    Some(ids)
}

/// `C` and JSON, `F`, the code, a line feed and the text, or `X` and the text.
pub(super) fn outcome(text: &str) -> Option<Outcome> {
    let (kind, rest) = text.split_at_checked(1)?;
    Some(match kind {
        "C" => Outcome::Completed(rest.to_owned()),
        "F" => {
            let (code, error) = rest.split_once('\n')?;
            Outcome::Failed(error_code(code), error.to_owned())
        }
        "X" => Outcome::Cancelled(rest.to_owned()),
        _ => return None,
    })
}

fn error_code(text: &str) -> ErrorCode {
    let read: Result<ErrorCode, Unreadable> = ErrorCode::deserialize(text.into_deserializer());
    read.unwrap_or(ErrorCode::SkillFailed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_the_scripts_write_them() {
        let first = Record::read(b"P|1700000000000 6 8 9 0 0 7|EchoSkill{\"a\":1}").unwrap();
        assert_eq!(
            (first.state, first.attempt, first.priority.level()),
            (State::Pending, 0, 8)
        );
        assert_eq!(
            (first.lane.as_str(), first.body, first.outcome),
            ("EchoSkill", "{\"a\":1}", "")
        );
        let session = SessionId::random();
        let node = NodeId::random();
        let dep = TaskId::next();
        let text = format!("P3 - 2 1 24 0 7 0 {node} 0 8|5 6 2 9 2 1 2|EchoSkillid{dep}{{}}Fdenied\n");
        let again = Record::read(text.as_bytes()).unwrap();
        assert_eq!(
            (again.fence, again.attempt, again.losses, again.node),
            (3, 2, 1, Some(node))
        );
        assert_eq!(again.deps, [dep]);
        let stored = again.stored(dep);
        assert_eq!(stored.outcome, Some(Outcome::Failed(ErrorCode::Denied, String::new())));
        assert_eq!(
            (stored.started_at, stored.ended_at, stored.due_at),
            (Some(7), None, None)
        );
        let text = format!("R1 {session} 1 0 0 0 7 0 - 0 0|5 6 2 9 0 0 2|EchoSkill{{}}");
        assert_eq!(
            Record::read(text.as_bytes()).unwrap().stored(dep).session,
            Some(session)
        );
    }

    #[test]
    fn anything_else_is_no_record() {
        for text in [
            "",
            "P",
            "P|",
            "P|1 2 3 4 5 6 7|",
            "Q|5 6 2 9 0 0 2|EchoSkill{}",
            "P|5 6 11 9 0 0 2|EchoSkill{}",
            "P|5 6 2 99999999999999 0 0 2|EchoSkill{}",
            "P|5 6 2 9 0 18446744073709551615 2|EchoSkill{}",
            "R1 - 1|5 6 2 9 0 0 2|EchoSkill{}",
            "P|5 6 2 9 0 0 2|EchoSkill{}!",
            "P|5 6 2 9 0 0 1|EchoSkillä",
        ] {
            assert!(Record::read(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Record::read(&[b'P', b'|', 0xFF]).is_none());
    }
}
