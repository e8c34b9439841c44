//! What the inventory answers. Lists are read page by page: sorted by what does not change while pages are turned, so that what is added
//! between two pages neither hides nor doubles anything.

mod assets;
mod certificates;
mod changes;
mod findings;
mod scans;
mod sites;
mod topology;

pub use assets::AssetQuery;
pub use certificates::CertificateQuery;
pub use changes::ChangeQuery;
pub use findings::FindingQuery;
pub use scans::ScanQuery;

use serde::Serialize;
use sqlx::AnyPool;
use venom_protocol::Page;

use super::store::{Columns, Statement};
use crate::{FleetError, cursor};

/// A list that is read page by page.
struct Listing<'a, T> {
    /// What is read: columns, and further ones.
    columns: (&'static str, &'static str),
    /// What both the count and the page go on with: ` … WHERE …`.
    matching: &'a (dyn Fn(Statement) -> Statement + Sync),
    /// Goes on with what lies after the cursor: ` AND …`.
    after: Option<&'a (dyn Fn(Statement) -> Statement + Sync)>,
    /// ` ORDER BY …`.
    order: &'static str,
    limit: Option<u32>,
    read: fn(&mut Columns<'_>) -> Result<T, FleetError>,
}

impl<T> Listing<'_, T> {
    /// Reads the page; `key` is what the list is sorted by.
    async fn page<K: Serialize>(self, pool: &AnyPool, key: impl Fn(&T) -> K) -> Result<Page<T>, FleetError> {
        let total = (self.matching)(Statement::new("SELECT COUNT(*)")).count(pool).await?;
        let size = cursor::size(self.limit);
        let select = Statement::new("SELECT ").then(self.columns.0).then(self.columns.1);
        let mut select = (self.matching)(select);
        if let Some(after) = self.after {
            select = after(select);
        }
        let select = select
            .then(self.order)
            .then(" LIMIT ")
            .value(i64::try_from(size + 1).unwrap_or(i64::MAX));
        let mut items = select.all(pool, |mut columns| (self.read)(&mut columns)).await?;
        let next_cursor = cursor::cut(&mut items, size, key)?;
        Ok(Page {
            items,
            total,
            next_cursor,
        })
    }
}
