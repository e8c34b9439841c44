//! An agent says that it is there. When that changes nothing, it is kept in memory until the next flush.

use serde_json::json;
use sqlx::Row as _;
use venom_protocol::{AgentHeartbeat, AgentStatus, Event, HeartbeatAnswer, Timestamp};

use super::boots::{self, Boots, Heard, clone_suspected};
use super::newcomer::{names, within};
use super::pulse::{Pulse, write};
use super::{AgentPass, hold_to, status};
use crate::database::micros;
use crate::fleet::event;
use crate::stored::json as to_json;
use crate::text::{line, name};
use crate::{Fleet, FleetError, Outcome};

/// How an agent says goodbye.
const GOODBYE: &str = "offline";

impl Fleet {
    /// An agent says that it is there, or goodbye.
    ///
    /// # Errors
    /// It says too much, or was deregistered meanwhile; the database cannot be used.
    pub async fn heartbeat(
        &self,
        agent: &AgentPass,
        beat: AgentHeartbeat,
        now: Timestamp,
    ) -> Result<Outcome<HeartbeatAnswer>, FleetError> {
        let subnets = names(beat.subnets.as_deref().unwrap_or_default())?;
        within(subnets.as_ref().map_or(0, String::len), self.settings())?;
        let boot = name(beat.boot_id.as_deref());
        let says = line(beat.status.as_deref().unwrap_or_default(), GOODBYE.len() + 1);
        let is_goodbye = says.eq_ignore_ascii_case(GOODBYE);
        let is_known_boot = boot.is_none() || boot == agent.boot_id;
        let is_as_told = agent.status == AgentStatus::Online || !agent.approved;
        let pulse = Pulse {
            last_seen: now,
            boot_seen: boot.as_ref().filter(|_| is_known_boot).map(|_| now),
            version: name(beat.version.as_deref()),
            subnets,
            outbox: beat.outbox,
        };
        let events = if is_as_told && is_known_boot && !is_goodbye {
            self.pulses().keep(&agent.agent_id, pulse);
            Vec::new()
        } else {
            self.heard(agent, pulse, boot.as_deref(), is_goodbye, now).await?
        };
        let pending_commands = self.count_pending(agent, now).await?;
        let answer = HeartbeatAnswer {
            status: "ok".to_owned(),
            agent_id: agent.agent_id.clone(),
            last_seen: now,
            pending_commands,
            approved: agent.approved,
        };
        Ok(Outcome { answer, events })
    }

    /// A heartbeat that changes something: written down at once, and told.
    async fn heard(
        &self,
        agent: &AgentPass,
        pulse: Pulse,
        boot: Option<&str>,
        is_goodbye: bool,
        now: Timestamp,
    ) -> Result<Vec<Event>, FleetError> {
        let pulse = match self.pulses().of(&agent.agent_id) {
            Some(before) => pulse.after(before),
            None => pulse,
        };
        let mut writing = self.database().write().await?;
        hold_to(&mut writing, agent, now).await?;
        write(&mut writing, &[(agent.agent_id.clone(), pulse)]).await?;
        // the write before has locked the row
        let select = format!(
            "SELECT is_active, approved, status, {} FROM agents WHERE id = $1",
            boots::COLUMNS
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(select)).bind(agent.agent_id.as_str().to_owned());
        let row = row.fetch_optional(&mut *writing).await?;
        let row = row.filter(|row| row.try_get::<i64, _>("is_active").is_ok_and(|active| active != 0));
        let Some(row) = row else {
            return Err(FleetError::Denied(format!("agent {} was deregistered", agent.agent_id)));
        };
        let approved = row.try_get::<i64, _>("approved")? != 0;
        let before = status(row.try_get("status")?)?;
        let after = match (approved, is_goodbye) {
            (false, _) => before,
            (true, true) => AgentStatus::Offline,
            (true, false) => AgentStatus::Online,
        };
        let mut boots = Boots::read(&row)?;
        let heard = boot.map_or(Heard::Current, |boot| {
            boots.hear(boot, now, self.settings().offline_after)
        });
        let update = "UPDATE agents SET status = $1, boot_id = $2, boot_seen = $3, boots = $4, clone_told_at = $5, \
                      clone_suspected_at = COALESCE($6, clone_suspected_at) WHERE id = $7";
        sqlx::query(update)
            .bind(after.as_str())
            .bind(&boots.current)
            .bind(boots.seen.map(micros))
            .bind(to_json(&boots.superseded)?)
            .bind(boots.told.map(micros))
            .bind((heard != Heard::Current).then(|| micros(now)))
            .bind(agent.agent_id.as_str())
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        self.pulses().forget(&agent.agent_id);
        let mut events = Vec::new();
        if after != before {
            events.push(changed(agent, after, now));
        }
        if heard == Heard::Clone {
            events.push(clone_suspected(&agent.agent_id, &agent.name, &agent.site_name, now));
        }
        Ok(events)
    }
}

/// That an agent that spoke is there now, or says goodbye.
fn changed(agent: &AgentPass, status: AgentStatus, now: Timestamp) -> Event {
    let AgentPass {
        agent_id,
        name,
        site_name,
        ..
    } = agent;
    if status == AgentStatus::Offline {
        let data = json!({"agent_id": agent_id, "name": name, "site_name": site_name, "reason": "goodbye"});
        return event(
            "AGENT_OFFLINE",
            format!("agent {name} of {site_name} said goodbye"),
            data,
            now,
        );
    }
    let data = json!({"agent_id": agent_id, "name": name, "site_name": site_name});
    event(
        "AGENT_ONLINE",
        format!("agent {name} of {site_name} is there"),
        data,
        now,
    )
}
