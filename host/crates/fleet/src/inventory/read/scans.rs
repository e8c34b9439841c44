//! Scans, newest first.

use venom_protocol::{AgentId, Page, ScanView};

use super::Listing;
use crate::database::micros;
use crate::inventory::store::{Columns, Statement};
use crate::{Fleet, FleetError, cursor};

/// Which scans are asked for.
#[derive(Debug, Clone, Default)]
pub struct ScanQuery {
    /// Of this site.
    pub site: Option<String>,
    /// By this agent.
    pub agent_id: Option<AgentId>,
    /// `discovery` or `shield`; both when absent.
    pub kind: Option<String>,
    /// On one page: 1,000, at most 5,000.
    pub limit: Option<u32>,
    /// Where the page begins.
    pub cursor: Option<String>,
}

impl Fleet {
    /// Scans, those that came last first.
    ///
    /// # Errors
    /// The cursor is none of this list, or the database failed.
    pub async fn scans(&self, ask: ScanQuery) -> Result<Page<ScanView>, FleetError> {
        let after = ask.cursor.as_deref().map(cursor::decode::<(i64, String)>).transpose()?;
        let matching = |statement: Statement| {
            statement
                .then(" FROM scans WHERE 1 = 1")
                .and_text("site_name = ", ask.site.as_deref())
                .and_text("agent_id = ", ask.agent_id.as_ref().map(AgentId::as_str))
                .and_text("kind = ", ask.kind.as_deref())
        };
        let later = |statement: Statement| {
            let (at, id) = after.clone().unwrap_or_default();
            statement
                .then(" AND (received_at, id) < (")
                .value(at)
                .then(", ")
                .text(&id)
                .then(")")
        };
        let listing = Listing {
            columns: (
                "id, kind, site_name, network, agent_id, target, method, started_at, completed_at, received_at, items, is_late",
                "",
            ),
            matching: &matching,
            after: after
                .is_some()
                .then_some(&later as &(dyn Fn(Statement) -> Statement + Sync)),
            order: " ORDER BY received_at DESC, id DESC",
            limit: ask.limit,
            read,
        };
        listing
            .page(self.database().read(), |scan| {
                (micros(scan.received_at), scan.id.clone())
            })
            .await
    }
}

fn read(columns: &mut Columns<'_>) -> Result<ScanView, FleetError> {
    Ok(ScanView {
        id: columns.text()?,
        kind: columns.text()?,
        site_name: columns.text()?,
        network: columns.text()?,
        agent_id: columns.parsed()?,
        target: columns.text()?,
        method: columns.text()?,
        started_at: columns.time()?,
        completed_at: columns.maybe_time()?,
        received_at: columns.time()?,
        count: columns.count()?,
        late: columns.flag()?,
    })
}
