//! Changes, newest first.

use venom_protocol::{ChangeKind, ChangeView, Page, Timestamp};

use super::Listing;
use crate::database::micros;
use crate::inventory::store::{Columns, Statement};
use crate::{Fleet, FleetError, cursor};

/// Which changes are asked for.
#[derive(Debug, Clone, Default)]
pub struct ChangeQuery {
    /// Of this site.
    pub site: Option<String>,
    /// Of this thing.
    pub asset_id: Option<String>,
    /// Of this kind.
    pub kind: Option<ChangeKind>,
    /// Heard of at this time or later.
    pub since: Option<Timestamp>,
    /// On one page: 1,000, at most 5,000.
    pub limit: Option<u32>,
    /// Where the page begins.
    pub cursor: Option<String>,
}

const KINDS: [ChangeKind; 9] = [
    ChangeKind::New,
    ChangeKind::Gone,
    ChangeKind::Returned,
    ChangeKind::IpChanged,
    ChangeKind::PortOpened,
    ChangeKind::PortClosed,
    ChangeKind::ServiceChanged,
    ChangeKind::HostnameChanged,
    ChangeKind::CertificateChanged,
];

impl Fleet {
    /// Changes, newest first.
    ///
    /// # Errors
    /// The cursor is none of this list, or the database failed.
    pub async fn changes(&self, ask: ChangeQuery) -> Result<Page<ChangeView>, FleetError> {
        let after = ask.cursor.as_deref().map(cursor::decode::<(i64, String)>).transpose()?;
        let matching = |statement: Statement| {
            statement
                .then(" FROM changes WHERE 1 = 1")
                .and_text("site_name = ", ask.site.as_deref())
                .and_text("asset_id = ", ask.asset_id.as_deref())
                .and_text("kind = ", ask.kind.map(ChangeKind::as_str))
                .and("at >= ", ask.since.map(micros))
        };
        let later = |statement: Statement| {
            let (at, id) = after.clone().unwrap_or_default();
            statement
                .then(" AND (at, id) < (")
                .value(at)
                .then(", ")
                .text(&id)
                .then(")")
        };
        let listing = Listing {
            columns: (
                "id, site_name, network, asset_id, ip, kind, value_before, value_after, scan_id, at",
                "",
            ),
            matching: &matching,
            after: after
                .is_some()
                .then_some(&later as &(dyn Fn(Statement) -> Statement + Sync)),
            order: " ORDER BY at DESC, id DESC",
            limit: ask.limit,
            read,
        };
        listing
            .page(self.database().read(), |change| (micros(change.at), change.id.clone()))
            .await
    }
}

fn read(columns: &mut Columns<'_>) -> Result<ChangeView, FleetError> {
    Ok(ChangeView {
        id: columns.text()?,
        site_name: columns.text()?,
        network: columns.text()?,
        asset_id: columns.text()?,
        ip: columns.text()?,
        kind: kind(&columns.text()?)?,
        before: columns.nullable()?,
        after: columns.nullable()?,
        scan_id: columns.text()?,
        at: columns.time()?,
    })
}

fn kind(text: &str) -> Result<ChangeKind, FleetError> {
    KINDS
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| FleetError::Corrupt(format!("`{text}` is no kind of change")))
}
