//! What time does to tasks on nodes: deadlines pass, nodes that hold tasks fall silent, pauses end.

use crate::index::Place;
use crate::{Action, Foreman, Moment, NodeRecord};

impl Foreman {
    pub(crate) fn tick(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.end_pauses(now);
        while let Some(&(due, request_id)) = self.deadlines.first()
            && due <= now
        {
            self.deadlines.pop_first();
            self.overrun(now, request_id, out);
        }
        for place in self.laden.clone() {
            self.watch(now, place, out);
        }
        self.drop_silent(now, out);
        self.serve_held(now, out);
        self.return_held(now, out);
    }

    /// Asks a node that holds tasks and says nothing, and at last gives its tasks up. Never without having asked a third of
    /// the time before: a nexus that was stopped for a while must not take its own silence for the nodes'.
    fn watch(&mut self, now: Moment, place: Place, out: &mut Vec<Action>) {
        let ttl = self.settings.lease_ttl;
        let third = ttl / 3;
        let Some(node) = self.record_mut(place) else { return };
        let silent_since = node.last_seen.max(node.silence.laden_since);
        let asked = node.silence.asked;
        if now.since(silent_since) >= ttl && asked.is_some_and(|(first, _)| now.since(first) >= third) {
            node.silence.gave_up = true;
            return self.give_up(now, place, out);
        }
        let last_asked = asked.map_or(silent_since, |(_, last)| last);
        if now.since(last_asked) >= third {
            node.silence.asked = Some((asked.map_or(now, |(first, _)| first), now));
            if let Some(link) = node.link() {
                out.push(Action::PingLink { link });
            }
        }
    }

    /// Takes the tasks of a silent node away. It may run them to their end; its answers do nothing.
    fn give_up(&mut self, now: Moment, place: Place, out: &mut Vec<Action>) {
        let Some(node) = self.record(place) else { return };
        let mut tasks = node.calls.clone();
        tasks.retain(|request_id| self.task_of(*request_id).is_some());
        let why = format!("no sign of life for {} s", self.settings.lease_ttl.as_secs_f64());
        for request_id in tasks {
            let slot = self.tell_to_stop(place, request_id, out);
            self.lose(now, request_id, slot, &why, out);
        }
        self.rerank(place);
        self.after_end(now, place, out);
    }

    /// A sign of life came: the node is asked nothing more, and takes tasks again.
    pub(crate) fn heard(&mut self, place: Place) {
        let Some(node) = self.record_mut(place) else { return };
        node.silence.asked = None;
        if std::mem::take(&mut node.silence.gave_up) {
            self.rerank(place);
        }
    }

    /// No task for a while to a node that said it has no time.
    pub(crate) fn pause(&mut self, now: Moment, place: Place) {
        let until = Moment(now.0.saturating_add(self.settings.pause));
        if let Some(node) = self.record_mut(place) {
            node.paused_until = Some(until);
            self.pauses.insert((until, place));
            self.rerank(place);
        }
    }

    fn end_pauses(&mut self, now: Moment) {
        while let Some(&(until, place)) = self.pauses.first()
            && until <= now
        {
            self.pauses.pop_first();
            let over = |node: &mut NodeRecord| node.paused_until.take_if(|until| *until <= now).is_some();
            if self.record_mut(place).is_some_and(over) {
                self.rerank(place);
            }
        }
    }
}
