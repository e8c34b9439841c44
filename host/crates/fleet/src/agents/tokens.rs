//! Agents' tokens: making, showing, replacing and ending them. Only their SHA-256 is kept.
//!
//! They are looked up by that hash. How long the look-up takes says something about hashes at most, and nobody can choose those.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{Any, AnyConnection, Row as _, Transaction};
use venom_protocol::{AgentId, Timestamp, TokenRotated};

use super::{AgentPass, status};
use crate::database::{micros, micros_of};
use crate::fleet::event;
use crate::stored::from_json;
use crate::{Fleet, FleetError, Outcome};

/// Tokens of one agent that are good at a time, not counting those in rotation: a spore and an older agent may each have their own.
const TOKENS_OF_AN_AGENT: i64 = 4;

/// A new token: 32 random bytes, base64url.
pub(super) fn mint() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What is kept of a token.
pub(super) fn hash(token: &str) -> String {
    Sha256::digest(token.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What becomes of the tokens an agent has when it gets another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Before<'a> {
    /// They end.
    End,
    /// They stay good, but the oldest beyond [`TOKENS_OF_AN_AGENT`].
    Stay,
    /// This one stays good until the new one is used, and for the overlap after that.
    Overlap(&'a str),
}

/// Gives an agent, whose row is locked, another token.
pub(super) async fn issue(
    writing: &mut AnyConnection,
    agent: &AgentId,
    before: Before<'_>,
    now: Timestamp,
) -> Result<String, FleetError> {
    let token = mint();
    let replaces = match before {
        Before::End => {
            end_all(writing, agent).await?;
            None
        }
        Before::Stay => {
            let surplus = "DELETE FROM agent_tokens WHERE hash IN (SELECT hash FROM agent_tokens WHERE agent_id = $1 \
                           ORDER BY created_at DESC, hash LIMIT 1000 OFFSET $2)";
            let surplus = sqlx::query(surplus).bind(agent.as_str()).bind(TOKENS_OF_AN_AGENT - 1);
            surplus.execute(&mut *writing).await?;
            None
        }
        Before::Overlap(old) => {
            renew(writing, old).await?;
            Some(old)
        }
    };
    sqlx::query("INSERT INTO agent_tokens (hash, agent_id, created_at, replaces) VALUES ($1, $2, $3, $4)")
        .bind(hash(&token))
        .bind(agent.as_str())
        .bind(micros(now))
        .bind(replaces)
        .execute(writing)
        .await?;
    Ok(token)
}

/// Ends all tokens of an agent whose row is locked.
pub(super) async fn end_all(writing: &mut AnyConnection, agent: &AgentId) -> Result<(), FleetError> {
    sqlx::query("DELETE FROM agent_tokens WHERE agent_id = $1")
        .bind(agent.as_str())
        .execute(writing)
        .await?;
    Ok(())
}

/// Makes way for another token instead of the one of hash `old`. One given for it before and never used was lost on the way, and ends
/// now. The old one does not: whoever waits for the new one may be away for longer than anybody thinks, and has nothing else.
async fn renew(writing: &mut AnyConnection, old: &str) -> Result<(), FleetError> {
    // with an end it was exchanged already: each token has one successor at most, so that nobody makes any number of them
    let known = sqlx::query("SELECT hash FROM agent_tokens WHERE hash = $1 AND ends_at IS NULL")
        .bind(old)
        .fetch_optional(&mut *writing)
        .await?;
    if known.is_none() {
        return Err(ended());
    }
    sqlx::query("DELETE FROM agent_tokens WHERE replaces = $1 AND used_at IS NULL")
        .bind(old)
        .execute(writing)
        .await?;
    Ok(())
}

fn ended() -> FleetError {
    FleetError::Denied("this token has ended; register again".to_owned())
}

impl Fleet {
    /// Whose token this is; `None`: nobody's, or no longer good. From the first use of a rotated token on the one before is
    /// good for the overlap only.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn admit(&self, token: &str, now: Timestamp) -> Result<Option<AgentPass>, FleetError> {
        let select = "SELECT t.used_at, a.id, a.name, a.site_name, a.tags, a.approved, a.status, a.boot_id \
                      FROM agent_tokens t JOIN agents a ON a.id = t.agent_id \
                      WHERE t.hash = $1 AND a.is_active = 1 AND (t.ends_at IS NULL OR t.ends_at > $2)";
        let hash = hash(token);
        let found = sqlx::query(select)
            .bind(&hash)
            .bind(micros(now))
            .fetch_optional(self.database().gate())
            .await?;
        let Some(row) = found else { return Ok(None) };
        let id: String = row.try_get("id")?;
        let pass = AgentPass {
            agent_id: id.parse().map_err(|_| FleetError::Corrupt(format!("agent `{id}`")))?,
            name: row.try_get("name")?,
            site_name: row.try_get("site_name")?,
            tags: from_json(row.try_get("tags")?, "tags")?,
            approved: row.try_get::<i64, _>("approved")? != 0,
            token: hash,
            status: status(row.try_get("status")?)?,
            boot_id: row.try_get("boot_id")?,
        };
        let is_first_use = row.try_get::<Option<i64>, _>("used_at")?.is_none();
        if is_first_use && !self.use_first(&pass, now).await? {
            return Ok(None);
        }
        Ok(Some(pass))
    }

    /// Notes the first use of a token; the one it replaces ends an overlap later. False: it has ended meanwhile.
    async fn use_first(&self, pass: &AgentPass, now: Timestamp) -> Result<bool, FleetError> {
        let mut writing = self.database().write().await?;
        if !lock(&mut writing, &pass.agent_id).await? {
            return Ok(false);
        }
        let used = "UPDATE agent_tokens SET used_at = COALESCE(used_at, $1) WHERE hash = $2 RETURNING replaces";
        let used = sqlx::query(used).bind(micros(now)).bind(&pass.token);
        let Some(row) = used.fetch_optional(&mut *writing).await? else {
            return Ok(false);
        };
        if let Some(replaced) = row.try_get::<Option<String>, _>("replaces")? {
            let until = micros(now).saturating_add(micros_of(self.settings().rotation_overlap));
            // whoever used it at the same time has set the end already
            sqlx::query("UPDATE agent_tokens SET ends_at = $1 WHERE hash = $2 AND ends_at IS NULL")
                .bind(until)
                .bind(replaced)
                .execute(&mut *writing)
                .await?;
        }
        writing.commit().await?;
        Ok(true)
    }

    /// Gives an agent a new token. The one it came with stays good until the new one is used, and for the overlap after that.
    ///
    /// # Errors
    /// The one it came with has ended or was exchanged before; the database cannot be used.
    pub async fn rotate_token(&self, agent: &AgentPass, now: Timestamp) -> Result<Outcome<TokenRotated>, FleetError> {
        let mut writing = self.database().write().await?;
        if !lock(&mut writing, &agent.agent_id).await? {
            return Err(ended());
        }
        let token = issue(&mut writing, &agent.agent_id, Before::Overlap(&agent.token), now).await?;
        writing.commit().await?;
        let event = event(
            "AGENT_TOKEN_ROTATED",
            format!("agent {} has a new token", agent.name),
            json!({"agent_id": agent.agent_id, "name": agent.name, "site_name": agent.site_name}),
            now,
        );
        let overlap = self.settings().rotation_overlap.as_secs();
        let answer = TokenRotated {
            status: "rotated".to_owned(),
            agent_id: agent.agent_id.clone(),
            token,
            message: format!("the token before is good until this one is used, and for {overlap} s after that"),
        };
        Ok(Outcome::told(answer, event))
    }
}

/// Sees to it that a pass is worth what it was when it was given: its token may have ended and its agent been deregistered since.
/// For whoever writes in its name, before anything else and in the same transaction.
pub(crate) async fn hold_to(writing: &mut AnyConnection, agent: &AgentPass, now: Timestamp) -> Result<(), FleetError> {
    let select = "SELECT a.approved FROM agent_tokens t JOIN agents a ON a.id = t.agent_id \
                  WHERE t.hash = $1 AND a.is_active = 1 AND (t.ends_at IS NULL OR t.ends_at > $2)";
    let approved: Option<i64> = sqlx::query_scalar(select)
        .bind(&agent.token)
        .bind(micros(now))
        .fetch_optional(writing)
        .await?;
    match approved {
        None => Err(ended()),
        Some(0) if agent.approved => Err(FleetError::Forbidden(format!(
            "agent {} waits for approval again",
            agent.agent_id
        ))),
        Some(_) => Ok(()),
    }
}

/// Locks the row of an agent that has shown a token. False: it is not active.
async fn lock(writing: &mut Transaction<'static, Any>, agent: &AgentId) -> Result<bool, FleetError> {
    let locked = sqlx::query("UPDATE agents SET token_used = 1 WHERE id = $1 AND is_active = 1")
        .bind(agent.as_str())
        .execute(&mut **writing)
        .await?;
    Ok(locked.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_random_and_their_hashes_are_sha_256() {
        let (one, other) = (mint(), mint());
        assert_ne!(one, other);
        assert_eq!(URL_SAFE_NO_PAD.decode(one).unwrap().len(), 32);
        // FIPS 180-2, appendix B.1
        assert_eq!(
            hash("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
