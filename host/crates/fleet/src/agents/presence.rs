//! What time brings: agents that fell silent, commands nobody fetched, tokens whose time is up. Each is told once, whichever nexus
//! notices first: only who changes the row tells.

use std::time::Duration;

use serde_json::json;
use sqlx::{AnyConnection, Row as _};
use venom_protocol::{AgentStatus, Event, Timestamp};

use super::commands::{Unfetched, fail_unfetched};
use crate::database::{micros, micros_of, timestamp};
use crate::fleet::event;
use crate::{Fleet, FleetError};

impl Fleet {
    /// Who has become stale or offline, and what else time brings. `up_since`: silence is not counted from before; nobody could be
    /// heard then. Flushes first.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn tick(&self, now: Timestamp, up_since: Timestamp) -> Result<Vec<Event>, FleetError> {
        self.flush(now).await?;
        let settings = self.settings();
        let mut events = Vec::new();
        let mut writing = self.database().write().await?;
        // a clock that was ahead and was set right: who is heard of in the future would never fall silent
        let set_right = "UPDATE agents SET last_seen = $1, boot_seen = CASE WHEN boot_seen > $1 THEN $1 ELSE boot_seen END \
                         WHERE status IN ('online', 'stale') AND last_seen > $1";
        sqlx::query(set_right).bind(micros(now)).execute(&mut *writing).await?;
        for (status, after) in [
            (AgentStatus::Offline, settings.offline_after),
            (AgentStatus::Stale, settings.stale_after),
        ] {
            if before(now, after) > micros(up_since) {
                events.extend(silent(&mut writing, status, after, now).await?);
            }
        }
        let unfetched = Unfetched::SentBefore(before(now, settings.command_lifetime));
        events.extend(fail_unfetched(&mut writing, unfetched, "nobody fetched it in its time", now).await?);
        sqlx::query("DELETE FROM agent_tokens WHERE ends_at <= $1")
            .bind(micros(now))
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        Ok(events)
    }
}

/// The time `length` before `now`.
fn before(now: Timestamp, length: Duration) -> i64 {
    micros(now).saturating_sub(micros_of(length))
}

/// Those that have been silent for longer than `after`.
async fn silent(
    writing: &mut AnyConnection,
    status: AgentStatus,
    after: Duration,
    now: Timestamp,
) -> Result<Vec<Event>, FleetError> {
    let update = if status == AgentStatus::Offline {
        "UPDATE agents SET status = $1 WHERE status IN ('online', 'stale') AND last_seen < $2 \
         RETURNING id, name, site_name, last_seen"
    } else {
        "UPDATE agents SET status = $1 WHERE status = 'online' AND last_seen < $2 RETURNING id, name, site_name, last_seen"
    };
    let update = sqlx::query(update).bind(status.as_str()).bind(before(now, after));
    let rows = update.fetch_all(writing).await?;
    let event = |row: &sqlx::any::AnyRow| {
        let (id, name): (String, String) = (row.try_get("id")?, row.try_get("name")?);
        let site: String = row.try_get("site_name")?;
        let last_seen = timestamp(row.try_get("last_seen")?)?;
        let data = json!({"agent_id": id, "name": name, "site_name": site, "last_seen": last_seen, "reason": "silent"});
        let (kind, what) = if status == AgentStatus::Offline {
            ("AGENT_OFFLINE", "taken for gone")
        } else {
            ("AGENT_STALE", "late")
        };
        let message = format!("agent {name} of {site} is {what}: heard of last at {last_seen}");
        Ok(event(kind, message, data, now))
    };
    rows.iter().map(event).collect()
}
