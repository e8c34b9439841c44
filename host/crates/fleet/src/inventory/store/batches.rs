//! Batches that were taken in, by agent and key, and what was answered then.

use sha2::{Digest as _, Sha256};
use sqlx::{Any, Transaction};
use venom_protocol::AgentId;
use venom_protocol::Timestamp;

use super::{Statement, json};
use crate::FleetError;
use crate::database::micros;

/// The longest key, in bytes.
const MAX_KEY: usize = 255;

/// A batch by its key and its content.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    agent: AgentId,
    key: String,
    sha256: String,
}

impl Batch {
    /// The batch that came with this key; none came: it cannot be told from another one.
    pub(crate) fn of(
        agent: &AgentId,
        key: Option<&str>,
        body: &impl serde::Serialize,
    ) -> Result<Option<Self>, FleetError> {
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Ok(None);
        };
        if key.len() > MAX_KEY || key.chars().any(char::is_control) {
            return Err(FleetError::Invalid(format!(
                "the Idempotency-Key is longer than {MAX_KEY} bytes or has control characters"
            )));
        }
        let digest = Sha256::digest(json(body)?.as_bytes());
        Ok(Some(Self {
            agent: agent.clone(),
            key: key.to_owned(),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }))
    }

    /// What was answered when it came before.
    pub(crate) async fn answered<T: serde::de::DeserializeOwned>(
        &self,
        writing: &mut Transaction<'static, Any>,
    ) -> Result<Option<T>, FleetError> {
        let select = Statement::new("SELECT sha256, answer FROM batches WHERE agent_id = ")
            .value(self.agent.to_string())
            .then(" AND batch_key = ")
            .value(self.key.clone());
        let found = select
            .first(&mut **writing, |mut columns| Ok((columns.text()?, columns.text()?)))
            .await?;
        let Some((sha256, answer)) = found else {
            return Ok(None);
        };
        if sha256 != self.sha256 {
            return Err(FleetError::Conflict(format!(
                "another batch came with the Idempotency-Key `{}`; each batch needs a key of its own",
                self.key
            )));
        }
        serde_json::from_str(&answer)
            .map(Some)
            .map_err(|error| FleetError::Corrupt(error.to_string()))
    }

    /// Remembers what is answered.
    pub(crate) async fn remember(
        &self,
        writing: &mut Transaction<'static, Any>,
        answer: &impl serde::Serialize,
        now: Timestamp,
    ) -> Result<(), FleetError> {
        let mut insert =
            Statement::new("INSERT INTO batches (agent_id, batch_key, sha256, answer, received_at) VALUES ").rows(1, 5);
        insert
            .bind(self.agent.to_string())
            .bind(self.key.clone())
            .bind(self.sha256.clone())
            .bind(json(answer)?)
            .bind(micros(now));
        insert.execute(&mut **writing).await?;
        Ok(())
    }
}
