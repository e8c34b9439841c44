//! What heartbeats said that is not written down yet. Most say nothing new but that somebody is there; one write for all of them that
//! came since the last is enough.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::AnyConnection;
use venom_protocol::{AgentId, OutboxStatus, Timestamp};

use crate::database::{micros, rows};
use crate::stored::json;
use crate::{Fleet, FleetError};

/// Agents in one statement: 6 placeholders each, SQLite takes 32,766.
const AGENTS_IN_A_STATEMENT: usize = 500;

/// What one agent said since it was written down last; the newest of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pulse {
    pub(super) last_seen: Timestamp,
    /// When the run of it that counts spoke.
    pub(super) boot_seen: Option<Timestamp>,
    pub(super) version: Option<String>,
    /// JSON.
    pub(super) subnets: Option<String>,
    pub(super) outbox: Option<OutboxStatus>,
}

impl Pulse {
    /// This and what was said before it.
    pub(super) fn after(self, before: Self) -> Self {
        Self {
            last_seen: self.last_seen.max(before.last_seen),
            boot_seen: self.boot_seen.max(before.boot_seen),
            version: self.version.or(before.version),
            subnets: self.subnets.or(before.subnets),
            outbox: self.outbox.or(before.outbox),
        }
    }
}

/// What heartbeats said that is not written down yet: no more than there are agents.
#[derive(Debug, Default)]
pub(crate) struct Pulses {
    waiting: Mutex<HashMap<AgentId, Pulse>>,
}

impl Pulses {
    fn waiting(&self) -> MutexGuard<'_, HashMap<AgentId, Pulse>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what an agent said.
    pub(super) fn keep(&self, agent: &AgentId, pulse: Pulse) {
        let mut waiting = self.waiting();
        let pulse = match waiting.remove(agent) {
            Some(before) => pulse.after(before),
            None => pulse,
        };
        waiting.insert(agent.clone(), pulse);
    }

    /// Keeps what could not be written down, under what was said since.
    fn put_back(&self, pulses: Vec<(AgentId, Pulse)>) {
        let mut waiting = self.waiting();
        for (agent, before) in pulses {
            let pulse = match waiting.remove(&agent) {
                Some(newer) => newer.after(before),
                None => before,
            };
            waiting.insert(agent, pulse);
        }
    }

    /// What waits of an agent.
    pub(super) fn of(&self, agent: &AgentId) -> Option<Pulse> {
        self.waiting().get(agent).cloned()
    }

    /// Forgets what waits of an agent: it is written down in another way, or no longer of interest.
    pub(super) fn forget(&self, agent: &AgentId) {
        self.waiting().remove(agent);
    }

    fn take(&self) -> Vec<(AgentId, Pulse)> {
        let mut pulses: Vec<_> = self.waiting().drain().collect();
        // in one order, so that two nexuses that write down the same agents seldom wait for each other
        pulses.sort_by(|one, other| one.0.cmp(&other.0));
        pulses
    }
}

impl Fleet {
    /// Writes down what heartbeats said since the last time. What cannot be written is kept for the next.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn flush(&self, now: Timestamp) -> Result<(), FleetError> {
        let pulses = self.pulses().take();
        if pulses.is_empty() {
            return Ok(());
        }
        tracing::trace!(agents = pulses.len(), %now, "writing down heartbeats");
        let written = self.write_down(&pulses).await;
        if written.is_err() {
            self.pulses().put_back(pulses);
        }
        written
    }

    /// Writes down what heartbeats said, at the end. What cannot be written then is lost: a minute of who was there.
    pub(crate) async fn flush_last(&self) {
        let pulses = self.pulses().take();
        if let Err(error) = self.write_down(&pulses).await {
            let error = venom_protocol::with_causes(&error);
            tracing::warn!(
                agents = pulses.len(),
                error,
                "what agents said last could not be written down"
            );
        }
    }

    async fn write_down(&self, pulses: &[(AgentId, Pulse)]) -> Result<(), FleetError> {
        let mut writing = self.database().write().await?;
        for some in pulses.chunks(AGENTS_IN_A_STATEMENT) {
            write(&mut writing, some).await?;
        }
        writing.commit().await?;
        Ok(())
    }
}

/// Writes pulses down. Where an agent stands is not touched: that is told, and so decided, elsewhere.
pub(super) async fn write(writing: &mut AnyConnection, pulses: &[(AgentId, Pulse)]) -> Result<(), FleetError> {
    let update = format!(
        "UPDATE agents SET \
         last_seen = CASE WHEN agents.last_seen > v.column2 THEN agents.last_seen ELSE v.column2 END, \
         boot_seen = CASE WHEN v.column3 IS NULL OR agents.boot_seen > v.column3 THEN agents.boot_seen ELSE v.column3 END, \
         version = COALESCE(v.column4, agents.version), subnets = COALESCE(v.column5, agents.subnets), \
         outbox = COALESCE(v.column6, agents.outbox) \
         FROM (VALUES {}) AS v WHERE agents.id = v.column1 AND agents.is_active = 1",
        rows(1, pulses.len(), 6)
    );
    // of each length it is another one
    let mut update = sqlx::query(sqlx::AssertSqlSafe(update)).persistent(false);
    for (agent, pulse) in pulses {
        update = update
            .bind(agent.as_str())
            .bind(micros(pulse.last_seen))
            .bind(pulse.boot_seen.map(micros))
            .bind(&pulse.version)
            .bind(&pulse.subnets)
            .bind(pulse.outbox.as_ref().map(json).transpose()?);
    }
    update.execute(writing).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(second: i64, version: Option<&str>) -> Pulse {
        Pulse {
            last_seen: Timestamp(jiff::Timestamp::from_second(second).unwrap()),
            boot_seen: None,
            version: version.map(str::to_owned),
            subnets: None,
            outbox: None,
        }
    }

    #[test]
    fn the_newest_of_each_is_kept_also_when_writing_failed() {
        let agent: AgentId = "a".parse().unwrap();
        let pulses = Pulses::default();
        pulses.keep(&agent, pulse(1, Some("1")));
        pulses.keep(&agent, pulse(2, None));
        assert_eq!(pulses.of(&agent), Some(pulse(2, Some("1"))));
        let taken = pulses.take();
        assert_eq!(pulses.of(&agent), None);
        pulses.keep(&agent, pulse(3, Some("2")));
        pulses.put_back(taken);
        assert_eq!(pulses.take(), [(agent, pulse(3, Some("2")))]);
    }
}
