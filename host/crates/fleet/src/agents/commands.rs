//! What agents are told to do. They ask for it themselves and say how far they are; a command only goes forward.

use serde_json::{Map, Value, json};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;
use venom_protocol::{
    AgentId, CommandDone, CommandList, CommandSent, CommandStatus, CommandUpdate, CommandView, Event, PendingCommand,
    PendingCommands, SendCommand, Timestamp,
};

use super::{AgentPass, hold_to};
use crate::database::{micros, micros_of, timestamp};
use crate::fleet::event;
use crate::stored::{from_json, json as to_json, unsigned};
use crate::text::{NAME, line, without_nul};
use crate::{Fleet, FleetError, Outcome};

/// Targets of one command.
const MOST_TARGETS: usize = 256;
/// Of a command's name, in bytes.
const LONGEST_TYPE: usize = 64;
/// Of what came of a command, in bytes.
const LONGEST_RESULT: usize = 64 * 1024;
/// Commands in one list at most.
const LISTED: u32 = 1_000;

/// Which commands nobody has fetched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unfetched<'a> {
    /// All that were sent before this.
    SentBefore(i64),
    /// Those of one agent.
    Of(&'a AgentId),
}

impl Fleet {
    /// Leaves a command for an agent. `by`: name of the operator's token.
    ///
    /// # Errors
    /// It makes no sense, there is no such agent, too many wait for it; the database cannot be used.
    pub async fn send_command(
        &self,
        id: &AgentId,
        ask: SendCommand,
        by: &str,
        now: Timestamp,
    ) -> Result<Outcome<CommandSent>, FleetError> {
        let SendCommand {
            command_type,
            targets,
            shield,
        } = checked(ask)?;
        let mut writing = self.database().write().await?;
        let site = self.locked(&mut writing, id).await?;
        let waiting = self.waiting(&mut writing, id, now).await?;
        let most = self.settings().max_pending_commands;
        if waiting >= i64::from(most) {
            return Err(FleetError::Full(format!(
                "{most} commands wait for agent {id} already; is it there?"
            )));
        }
        let command_id = Uuid::now_v7().hyphenated().to_string();
        let insert = "INSERT INTO commands (id, agent_id, command_type, params, status, created_at, updated_at, created_by) \
                      VALUES ($1, $2, $3, $4, 'pending', $5, $5, $6)";
        sqlx::query(insert)
            .bind(&command_id)
            .bind(id.as_str())
            .bind(&command_type)
            .bind(to_json(&json!({"targets": targets, "shield": shield}))?)
            .bind(micros(now))
            .bind(line(by, NAME))
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        let data = json!({
            "command_id": command_id, "agent_id": id, "site_name": site, "command_type": command_type, "targets": targets,
            "shield": shield, "by": by,
        });
        let event = event(
            "COMMAND_SENT",
            format!("{command_type} for agent {id} by {by}"),
            data,
            now,
        );
        let answer = CommandSent {
            status: "queued".to_owned(),
            command_id,
            agent_id: id.clone(),
            command_type,
            targets,
            shield,
        };
        Ok(Outcome::told(answer, event))
    }

    /// What waits for an agent, oldest first. It waits until the agent says that it has it. Nothing waits for one that is not approved.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn pending_commands(&self, agent: &AgentPass, now: Timestamp) -> Result<PendingCommands, FleetError> {
        if !agent.approved {
            return Ok(PendingCommands {
                commands: Vec::new(),
                count: 0,
            });
        }
        let select = "SELECT id, command_type, params, created_at FROM commands WHERE agent_id = $1 AND status = 'pending' \
                      AND created_at > $2 ORDER BY created_at, id";
        let rows = sqlx::query(select)
            .bind(agent.agent_id.as_str())
            .bind(self.oldest(now))
            .fetch_all(self.database().read())
            .await?;
        let command = |row: &AnyRow| {
            Ok(PendingCommand {
                id: row.try_get("id")?,
                command_type: row.try_get("command_type")?,
                params: from_json(row.try_get("params")?, "params")?,
                created_at: timestamp(row.try_get("created_at")?)?,
            })
        };
        let commands = rows.iter().map(command).collect::<Result<Vec<_>, FleetError>>()?;
        let count = commands.len() as u64;
        Ok(PendingCommands { commands, count })
    }

    /// How much waits for an agent.
    pub(super) async fn count_pending(&self, agent: &AgentPass, now: Timestamp) -> Result<u64, FleetError> {
        if !agent.approved {
            return Ok(0);
        }
        let mut reading = self.database().gate().acquire().await?;
        self.waiting(&mut reading, &agent.agent_id, now).await.map(unsigned)
    }

    async fn waiting(&self, connection: &mut AnyConnection, id: &AgentId, now: Timestamp) -> Result<i64, FleetError> {
        let count = "SELECT COUNT(*) FROM commands WHERE agent_id = $1 AND status = 'pending' AND created_at > $2";
        let count = sqlx::query_scalar(count).bind(id.as_str()).bind(self.oldest(now));
        Ok(count.fetch_one(connection).await?)
    }

    /// Commands sent no later than this have had their time.
    fn oldest(&self, now: Timestamp) -> i64 {
        micros(now).saturating_sub(micros_of(self.settings().command_lifetime))
    }

    /// An agent says how far it is. The same again is no mistake: the answer was lost.
    ///
    /// # Errors
    /// The command is another agent's, there is none of that id, it would go backward, the result is too long; the agent is not
    /// approved; the database cannot be used.
    pub async fn update_command(
        &self,
        agent: &AgentPass,
        id: &str,
        ask: CommandUpdate,
        now: Timestamp,
    ) -> Result<Outcome<CommandDone>, FleetError> {
        let (id, after) = (without_nul(id), ask.status);
        let id = id.as_str();
        if after == CommandStatus::Pending {
            let text = "`status` is `pending`: a command is that before the agent has it; say ack, running, completed or failed";
            return Err(FleetError::Invalid(text.to_owned()));
        }
        let result = ask.result.as_ref().map(to_json).transpose()?;
        if let Some(length) = result
            .as_ref()
            .map(String::len)
            .filter(|length| *length > LONGEST_RESULT)
        {
            return Err(FleetError::Invalid(format!(
                "`result` is {length} bytes: at most {LONGEST_RESULT}"
            )));
        }
        if !agent.approved {
            return Err(FleetError::Forbidden(format!(
                "agent {} waits for approval",
                agent.agent_id
            )));
        }
        let answer = CommandDone {
            status: "ok".to_owned(),
            command_id: id.to_owned(),
            command_status: after,
        };
        let mut writing = self.database().write().await?;
        hold_to(&mut writing, agent, now).await?;
        // changes nothing and locks the row
        let lock =
            sqlx::query("UPDATE commands SET status = status WHERE id = $1 RETURNING agent_id, command_type, status");
        let row = lock.bind(id).fetch_optional(&mut *writing).await?;
        let Some(row) = row else {
            return Err(FleetError::Unknown(format!("there is no command `{}`", line(id, NAME))));
        };
        if row.try_get::<String, _>("agent_id")? != agent.agent_id.as_str() {
            return Err(FleetError::Forbidden(format!("command {id} is another agent's")));
        }
        let before = status(row.try_get("status")?)?;
        if before == after {
            return Ok(Outcome::quiet(answer));
        }
        if before.is_final() || after < before {
            let (before, after) = (before.as_str(), after.as_str());
            return Err(FleetError::Conflict(format!(
                "command {id} is {before} and cannot become {after}"
            )));
        }
        sqlx::query("UPDATE commands SET status = $1, result = COALESCE($2, result), updated_at = $3 WHERE id = $4")
            .bind(after.as_str())
            .bind(result)
            .bind(micros(now))
            .bind(id)
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        let command_type: String = row.try_get("command_type")?;
        let command = (id, command_type.as_str());
        let event = updated(command, agent.agent_id.as_str(), &agent.site_name, after, now);
        Ok(Outcome::told(answer, event))
    }

    /// Commands of an agent, newest first.
    ///
    /// # Errors
    /// There is no such agent; the database cannot be used.
    pub async fn commands(
        &self,
        id: &AgentId,
        status: Option<CommandStatus>,
        limit: u32,
    ) -> Result<CommandList, FleetError> {
        self.agent(id).await?;
        let select = "SELECT id, command_type, params, status, result, created_at, updated_at, created_by FROM commands \
                      WHERE agent_id = $1 AND ($2 = '' OR status = $2) ORDER BY created_at DESC, id DESC LIMIT $3";
        let rows = sqlx::query(select)
            .bind(id.as_str())
            .bind(status.map_or("", CommandStatus::as_str))
            .bind(i64::from(limit.clamp(1, LISTED)))
            .fetch_all(self.database().read())
            .await?;
        let commands = rows.iter().map(|row| view(id, row)).collect::<Result<Vec<_>, _>>()?;
        let count = commands.len() as u64;
        Ok(CommandList { commands, count })
    }
}

/// Ends commands that nobody has fetched.
pub(super) async fn fail_unfetched(
    writing: &mut AnyConnection,
    which: Unfetched<'_>,
    why: &str,
    now: Timestamp,
) -> Result<Vec<Event>, FleetError> {
    let fail = match which {
        Unfetched::SentBefore(_) => {
            "UPDATE commands SET status = 'failed', result = $1, updated_at = $2 WHERE status = 'pending' AND created_at <= $3 \
             RETURNING id, command_type, agent_id, (SELECT site_name FROM agents WHERE agents.id = commands.agent_id) AS site_name"
        }
        Unfetched::Of(_) => {
            "UPDATE commands SET status = 'failed', result = $1, updated_at = $2 WHERE status = 'pending' AND agent_id = $3 \
             RETURNING id, command_type, agent_id, (SELECT site_name FROM agents WHERE agents.id = commands.agent_id) AS site_name"
        }
    };
    let fail = sqlx::query(fail)
        .bind(to_json(&json!({"error": why}))?)
        .bind(micros(now));
    let fail = match which {
        Unfetched::SentBefore(then) => fail.bind(then),
        Unfetched::Of(agent) => fail.bind(agent.as_str().to_owned()),
    };
    let rows = fail.fetch_all(writing).await?;
    let event = |row: &AnyRow| {
        let (id, command_type): (String, String) = (row.try_get("id")?, row.try_get("command_type")?);
        let (agent, site): (String, Option<String>) = (row.try_get("agent_id")?, row.try_get("site_name")?);
        let command = (id.as_str(), command_type.as_str());
        Ok(updated(
            command,
            &agent,
            &site.unwrap_or_default(),
            CommandStatus::Failed,
            now,
        ))
    };
    rows.iter().map(event).collect()
}

fn updated((id, command_type): (&str, &str), agent: &str, site: &str, status: CommandStatus, now: Timestamp) -> Event {
    let data = json!({
        "command_id": id, "agent_id": agent, "site_name": site, "command_type": command_type, "status": status,
    });
    let message = format!("{command_type} of agent {agent} is {}", status.as_str());
    event("COMMAND_UPDATED", message, data, now)
}

fn checked(ask: SendCommand) -> Result<SendCommand, FleetError> {
    let wrong = |text: String| Err(FleetError::Invalid(text));
    let kind = &ask.command_type;
    let is_name = !kind.is_empty()
        && kind
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if !is_name || kind.len() > LONGEST_TYPE {
        let kind = line(kind, LONGEST_TYPE);
        return wrong(format!(
            "`command_type` is `{kind}`: a name such as `scan_now`, at most {LONGEST_TYPE} letters"
        ));
    }
    if ask.targets.len() > MOST_TARGETS {
        return wrong(format!(
            "`targets` has {} entries: at most {MOST_TARGETS}",
            ask.targets.len()
        ));
    }
    if let Some(target) = ask.targets.iter().find(|target| !is_target(target)) {
        let target = line(target, NAME);
        return wrong(format!(
            "`targets` names `{target}`: expected an address, a network such as 192.168.1.0/24, or a host"
        ));
    }
    Ok(ask)
}

/// An address, a network or a name: nothing a shell or a scanner could take for an option.
fn is_target(target: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-:_/".contains(&byte);
    let begins = target
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b':');
    let (address, prefix) = target
        .split_once('/')
        .map_or((target, None), |(address, prefix)| (address, Some(prefix)));
    let is_network = prefix.is_none_or(|prefix| {
        let most = address
            .parse::<std::net::IpAddr>()
            .map(|address| if address.is_ipv4() { 32 } else { 128 });
        most.is_ok_and(|most| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= most))
    });
    begins && target.len() <= NAME && target.bytes().all(fits) && is_network
}

/// What [`CommandStatus::as_str`] wrote.
fn status(text: &str) -> Result<CommandStatus, FleetError> {
    serde_json::from_value(Value::from(text))
        .map_err(|_| FleetError::Corrupt(format!("`{text}` is no command's status")))
}

fn view(agent: &AgentId, row: &AnyRow) -> Result<CommandView, FleetError> {
    let result: Option<String> = row.try_get("result")?;
    let params: Map<String, Value> = from_json(row.try_get("params")?, "params")?;
    Ok(CommandView {
        id: row.try_get("id")?,
        agent_id: agent.clone(),
        command_type: row.try_get("command_type")?,
        params,
        status: status(row.try_get("status")?)?,
        result: result.map(|result| from_json(&result, "result")).transpose()?,
        created_at: timestamp(row.try_get("created_at")?)?,
        updated_at: timestamp(row.try_get("updated_at")?)?,
        created_by: row.try_get("created_by")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_addresses_networks_and_names() {
        for good in [
            "10.0.0.1",
            "192.168.1.0/24",
            "fe80::1",
            "::/0",
            "2001:db8::/32",
            "nas.local",
            "printer-2",
        ] {
            assert!(is_target(good), "{good}");
        }
        for bad in [
            "",
            "-oN",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "nas/24",
            "a b",
            "a;b",
            "$(x)",
            "/24",
            &"a".repeat(256),
        ] {
            assert!(!is_target(bad), "{bad}");
        }
    }
}
