//! Agents, for operators.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;
use venom_protocol::{AgentId, AgentList, AgentStatus, AgentView, Timestamp};

use super::status;
use crate::database::timestamp;
use crate::stored::{from_json, signed, unsigned};
use crate::{Fleet, FleetError, cursor};

/// What is read of an agent.
const COLUMNS: &str = "id, name, site_name, location, is_active, registered_at, last_seen, status, version, subnets, current_network, \
                       tags, hostname, approved, clone_suspected_at, outbox, capabilities, metadata";
/// Which agents: `$1` site, `$2` status, empty for any.
const WHICH: &str = "($1 = '' OR site_name = $1) AND ($2 = '' OR status = $2)";
/// Agents whose version nobody knows are counted under this.
const NO_VERSION: &str = "unknown";

/// Which agents to list.
#[derive(Debug, Clone, Default)]
pub struct AgentQuery {
    /// Those of this site.
    pub site: Option<String>,
    /// Those that stand there.
    pub status: Option<AgentStatus>,
    /// So many (1,000; at most 5,000).
    pub limit: Option<u32>,
    /// Those after the page that ended with this.
    pub cursor: Option<String>,
}

impl Fleet {
    /// Agents by name, then id, those that were deregistered too. Where they stand is what [`Fleet::tick`] told last.
    ///
    /// # Errors
    /// The cursor is none of this list; the database cannot be used.
    pub async fn agents(&self, ask: AgentQuery) -> Result<AgentList, FleetError> {
        let site = ask.site.unwrap_or_default().replace('\0', "");
        let status = ask.status.map_or("", AgentStatus::as_str);
        let after: Option<(String, String)> = ask.cursor.as_deref().map(cursor::decode).transpose()?;
        let (name, id) = after.clone().unwrap_or_default();
        let size = cursor::size(ask.limit);
        let count = format!("SELECT COUNT(*) FROM agents WHERE {WHICH}");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).bind(&site).bind(status);
        let total: i64 = count.fetch_one(self.database().read()).await?;
        let select = format!(
            "SELECT {COLUMNS} FROM agents WHERE {WHICH} AND ($3 = 0 OR (name, id) > ($4, $5)) ORDER BY name, id LIMIT $6"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(select))
            .bind(&site)
            .bind(status)
            .bind(i64::from(after.is_some()))
            .bind(name.replace('\0', ""))
            .bind(id.replace('\0', ""))
            .bind(signed(size as u64 + 1))
            .fetch_all(self.database().read())
            .await?;
        let mut agents = rows.iter().map(|row| self.view(row)).collect::<Result<Vec<_>, _>>()?;
        let next_cursor = cursor::cut(&mut agents, size, |agent| (agent.name.clone(), agent.id.clone()))?;
        Ok(AgentList {
            agents,
            total: unsigned(total),
            next_cursor,
        })
    }

    /// One agent.
    ///
    /// # Errors
    /// There is none of that id; the database cannot be used.
    pub async fn agent(&self, id: &AgentId) -> Result<AgentView, FleetError> {
        let select = format!("SELECT {COLUMNS} FROM agents WHERE id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(select)).bind(id.as_str().to_owned());
        let row = row.fetch_optional(self.database().read()).await?;
        self.view(&row.ok_or_else(|| unknown(id))?)
    }

    /// How many agents there are of each version; those that were deregistered do not count.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn agent_versions(&self) -> Result<BTreeMap<String, u64>, FleetError> {
        let select = "SELECT COALESCE(version, $1), COUNT(*) FROM agents WHERE is_active = 1 GROUP BY 1";
        let rows: Vec<(String, i64)> = sqlx::query_as(select)
            .bind(NO_VERSION)
            .fetch_all(self.database().read())
            .await?;
        Ok(rows
            .into_iter()
            .map(|(version, count)| (version, unsigned(count)))
            .collect())
    }

    /// An agent as it was written down, and what it said since.
    fn view(&self, row: &AnyRow) -> Result<AgentView, FleetError> {
        let id: String = row.try_get("id")?;
        let time = |column: &str| -> Result<Option<Timestamp>, FleetError> {
            row.try_get::<Option<i64>, _>(column)?.map(timestamp).transpose()
        };
        let flag = |column: &str| -> Result<bool, FleetError> { Ok(row.try_get::<i64, _>(column)? != 0) };
        let outbox: Option<String> = row.try_get("outbox")?;
        let mut view = AgentView {
            id: id.parse().map_err(|_| FleetError::Corrupt(format!("agent `{id}`")))?,
            name: row.try_get("name")?,
            site_name: row.try_get("site_name")?,
            location: row.try_get("location")?,
            is_active: flag("is_active")?,
            registered_at: timestamp(row.try_get("registered_at")?)?,
            last_seen: time("last_seen")?,
            status: status(row.try_get("status")?)?,
            version: row.try_get("version")?,
            subnets: from_json(row.try_get("subnets")?, "subnets")?,
            current_network: row.try_get("current_network")?,
            tags: from_json(row.try_get("tags")?, "tags")?,
            hostname: row.try_get("hostname")?,
            approved: flag("approved")?,
            clone_suspected_at: time("clone_suspected_at")?,
            outbox: outbox.map(|outbox| from_json(&outbox, "outbox")).transpose()?,
            capabilities: from_json(row.try_get("capabilities")?, "capabilities")?,
            metadata: from_json(row.try_get("metadata")?, "metadata")?,
        };
        if let Some(pulse) = self.pulses().of(&view.id).filter(|_| view.is_active) {
            view.last_seen = view.last_seen.max(Some(pulse.last_seen));
            view.version = pulse.version.or(view.version);
            view.outbox = pulse.outbox.or(view.outbox);
            if let Some(subnets) = pulse.subnets {
                view.subnets = from_json(&subnets, "subnets")?;
            }
        }
        Ok(view)
    }
}

/// There is no such agent.
pub(super) fn unknown(id: &AgentId) -> FleetError {
    FleetError::Unknown(format!("there is no agent `{id}`"))
}
