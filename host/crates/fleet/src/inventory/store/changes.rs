//! Changes, written.

use sqlx::{Any, Transaction};
use venom_protocol::Timestamp;

use super::statement::rows_at_once;
use super::{Place, Statement};
use crate::FleetError;
use crate::database::micros;
use crate::inventory::asset::Change;

/// Changes of one batch that are kept. A first look at a site is one for each thing; more is a machine that makes up ports.
pub(crate) const MOST: usize = 5_000;

/// Writes them, each under the id beside it; of very many the first ones.
pub(crate) async fn write(
    writing: &mut Transaction<'static, Any>,
    place: &Place,
    scan_id: &str,
    changes: &[(String, &Change)],
    now: Timestamp,
) -> Result<(), FleetError> {
    const WRITTEN: usize = 10;
    if changes.len() > MOST {
        tracing::warn!(
            scan = scan_id,
            site = place.site,
            changes = changes.len(),
            "of so many changes in one batch the first {MOST} are kept"
        );
    }
    let changes = changes.get(..MOST).unwrap_or(changes);
    for changes in changes.chunks(rows_at_once(WRITTEN)) {
        let mut insert = Statement::new(
            "INSERT INTO changes (id, site_name, network, asset_id, ip, kind, value_before, value_after, scan_id, at) VALUES ",
        )
        .rows(changes.len(), WRITTEN);
        for (id, change) in changes {
            insert
                .bind(id.clone())
                .bind(place.site.clone())
                .bind(place.network.clone())
                .bind(change.asset_id.clone())
                .bind(change.ip.to_string())
                .bind(change.kind.as_str().to_owned())
                .bind(change.before.clone())
                .bind(change.after.clone())
                .bind(scan_id.to_owned())
                .bind(micros(now));
        }
        insert.execute(&mut **writing).await?;
    }
    Ok(())
}
