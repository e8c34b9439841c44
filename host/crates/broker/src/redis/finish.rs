//! Ends leases. Tasks that completed at their first run are most of them, and go a short way.

use std::collections::HashSet;

use redis::{Cmd, Value};
use venom_protocol::{SessionId, TaskId};

use super::RedisBroker;
use super::ask::millis;
use super::record::state_of;
use super::reply::{as_text, task_id};
use super::submit::text;
use crate::{Answer, Dependent, Ending, EndingKind, Recorded, Settled, State};

/// Endings and bytes of results in one step, a few ms of work.
const ENDINGS: usize = 1_000;
const BYTES: usize = 8 * 1_024 * 1_024;

/// Steps in which the dependents of one request are told here; what is left is done by whoever tends.
const STEPS: usize = 1_000;

impl RedisBroker {
    pub(super) async fn end(&self, session: SessionId, endings: &[Ending]) -> Answer<Settled> {
        let mut settled = Settled::default();
        let mut rest = endings;
        while !rest.is_empty() {
            let mut bytes = 0_usize;
            let fits = |ending: &&Ending| {
                bytes = bytes.saturating_add(ending.kind.text().len());
                bytes <= BYTES
            };
            let most = rest.iter().take(ENDINGS).take_while(fits).count().max(1);
            let (step, more) = rest.split_at(most);
            self.end_some(session, step, &mut settled).await?;
            rest = more;
        }
        Ok(settled)
    }

    async fn end_some(&self, session: SessionId, endings: &[Ending], settled: &mut Settled) -> Answer<()> {
        let (quick, others) = sorted(endings);
        let call = self.finish_call(session, endings, &quick, &others);
        let answer = self
            .run(self.link_for(endings.len()), &self.scripts.finish, &call)
            .await?;
        let reader = self.reader();
        let [odd, recorded, dependents, more] = reader.lists(answer)?;
        let mut all = vec![Recorded::Written(State::Completed); endings.len()];
        let mut put = |place: Option<&usize>, state: &Value| {
            if let Some(recorded) = place.and_then(|place| all.get_mut(*place)) {
                *recorded = as_text(state)
                    .and_then(state_of)
                    .map_or(Recorded::Stale, Recorded::Written);
            }
        };
        for (number, state) in reader.pairs(odd)? {
            let number = usize::try_from(reader.number(number)?).unwrap_or_default();
            put(number.checked_sub(1).and_then(|number| quick.get(number)), &state);
        }
        for (place, state) in others.iter().zip(reader.list(recorded)?) {
            put(Some(place), &state);
        }
        settled.recorded.append(&mut all);
        settled.dependents.append(&mut moved(dependents));
        if reader.number(more)? == 1 {
            settled.dependents.append(&mut self.settle(session).await?);
        }
        Ok(())
    }

    fn finish_call(&self, session: SessionId, endings: &[Ending], quick: &[usize], others: &[usize]) -> Cmd {
        let bytes: usize = endings.iter().map(|ending| ending.kind.text().len() + 160).sum();
        let mut call = self.call(&self.scripts.finish, 2 + 3 * quick.len() + 8 * others.len(), 64 + bytes);
        call.arg(text(session.0).as_str()).arg(quick.len());
        let chosen = |places: &[usize]| {
            places
                .iter()
                .filter_map(|place| endings.get(*place))
                .collect::<Vec<_>>()
        };
        let completed = chosen(quick);
        for ending in &completed {
            call.arg(text(ending.id.0).as_str());
        }
        for ending in &completed {
            let length = 1 + ending.kind.text().len();
            call.arg(match ending.node {
                Some(node) => format!(" {} 0 {node} 0 {length}", ending.started_at),
                None => format!(" {} 0 - 0 {length}", ending.started_at),
            });
        }
        let mut outcome = String::new();
        for ending in &completed {
            outcome.clear();
            outcome.push('C');
            outcome.push_str(ending.kind.text());
            call.arg(outcome.as_str());
        }
        for ending in chosen(others) {
            add(&mut call, ending);
        }
        call
    }

    /// Tells the dependents that did not fit into the step of their tasks.
    pub(super) async fn settle(&self, origin: SessionId) -> Answer<Vec<Dependent>> {
        let mut all = Vec::new();
        for _ in 0..STEPS {
            let mut call = self.call(&self.scripts.settle, 1, 64);
            call.arg(text(origin.0).as_str());
            let answer = self.run(&self.bulk, &self.scripts.settle, &call).await?;
            let [dependents, more] = self.reader().lists(answer)?;
            all.append(&mut moved(dependents));
            if self.reader().number(more)? == 0 {
                break;
            }
        }
        Ok(all)
    }
}

/// Places of first runs that completed on a known node, and of all others.
fn sorted(endings: &[Ending]) -> (Vec<usize>, Vec<usize>) {
    let mut seen = HashSet::with_capacity(endings.len());
    let is_quick = |place: &usize| {
        endings.get(*place).is_some_and(|ending| {
            // an id that comes twice is ended by the first and stale for the second
            let is_first = seen.insert(ending.id);
            let is_completed = matches!(ending.kind, EndingKind::Completed { .. });
            is_first && is_completed && ending.fence == 1 && ending.node.is_some() && ending.started_at > 0
        })
    };
    (0..endings.len()).partition(is_quick)
}

fn add(call: &mut Cmd, ending: &Ending) {
    let (kind, delay, lost) = match &ending.kind {
        EndingKind::Completed { .. } => ("C", 0, false),
        EndingKind::Failed { .. } => ("F", 0, false),
        EndingKind::Cancelled { .. } => ("X", 0, false),
        EndingKind::Retry { delay, lost_node, .. } => ("r", millis(*delay), *lost_node),
        EndingKind::Returned => ("b", 0, false),
    };
    let outcome = match &ending.kind {
        EndingKind::Completed { result } => format!("C{result}"),
        EndingKind::Failed { code, error } | EndingKind::Retry { code, error, .. } => {
            format!("F{}\n{error}", code.as_str())
        }
        EndingKind::Cancelled { reason } => format!("X{reason}"),
        EndingKind::Returned => String::new(),
    };
    call.arg(text(ending.id.0).as_str()).arg(ending.fence).arg(kind);
    match ending.node {
        Some(node) => call.arg(text(node.0).as_str()),
        None => call.arg("-"),
    };
    call.arg(ending.started_at).arg(delay).arg(u8::from(lost)).arg(outcome);
}

impl EndingKind {
    fn text(&self) -> &str {
        match self {
            Self::Completed { result: text }
            | Self::Failed { error: text, .. }
            | Self::Cancelled { reason: text }
            | Self::Retry { error: text, .. } => text,
            Self::Returned => "",
        }
    }
}

/// Dependents as scripts tell them.
pub(super) fn moved(value: Value) -> Vec<Dependent> {
    let Value::Array(values) = value else { return Vec::new() };
    let pair = |pair: &[Value]| -> Option<(TaskId, State)> {
        let [id, state] = pair else { return None };
        Some((task_id(id)?, state_of(as_text(state)?)?))
    };
    values
        .chunks(2)
        .filter_map(pair)
        .map(|(id, state)| Dependent { id, state })
        .collect()
}
