//! What operators decide about an agent: that it may, and that it no longer may.

use serde_json::json;
use sqlx::{AnyConnection, Row as _};
use venom_protocol::{AgentId, AgentView, Event, Timestamp};

use super::commands::{Unfetched, fail_unfetched};
use super::lists::unknown;
use super::tokens::end_all;
use crate::database::micros;
use crate::fleet::event;
use crate::{Fleet, FleetError, Outcome};

impl Fleet {
    /// Lets in what an agent sends. `by`: name of the operator's token.
    ///
    /// # Errors
    /// There is no such agent, or it was deregistered; the database cannot be used.
    pub async fn approve(&self, id: &AgentId, by: &str, now: Timestamp) -> Result<Outcome<AgentView>, FleetError> {
        let mut writing = self.database().write().await?;
        let approve =
            "UPDATE agents SET approved = 1 WHERE id = $1 AND is_active = 1 AND approved = 0 RETURNING name, site_name";
        let event = told(&mut writing, approve, id, "AGENT_APPROVED", ("approved", by), now).await?;
        writing.commit().await?;
        let answer = self.agent(id).await?;
        if !answer.is_active {
            return Err(FleetError::Conflict(format!(
                "agent {id} was deregistered; it must register again first"
            )));
        }
        Ok(Outcome {
            answer,
            events: event.into_iter().collect(),
        })
    }

    /// Ends all tokens of an agent at once. What it sent stays; commands it did not fetch have failed. Again: nothing happens.
    ///
    /// # Errors
    /// There is no such agent; the database cannot be used.
    pub async fn deregister(&self, id: &AgentId, by: &str, now: Timestamp) -> Result<Outcome<()>, FleetError> {
        let mut writing = self.database().write().await?;
        let leave = "UPDATE agents SET is_active = 0, status = 'offline' WHERE id = $1 AND is_active = 1 RETURNING name, site_name";
        let Some(event) = told(&mut writing, leave, id, "AGENT_DEREGISTERED", ("deregistered", by), now).await? else {
            drop(writing);
            self.agent(id).await?;
            return Ok(Outcome::quiet(()));
        };
        let mut events = vec![event];
        let why = "the agent was deregistered";
        events.extend(fail_unfetched(&mut writing, Unfetched::Of(id), why, now).await?);
        end_all(&mut writing, id).await?;
        sqlx::query("UPDATE agents SET ended_at = $1 WHERE id = $2")
            .bind(micros(now))
            .bind(id.as_str())
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        self.pulses().forget(id);
        Ok(Outcome { answer: (), events })
    }

    /// Agents that were deregistered at or after `since`, here or through another nexus, and have not come back: for whoever holds
    /// connections of theirs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn deregistered_since(&self, since: Timestamp) -> Result<Vec<AgentId>, FleetError> {
        let select = "SELECT id FROM agents WHERE ended_at >= $1 AND is_active = 0";
        let ids: Vec<String> = sqlx::query_scalar(select)
            .bind(micros(since))
            .fetch_all(self.database().read())
            .await?;
        let read = |id: String| {
            id.parse()
                .map_err(|_| FleetError::Corrupt(format!("the agent id {id:?}")))
        };
        ids.into_iter().map(read).collect()
    }

    /// Whether there is an agent that is not deregistered, locked for whoever writes.
    pub(super) async fn locked(&self, writing: &mut AnyConnection, id: &AgentId) -> Result<String, FleetError> {
        let lock = "UPDATE agents SET is_active = is_active WHERE id = $1 RETURNING is_active, site_name";
        let row = sqlx::query(lock).bind(id.as_str()).fetch_optional(writing).await?;
        let row = row.ok_or_else(|| unknown(id))?;
        if row.try_get::<i64, _>("is_active")? == 0 {
            return Err(FleetError::Conflict(format!("agent {id} was deregistered")));
        }
        Ok(row.try_get("site_name")?)
    }
}

/// Runs a statement that changes one agent, and says so when it did.
async fn told(
    writing: &mut AnyConnection,
    statement: &'static str,
    id: &AgentId,
    kind: &str,
    (what, by): (&str, &str),
    now: Timestamp,
) -> Result<Option<Event>, FleetError> {
    let row = sqlx::query(statement).bind(id.as_str()).fetch_optional(writing).await?;
    let Some(row) = row else { return Ok(None) };
    let (name, site): (String, String) = (row.try_get("name")?, row.try_get("site_name")?);
    let data = json!({"agent_id": id, "name": name, "site_name": site, "by": by});
    Ok(Some(event(
        kind,
        format!("agent {name} of {site} was {what} by {by}"),
        data,
        now,
    )))
}
