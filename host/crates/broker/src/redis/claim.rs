//! Leases waiting tasks to a session.

use std::collections::HashMap;
use std::time::Duration;

use redis::Value;
use venom_protocol::{Lane, Priority, SessionId, TaskId};

use super::RedisBroker;
use super::record::{Record, outcome};
use super::reply::task_id;
use super::submit::{list, text};
use crate::{Answer, Claim, Lease, Outcome, State, Want};

impl RedisBroker {
    pub(super) async fn lease(&self, session: SessionId, wants: &[Want], total: usize) -> Answer<Claim> {
        let mut call = self.call(&self.scripts.claim, 2 + 5 * wants.len(), 64 + 160 * wants.len());
        call.arg(text(session.0).as_str()).arg(total);
        for want in wants {
            let level = want.priority.level();
            call.arg(format!("{}:{level}", want.lane))
                .arg(list(&self.tag, &self.settings, &want.lane, want.priority));
            call.arg(level)
                .arg(want.most)
                .arg(want.lane.group().unwrap_or_default());
        }
        let most = wants
            .iter()
            .map(|want| want.most)
            .fold(0, usize::saturating_add)
            .min(total);
        let answer = self.run(self.link_for(most), &self.scripts.claim, &call).await?;
        let reader = self.reader();
        let [leases, empty, held] = reader.lists(answer)?;
        let mut claim = Claim::default();
        let mut depends = Vec::new();
        let mut odd = Vec::new();
        for (id, record) in reader.pairs(leases)? {
            let Some(id) = task_id(&id) else { continue };
            match read(id, &record) {
                Some((lease, deps)) => {
                    if !deps.is_empty() {
                        depends.push((claim.leases.len(), deps));
                    }
                    claim.leases.push(lease);
                }
                None => odd.push(id),
            }
        }
        for number in reader.list(empty)? {
            claim.empty.extend(wanted(wants, reader.number(number)?));
        }
        for (number, wait) in reader.pairs(held)? {
            let wait = Duration::from_millis(reader.count(wait)?);
            let want = wanted(wants, reader.number(number)?);
            claim
                .held_back
                .extend(want.map(|(lane, priority)| (lane, priority, wait)));
        }
        self.discard(session, &odd).await?;
        self.add_inputs(&mut claim, depends).await?;
        Ok(claim)
    }

    /// Takes leases off records that cannot be read.
    async fn discard(&self, session: SessionId, ids: &[TaskId]) -> Answer<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut call = self.call(&self.scripts.discard, 1 + ids.len(), 40 * (1 + ids.len()));
        call.arg(text(session.0).as_str());
        for id in ids {
            call.arg(text(id.0).as_str());
        }
        self.run(&self.quick, &self.scripts.discard, &call).await.map(|_| ())
    }

    async fn add_inputs(&self, claim: &mut Claim, depends: Vec<(usize, Vec<TaskId>)>) -> Answer<()> {
        if depends.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<TaskId> = depends.iter().flat_map(|(_, deps)| deps.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut results = HashMap::new();
        for (id, record) in self.records(&ids).await? {
            let Value::BulkString(bytes) = record else { continue };
            let Some(record) = Record::read(&bytes).filter(|record| record.state == State::Completed) else {
                continue;
            };
            if let Some(Outcome::Completed(result)) = outcome(record.outcome) {
                results.insert(id, result);
            }
        }
        for (place, deps) in depends {
            if let Some(lease) = claim.leases.get_mut(place) {
                let found = deps.iter().filter_map(|id| Some((*id, results.get(id)?.clone())));
                lease.inputs = found.collect();
            }
        }
        Ok(())
    }
}

fn wanted(wants: &[Want], number: i64) -> Option<(Lane, Priority)> {
    let want = wants.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
    Some((want.lane.clone(), want.priority))
}

/// A lease, and what its task depends on.
fn read(id: TaskId, record: &Value) -> Option<(Lease, Vec<TaskId>)> {
    let Value::BulkString(bytes) = record else { return None };
    let record = Record::read(bytes)?;
    // a record from before its first lease
    let (fence, attempt) = match record.state {
        State::Pending => (1, 1),
        _ => (record.fence, record.attempt),
    };
    let lease = Lease {
        id,
        fence,
        attempt,
        losses: record.losses,
        lane: record.lane,
        priority: record.priority,
        body: record.body.to_owned(),
        created_at: record.created,
        last_node: record.node,
        inputs: Vec::new(),
    };
    Some((lease, record.deps))
}
