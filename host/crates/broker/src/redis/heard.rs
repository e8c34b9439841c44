//! What is said on the channels, and how it is read. Everybody may publish there, so nothing is taken for granted.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use venom_protocol::{Lane, Priority, SessionId, TaskId};

use crate::{Hint, Settings};

/// Names of the channels of a hive.
#[derive(Debug, Clone)]
pub(super) struct Channels {
    pub(super) hints: String,
    /// Before the name of a session.
    to: String,
    pub(super) to_all: String,
    pub(super) broadcast: String,
}

impl Channels {
    pub(super) fn new(settings: &Settings) -> Self {
        let name = &settings.namespace;
        Self {
            hints: format!("{name}:hints"),
            to: format!("{name}:to:"),
            to_all: format!("{name}:to:all"),
            broadcast: settings.broadcast_channel.clone(),
        }
    }

    pub(super) fn to(&self, session: SessionId) -> String {
        format!("{}{session}", self.to)
    }

    /// Channels of messages to these sessions.
    pub(super) fn of(&self, sessions: &BTreeSet<SessionId>) -> BTreeSet<String> {
        let all = (!sessions.is_empty()).then(|| self.to_all.clone());
        sessions.iter().map(|session| self.to(*session)).chain(all).collect()
    }
}

/// Sessions that use this broker, and what it calls itself.
#[derive(Debug)]
pub(super) struct Ours {
    me: SessionId,
    sessions: RwLock<BTreeSet<SessionId>>,
}

impl Ours {
    pub(super) fn new(me: SessionId) -> Self {
        Self {
            me,
            sessions: RwLock::default(),
        }
    }

    /// True: it is new.
    pub(super) fn add(&self, session: SessionId) -> bool {
        if self.has(session) {
            return false;
        }
        self.sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(session)
    }

    pub(super) fn remove(&self, session: SessionId) {
        self.sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&session);
    }

    pub(super) fn all(&self) -> BTreeSet<SessionId> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has(&self, session: SessionId) -> bool {
        session == self.me
            || self
                .sessions
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&session)
    }

    pub(super) fn has_other_than(&self, session: SessionId) -> bool {
        self.sessions
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(|other| *other != session)
    }
}

/// The hints in what came over a channel.
pub(super) fn hints(channels: &Channels, ours: &Ours, channel: &str, text: &str) -> Vec<Hint> {
    if channel == channels.broadcast {
        return vec![Hint::Broadcast(text.to_owned())];
    }
    if channel == channels.hints {
        return said(ours, text).unwrap_or_default();
    }
    let message = || {
        let (from, text) = text.split_once(' ')?;
        let from: SessionId = from.parse().ok()?;
        let text = text.to_owned();
        (channel != channels.to_all || ours.has_other_than(from)).then_some(Hint::Message { from, text })
    };
    message().into_iter().collect()
}

/// Of scripts: a letter, who did it (a session, or `-` for nobody in particular), and what it is about.
fn said(ours: &Ours, text: &str) -> Option<Vec<Hint>> {
    let kind = text.get(..1)?;
    let mut words = text.get(1..)?.split(' ');
    let who: Option<SessionId> = words.next()?.parse().ok();
    let is_ours = who.is_some_and(|who| ours.has(who));
    Some(match kind {
        "R" => vec![Hint::Ready(words.filter_map(ready).collect())],
        "E" if !is_ours => vec![Hint::Ended(words.filter_map(task).collect())],
        "P" if !is_ours => words.filter_map(task).map(Hint::Progress).collect(),
        // the session that has it is to stop it
        "C" if is_ours || who.is_none() => words.filter_map(task).map(Hint::Cancel).collect(),
        _ => Vec::new(),
    })
}

fn task(word: &str) -> Option<TaskId> {
    word.parse().ok()
}

/// `<lane>:<priority>`.
pub(super) fn ready(word: &str) -> Option<(Lane, Priority)> {
    let (lane, priority) = word.rsplit_once(':')?;
    Some((lane.parse().ok()?, Priority::new(priority.parse().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_of_others_are_told_and_own_ones_are_not() {
        let channels = Channels::new(&Settings::default());
        let ours = Ours::new(SessionId::random());
        let (own, other, id) = (SessionId::random(), SessionId::random(), TaskId::next());
        assert!(ours.add(own) && !ours.add(own));
        let on = |channel: &str, text: String| hints(&channels, &ours, channel, &text);
        let hint = |text| on(&channels.hints, text);
        assert_eq!(hint(format!("E{other} {id} x")), [Hint::Ended(vec![id])]);
        assert_eq!(hint(format!("E- {id}")), [Hint::Ended(vec![id])]);
        assert_eq!(hint(format!("E{own} {id}")), []);
        assert_eq!(hint(format!("P{other} {id}")), [Hint::Progress(id)]);
        assert_eq!(hint(format!("P{own} {id}")), []);
        assert_eq!(hint(format!("C{own} {id}")), [Hint::Cancel(id)]);
        assert_eq!(hint(format!("C{other} {id}")), []);
        let lane: Lane = "EchoSkill;gpu".parse().unwrap();
        assert_eq!(
            hint("R- EchoSkill;gpu:8 :x".to_owned()),
            [Hint::Ready(vec![(lane, Priority::HIGH)])]
        );
        assert_eq!(hint("ä".to_owned()), []);
        assert_eq!(
            on(&channels.broadcast, "{}".to_owned()),
            [Hint::Broadcast("{}".to_owned())]
        );
        let message = |from| Hint::Message {
            from,
            text: "a b".to_owned(),
        };
        assert_eq!(on(&channels.to(own), format!("{other} a b")), [message(other)]);
        assert_eq!(on(&channels.to_all, format!("{other} a b")), [message(other)]);
        assert_eq!(on(&channels.to_all, format!("{own} a b")), []);
    }
}
