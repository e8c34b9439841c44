//! Who is let in, and as whom.

use std::time::Duration;

use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use venom_protocol::{AgentId, EnrolmentView, Event, RegisterAgent, Registered, Timestamp};

use super::boots::{self, Boots, Heard, clone_suspected, is_within};
use super::enrolments::{count_use, opened_by};
use super::newcomer::Newcomer;
use super::tokens::{Before, issue};
use super::{Admission, AgentPass, DOOR};
use crate::database::{micros, timestamp};
use crate::fleet::event;
use crate::stored::{json as to_json, unsigned};
use crate::{Fleet, FleetError, Outcome};

/// For so long an agent that brings no id and has not used its token is taken to have lost the reply when it registers again.
const LOST_REPLY: Duration = Duration::from_secs(600);

/// What is read of an agent that is known, beside its runs.
const COLUMNS: &str = "id, name, site_name, location, enrolment_id, is_active, approved, token_used, renewed_at";

/// An agent that is known.
struct Known {
    id: AgentId,
    name: String,
    site_name: String,
    location: Option<String>,
    enrolment_id: Option<String>,
    is_active: bool,
    approved: bool,
    token_used: bool,
    renewed_at: Timestamp,
    boots: Boots,
}

/// As what somebody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// As one more agent.
    New,
    /// As an agent that was deregistered.
    Again,
    /// As the agent that it has just become: the reply to that was lost.
    Retry,
    /// As the agent that it is.
    Update,
}

/// Why somebody is let in.
enum Door<'a> {
    Shared,
    Enrolment(Box<EnrolmentView>),
    Own(&'a AgentPass),
}

impl Fleet {
    /// Lets somebody in, as `how` allows, and gives it a token of its own.
    ///
    /// An enrolment token lets in as many agents as it is good for; one that comes again with the same id before it used its token
    /// (without an id: the same name within ten minutes) lost the reply, and is not counted again. The shared token lets in whoever
    /// has it, also as an agent that is known, but not as one that enrolled. An agent's own token is replaced as by a rotation.
    ///
    /// # Errors
    /// The token does not allow it, the agent says too much of itself, there are too many agents; the database cannot be used.
    pub async fn register(
        &self,
        ask: RegisterAgent,
        how: Admission<'_>,
        now: Timestamp,
    ) -> Result<Outcome<Registered>, FleetError> {
        let newcomer = Newcomer::new(ask, self.settings())?;
        if let Admission::Enrolment(token) = how {
            // whoever guesses does not get as far as the door, at which all others wait
            opened_by(&mut *self.database().gate().acquire().await?, token, now).await?;
        }
        let mut writing = self.database().write_alone(DOOR).await?;
        let door = match how {
            Admission::Shared => Door::Shared,
            Admission::Enrolment(token) => Door::Enrolment(Box::new(opened_by(&mut writing, token, now).await?)),
            Admission::Agent(pass) => Door::Own(pass),
        };
        let known = find(&mut writing, &newcomer, &door, now).await?;
        let entry = decide(&newcomer, &door, known.as_ref())?;
        if matches!(entry, Entry::New | Entry::Again) {
            if let Door::Enrolment(enrolment) = &door {
                count_use(&mut writing, enrolment).await?;
            }
            self.make_room(&mut writing).await?;
        }
        let mut agent = known.unwrap_or_else(|| stranger(&newcomer, now));
        agent.becomes(&newcomer, &door, entry);
        let within = self.settings().offline_after;
        let boot = newcomer.boot_id.as_ref();
        let heard = boot.map_or(Heard::Current, |boot| agent.boots.hear(boot, now, within));
        if entry == Entry::New {
            agent.insert(&mut writing, &newcomer, &door, now).await?;
        } else {
            agent
                .update(&mut writing, &newcomer, &door, (entry, heard), now)
                .await?;
        }
        let before = match (&door, entry) {
            (Door::Own(pass), _) => Before::Overlap(&pass.token),
            (_, Entry::Update) => Before::Stay,
            _ => Before::End,
        };
        let token = issue(&mut writing, &agent.id, before, now).await?;
        writing.commit().await?;
        let mut events = vec![agent.told(&door, entry, now)];
        if heard == Heard::Clone {
            events.push(clone_suspected(&agent.id, &agent.name, &agent.site_name, now));
        }
        let answer = agent.answer(token);
        Ok(Outcome { answer, events })
    }

    async fn make_room(&self, writing: &mut AnyConnection) -> Result<(), FleetError> {
        let count = "SELECT COUNT(*) FROM agents WHERE is_active = 1";
        let count: i64 = sqlx::query_scalar(count).fetch_one(writing).await?;
        let most = self.settings().max_agents;
        if unsigned(count) < most {
            return Ok(());
        }
        Err(FleetError::Full(format!(
            "there are {most} agents already; deregister those that are gone"
        )))
    }
}

/// The agent that somebody may be, its row locked: an operator may be about to deregister or approve it.
async fn find(
    writing: &mut AnyConnection,
    newcomer: &Newcomer,
    door: &Door<'_>,
    now: Timestamp,
) -> Result<Option<Known>, FleetError> {
    let own = if let Door::Own(pass) = door {
        Some(&pass.agent_id)
    } else {
        None
    };
    let row = if let Some(id) = own.or(newcomer.id.as_ref()) {
        let lock = format!(
            "UPDATE agents SET is_active = is_active WHERE id = $1 RETURNING {COLUMNS}, {}",
            boots::COLUMNS
        );
        let lock = sqlx::query(sqlx::AssertSqlSafe(lock)).bind(id.as_str().to_owned());
        lock.fetch_optional(writing).await?
    } else {
        let (site, enrolment) = match door {
            Door::Enrolment(enrolment) => (enrolment.site_name.as_str(), enrolment.id.as_str()),
            Door::Shared | Door::Own(_) => (newcomer.own_site(), ""),
        };
        // what is said twice may have changed until the row is locked
        let lock = format!(
            "UPDATE agents SET is_active = is_active WHERE id = (SELECT id FROM agents WHERE site_name = $1 AND name = $2 \
             AND COALESCE(enrolment_id, '') = $3 AND is_given_id = 1 AND is_active = 1 AND token_used = 0 \
             ORDER BY renewed_at DESC LIMIT 1) AND is_active = 1 AND token_used = 0 RETURNING {COLUMNS}, {}",
            boots::COLUMNS
        );
        let lock = sqlx::query(sqlx::AssertSqlSafe(lock)).bind(site.to_owned());
        let lock = lock
            .bind(newcomer.name.clone().unwrap_or_default())
            .bind(enrolment.to_owned());
        lock.fetch_optional(writing).await?
    };
    let known = row.as_ref().map(known).transpose()?;
    let is_recent = |known: &Known| is_within(known.renewed_at, now, LOST_REPLY);
    Ok(known.filter(|known| own.is_some() || newcomer.id.is_some() || is_recent(known)))
}

/// As what somebody is let in, if at all. Whether an enrolment has uses left is not looked at.
fn decide(newcomer: &Newcomer, door: &Door<'_>, known: Option<&Known>) -> Result<Entry, FleetError> {
    let denied = |text: String| Err(FleetError::Denied(text));
    match (door, known) {
        (Door::Own(pass), _) if newcomer.id.as_ref().is_some_and(|id| *id != pass.agent_id) => {
            Err(FleetError::Forbidden(format!(
                "this is the token of agent {}; it cannot register another",
                pass.agent_id
            )))
        }
        (Door::Own(pass), None) => denied(format!("there is no agent {} any more", pass.agent_id)),
        (Door::Own(_), Some(known)) if !known.is_active => denied(format!("agent {} was deregistered", known.id)),
        (Door::Own(_), Some(_)) => Ok(Entry::Update),
        (_, None) => Ok(Entry::New),
        (Door::Shared, Some(known)) if known.enrolment_id.is_some() => denied(format!(
            "agent {} enrolled with a token of its own, so the shared one does not open for it; it needs its token or a new enrolment",
            known.id
        )),
        (Door::Shared, Some(known)) if !known.is_active => Ok(Entry::Again),
        (Door::Shared, Some(_)) if newcomer.id.is_none() => Ok(Entry::Retry),
        (Door::Shared, Some(_)) => Ok(Entry::Update),
        (Door::Enrolment(_), Some(known)) if !known.is_active => Ok(Entry::Again),
        (Door::Enrolment(enrolment), Some(known)) => {
            let is_same = known.enrolment_id.as_deref() == Some(enrolment.id.as_str());
            if is_same && !known.token_used {
                return Ok(Entry::Retry);
            }
            denied(format!(
                "there is an agent {} already; deregister it before another machine enrols as it",
                known.id
            ))
        }
    }
}

/// An agent nobody has heard of.
fn stranger(newcomer: &Newcomer, now: Timestamp) -> Known {
    let id = newcomer.id.clone().unwrap_or_else(AgentId::random);
    Known {
        name: newcomer.name.clone().unwrap_or_else(|| id.to_string()),
        site_name: newcomer.own_site().to_owned(),
        id,
        location: None,
        enrolment_id: None,
        is_active: true,
        approved: true,
        token_used: false,
        renewed_at: now,
        boots: Boots::default(),
    }
}

impl Known {
    /// Takes over what is said of it, by itself and by what let it in.
    fn becomes(&mut self, newcomer: &Newcomer, door: &Door<'_>, entry: Entry) {
        if let Some(name) = &newcomer.name {
            self.name.clone_from(name);
        }
        self.location = newcomer.location.clone().or_else(|| self.location.take());
        match door {
            Door::Enrolment(enrolment) => {
                self.site_name.clone_from(&enrolment.site_name);
                self.location = self.location.take().or_else(|| enrolment.location.clone());
                // an operator may have approved it while the reply was lost
                self.approved = !enrolment.approval || (self.approved && entry == Entry::Retry);
                self.enrolment_id = Some(enrolment.id.clone());
            }
            // whoever has the shared token says where it is; an agent's own opens for the site it was given for
            Door::Shared => {
                if let Some(site) = &newcomer.site_name {
                    self.site_name.clone_from(site);
                }
            }
            Door::Own(_) => {}
        }
    }

    async fn insert(
        &self,
        writing: &mut AnyConnection,
        newcomer: &Newcomer,
        door: &Door<'_>,
        now: Timestamp,
    ) -> Result<(), FleetError> {
        let insert = "INSERT INTO agents (id, name, site_name, location, hostname, version, subnets, capabilities, metadata, tags,                       enrolment_id, approved, is_given_id, is_active, token_used, status, registered_at, renewed_at, boot_id,                       boot_seen, boots) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, 0, 'pending', $14, $14,                       $15, $16, '[]')";
        sqlx::query(insert)
            .bind(self.id.as_str())
            .bind(&self.name)
            .bind(&self.site_name)
            .bind(&self.location)
            .bind(&newcomer.hostname)
            .bind(&newcomer.version)
            .bind(newcomer.subnets.as_deref().unwrap_or("[]"))
            .bind(newcomer.capabilities.as_deref().unwrap_or("[]"))
            .bind(newcomer.metadata.as_deref().unwrap_or("{}"))
            .bind(tags(door)?.unwrap_or_else(|| "[]".to_owned()))
            .bind(&self.enrolment_id)
            .bind(i64::from(self.approved))
            .bind(i64::from(newcomer.id.is_none()))
            .bind(micros(now))
            .bind(&self.boots.current)
            .bind(self.boots.seen.map(micros))
            .execute(writing)
            .await?;
        Ok(())
    }

    async fn update(
        &self,
        writing: &mut AnyConnection,
        newcomer: &Newcomer,
        door: &Door<'_>,
        (entry, heard): (Entry, Heard),
        now: Timestamp,
    ) -> Result<(), FleetError> {
        // whoever lost a reply has not shown a token; it may have until now
        let (set, only) = match entry {
            Entry::Retry => ("", " AND token_used = 0"),
            Entry::Again => (", status = 'pending', token_used = 0", ""),
            Entry::New | Entry::Update => ("", ""),
        };
        let update = format!(
            "UPDATE agents SET name = $1, site_name = $2, location = $3, hostname = COALESCE($4, hostname),              version = COALESCE($5, version), subnets = COALESCE($6, subnets), capabilities = COALESCE($7, capabilities),              metadata = COALESCE($8, metadata), tags = COALESCE($9, tags), enrolment_id = $10, approved = $11, is_active = 1,              renewed_at = $12, boot_id = $13, boot_seen = $14, boots = $15, clone_told_at = $16,              clone_suspected_at = COALESCE($17, clone_suspected_at){set} WHERE id = $18{only}"
        );
        let updated = sqlx::query(sqlx::AssertSqlSafe(update))
            .bind(&self.name)
            .bind(&self.site_name)
            .bind(&self.location)
            .bind(&newcomer.hostname)
            .bind(&newcomer.version)
            .bind(&newcomer.subnets)
            .bind(&newcomer.capabilities)
            .bind(&newcomer.metadata)
            .bind(tags(door)?)
            .bind(&self.enrolment_id)
            .bind(i64::from(self.approved))
            .bind(micros(now))
            .bind(&self.boots.current)
            .bind(self.boots.seen.map(micros))
            .bind(to_json(&self.boots.superseded)?)
            .bind(self.boots.told.map(micros))
            .bind((heard != Heard::Current).then(|| micros(now)))
            .bind(self.id.as_str())
            .execute(writing)
            .await?;
        if updated.rows_affected() == 1 {
            return Ok(());
        }
        Err(FleetError::Denied(format!(
            "agent {} has its token in use already",
            self.id
        )))
    }

    fn told(&self, door: &Door<'_>, entry: Entry, now: Timestamp) -> Event {
        let (by, enrolment) = match door {
            Door::Shared => ("shared", None),
            Door::Enrolment(enrolment) => ("enrolment", Some(&enrolment.id)),
            Door::Own(_) => ("own", None),
        };
        let is_known = matches!(entry, Entry::Retry | Entry::Update);
        let data = json!({
            "agent_id": self.id, "name": self.name, "site_name": self.site_name, "by": by, "enrolment_id": enrolment,
            "approved": self.approved, "known": is_known,
        });
        let again = if is_known { " again" } else { "" };
        let waits = if self.approved { "" } else { " and waits for approval" };
        let message = format!("agent {} of {} registered{again}{waits}", self.name, self.site_name);
        event("AGENT_REGISTERED", message, data, now)
    }

    fn answer(self, token: String) -> Registered {
        let message = if self.approved {
            format!("registered as {} of {}", self.name, self.site_name)
        } else {
            "registered; an operator must approve this agent before anything it sends is taken in".to_owned()
        };
        Registered {
            status: "registered".to_owned(),
            agent_id: self.id,
            token,
            message,
            assigned_tasks: Vec::new(),
            approved: self.approved,
            site_name: self.site_name,
        }
    }
}

/// The tags that who is let in gets; `None`: those it has.
fn tags(door: &Door<'_>) -> Result<Option<String>, FleetError> {
    match door {
        Door::Enrolment(enrolment) => to_json(&enrolment.tags).map(Some),
        Door::Shared | Door::Own(_) => Ok(None),
    }
}

fn known(row: &AnyRow) -> Result<Known, FleetError> {
    let id: String = row.try_get("id")?;
    let flag = |column: &str| -> Result<bool, FleetError> { Ok(row.try_get::<i64, _>(column)? != 0) };
    Ok(Known {
        id: id.parse().map_err(|_| FleetError::Corrupt(format!("agent `{id}`")))?,
        name: row.try_get("name")?,
        site_name: row.try_get("site_name")?,
        location: row.try_get("location")?,
        enrolment_id: row.try_get("enrolment_id")?,
        is_active: flag("is_active")?,
        approved: flag("approved")?,
        token_used: flag("token_used")?,
        renewed_at: timestamp(row.try_get("renewed_at")?)?,
        boots: Boots::read(row)?,
    })
}
