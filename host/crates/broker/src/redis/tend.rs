//! Sessions, and what time brings.

use std::time::Duration;

use redis::Value;
use venom_protocol::{NodeId, SessionId, TaskId};

use super::RedisBroker;
use super::ask::millis;
use super::finish::moved;
use super::record::state_of;
use super::reply::as_text;
use super::submit::text;
use crate::{Answer, BrokerError, Cancelled, Note, Peer, Renewal, Tended};

/// Steps of one call to tend, each about 500 tasks; what is left is found by the next.
const STEPS: usize = 40;

impl RedisBroker {
    pub(super) async fn keep(&self, session: SessionId, note: &Note) -> Answer<Renewal> {
        self.listener.add(session).await;
        let values = 6 + 3 * note.assigned.len() + 2 * note.nodes.len() + note.nodes_gone.len();
        let bytes: usize = note.nodes.iter().map(|(_, text)| text.len()).sum();
        let mut call = self.call(&self.scripts.renew, values, bytes + note.text.len() + 40 * values);
        call.arg(text(session.0).as_str())
            .arg(millis(self.settings.session_ttl))
            .arg(note.text.as_str());
        call.arg(note.assigned.len());
        for (task, fence, node) in &note.assigned {
            call.arg(text(task.0).as_str()).arg(*fence).arg(text(node.0).as_str());
        }
        call.arg(note.nodes.len());
        for (node, about) in &note.nodes {
            call.arg(text(node.0).as_str()).arg(about.as_str());
        }
        call.arg(note.nodes_gone.len());
        for node in &note.nodes_gone {
            call.arg(text(node.0).as_str());
        }
        let answer = self.run(&self.quick, &self.scripts.renew, &call).await?;
        let reader = self.reader();
        let [fresh, cancels, peers] = reader.lists(answer)?;
        let mut renewal = Renewal {
            fresh: reader.number(fresh)? == 1,
            cancels: reader.task_ids(cancels)?,
            peers: Vec::new(),
        };
        for (session, note) in reader.pairs(peers)? {
            if let Some(session) = as_text(&session).and_then(|session| session.parse().ok()) {
                let text = reader.text(note)?;
                renewal.peers.push(Peer { session, text });
            }
        }
        Ok(renewal)
    }

    pub(super) async fn go(&self, session: SessionId) -> Answer<()> {
        let mut call = self.call(&self.scripts.leave, 1, 64);
        call.arg(text(session.0).as_str());
        while {
            let answer = self.run(&self.quick, &self.scripts.leave, &call).await?;
            self.reader().number(answer)? == 1
        } {}
        self.listener.remove(session);
        Ok(())
    }

    pub(super) async fn do_what_time_brings(&self) -> Answer<Tended> {
        let mut sum = Tended::default();
        for _ in 0..STEPS {
            // After Redis was away nobody could renew: whoever comes back first must not give up all others.
            let spare = self
                .quick
                .recovered()
                .is_some_and(|since| since < self.settings.session_ttl);
            let mut call = self.call(&self.scripts.tend, 1, 16);
            call.arg(u8::from(spare));
            let answer = self.run(&self.bulk, &self.scripts.tend, &call).await?;
            if !self.add_step(&mut sum, answer)? {
                break;
            }
        }
        Ok(sum)
    }

    fn add_step(&self, sum: &mut Tended, answer: Value) -> Answer<bool> {
        let reader = self.reader();
        let [promoted, requeued, given_up, cancelled, corrupt, next_due, more] = reader.lists(answer)?;
        sum.promoted += reader.count(promoted)?;
        sum.requeued.extend(reader.task_ids(requeued)?);
        sum.sessions_ended.extend(reader.session_ids(given_up)?);
        sum.cancelled.extend(reader.task_ids(cancelled)?);
        sum.corrupt += reader.count(corrupt)?;
        sum.next_due = u64::try_from(reader.number(next_due)?).ok().map(Duration::from_millis);
        Ok(reader.number(more)? == 1)
    }

    pub(super) async fn take_back(&self, task: TaskId) -> Answer<Cancelled> {
        let mut call = self.call(&self.scripts.cancel, 2, 80);
        call.arg(text(self.me.0).as_str()).arg(text(task.0).as_str());
        let answer = self.run(&self.quick, &self.scripts.cancel, &call).await?;
        let reader = self.reader();
        let mut values = reader.list(answer)?.into_iter();
        let mut next = || values.next().ok_or_else(|| reader.odd());
        match reader.text(next()?)?.as_str() {
            "unknown" => Ok(Cancelled::Unknown),
            "asked" => Ok(Cancelled::Asked),
            "ended" => {
                let state = as_text(&next()?).and_then(state_of);
                state.map(Cancelled::Ended).ok_or_else(|| reader.odd())
            }
            "now" => {
                let mut dependents = moved(next()?);
                if reader.number(next()?)? == 1 {
                    dependents.append(&mut self.settle(self.me).await?);
                }
                Ok(Cancelled::Now(dependents))
            }
            _ => Err(self.corrupt(task)),
        }
    }

    pub(super) async fn put_back(&self, task: TaskId) -> Answer<bool> {
        let mut call = self.call(&self.scripts.requeue, 2, 80);
        call.arg(text(self.me.0).as_str()).arg(text(task.0).as_str());
        match self.run(&self.quick, &self.scripts.requeue, &call).await? {
            Value::Int(done) => Ok(done == 1),
            _ => Err(self.corrupt(task)),
        }
    }

    pub(super) fn corrupt(&self, task: TaskId) -> BrokerError {
        BrokerError::Corrupt {
            broker: self.place.clone(),
            what: format!("task {task}"),
            why: format!(
                "somebody else wrote to its key; what was found is in the list {}, and the task must be submitted again",
                self.key("corrupt")
            ),
        }
    }

    pub(super) async fn nodes_of_others(&self, session: SessionId) -> Answer<Vec<(SessionId, NodeId, String)>> {
        let mut time = redis::cmd("ZRANGE");
        time.arg(self.key("sessions")).arg(0).arg(-1).arg("WITHSCORES");
        let clock = redis::cmd("TIME");
        let mut both = redis::Pipeline::with_capacity(2);
        both.add_command(time).add_command(clock);
        let reader = self.reader();
        let [sessions, clock] = self.commands(&both).await?.try_into().map_err(|_| reader.odd())?;
        let [seconds, _] = reader.lists(clock)?;
        let now = reader.number(seconds)?.saturating_mul(1_000);
        let mut others: Vec<SessionId> = Vec::new();
        for (other, deadline) in reader.pairs(sessions)? {
            let id: Option<SessionId> = as_text(&other).and_then(|other| other.parse().ok());
            others.extend(id.filter(|other| *other != session && reader.number(deadline).is_ok_and(|at| at > now)));
        }
        self.noted_nodes(&others).await
    }

    async fn noted_nodes(&self, sessions: &[SessionId]) -> Answer<Vec<(SessionId, NodeId, String)>> {
        let mut notes = redis::Pipeline::with_capacity(sessions.len());
        for session in sessions {
            let mut all = redis::cmd("HGETALL");
            all.arg(self.key(&format!("s:{session}")));
            notes.add_command(all);
        }
        let reader = self.reader();
        let mut nodes = Vec::new();
        if sessions.is_empty() {
            return Ok(nodes);
        }
        for (session, noted) in sessions.iter().zip(self.commands(&notes).await?) {
            for (field, about) in reader.pairs(noted)? {
                let node = as_text(&field).and_then(|field| field.strip_prefix("n:")?.parse().ok());
                if let (Some(node), Some(about)) = (node, as_text(&about)) {
                    nodes.push((*session, node, about.to_owned()));
                }
            }
        }
        Ok(nodes)
    }
}
