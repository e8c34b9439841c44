//! Certificates, those that end first.

use std::time::Duration;

use sqlx::AnyPool;
use venom_protocol::{AssetView, CertificateView, Page, Timestamp};

use super::Listing;
use crate::database::{micros, micros_of};
use crate::inventory::store::{self, Columns, Place, Statement};
use crate::{Fleet, FleetError, cursor};

/// Which certificates are asked for.
#[derive(Debug, Clone, Default)]
pub struct CertificateQuery {
    /// Of this site.
    pub site: Option<String>,
    /// That end within this time, or have ended.
    pub expiring_within: Option<Duration>,
    /// On one page: 1,000, at most 5,000.
    pub limit: Option<u32>,
    /// Where the page begins.
    pub cursor: Option<String>,
}

/// What the list is sorted by: end (the latest when it is not known), site, network, address, port.
type Key = (i64, String, String, String, i64);

/// What is read beside it.
const ALSO: &str = ", site_name, network";

impl Fleet {
    /// Certificates, those that end first.
    ///
    /// # Errors
    /// The cursor is none of this list, or the database failed.
    pub async fn certificates(
        &self,
        ask: CertificateQuery,
        now: Timestamp,
    ) -> Result<Page<CertificateView>, FleetError> {
        let after = ask.cursor.as_deref().map(cursor::decode::<Key>).transpose()?;
        let end = ask
            .expiring_within
            .map(|within| micros(now).saturating_add(micros_of(within)));
        let matching = |statement: Statement| {
            statement
                .then(" FROM certificates WHERE 1 = 1")
                .and_text("site_name = ", ask.site.as_deref())
                .and("not_after <= ", end)
        };
        let later = |statement: Statement| {
            let (end, site, network, ip, port) = after.clone().unwrap_or_default();
            statement
                .then(" AND (COALESCE(not_after, 9223372036854775807), site_name, network, ip, port) > (")
                .value(end)
                .then(", ")
                .text(&site)
                .then(", ")
                .text(&network)
                .then(", ")
                .text(&ip)
                .then(", ")
                .value(port)
                .then(")")
        };
        let listing = Listing {
            columns: (store::certificates::COLUMNS, ALSO),
            matching: &matching,
            after: after
                .is_some()
                .then_some(&later as &(dyn Fn(Statement) -> Statement + Sync)),
            order: " ORDER BY COALESCE(not_after, 9223372036854775807), site_name, network, ip, port",
            limit: ask.limit,
            read,
        };
        let key = |seen: &CertificateView| -> Key {
            (
                seen.not_after.map_or(i64::MAX, micros),
                seen.site_name.clone(),
                seen.network.clone(),
                seen.ip.clone(),
                i64::from(seen.port),
            )
        };
        let mut page = listing.page(self.database().read(), key).await?;
        count_days(&mut page.items, now);
        Ok(page)
    }
}

/// Those that were shown at the asset's address.
pub(super) async fn of_asset(
    pool: &AnyPool,
    asset: &AssetView,
    most: u32,
    now: Timestamp,
) -> Result<Vec<CertificateView>, FleetError> {
    let place = Place::of(asset.site_name.clone(), asset.network.clone());
    let select = Statement::new("SELECT ")
        .then(store::certificates::COLUMNS)
        .then(ALSO)
        .then(" FROM certificates WHERE place_key = ")
        .value(place.key_at_text(&asset.ip))
        .then(" ORDER BY port LIMIT ")
        .value(i64::from(most));
    let mut found = select.all(pool, |mut columns| read(&mut columns)).await?;
    count_days(&mut found, now);
    Ok(found)
}

/// Days begun count for those that have ended: one that ended an hour ago has -1 left.
fn count_days(certificates: &mut [CertificateView], now: Timestamp) {
    const DAY: i64 = 86_400;
    for certificate in certificates {
        let left = certificate.not_after.map(|end| end.0.as_second() - now.0.as_second());
        certificate.days_left = left.map(|seconds| seconds.div_euclid(DAY));
    }
}

fn read(columns: &mut Columns<'_>) -> Result<CertificateView, FleetError> {
    let certificate = store::certificates::read(columns)?;
    let facts = certificate.facts;
    Ok(CertificateView {
        site_name: columns.text()?,
        network: columns.text()?,
        ip: certificate.place.0,
        port: certificate.place.1,
        fingerprint_sha256: Some(certificate.fingerprint).filter(|print| !print.is_empty()),
        subject: facts.subject,
        issuer: facts.issuer,
        serial: facts.serial,
        names: facts.names,
        not_before: facts.not_before,
        not_after: certificate.not_after,
        days_left: None,
        key: facts.key,
        signature_algorithm: facts.signature_algorithm,
        self_signed: facts.self_signed,
        first_seen: certificate.first_seen,
        last_seen: certificate.last_seen,
    })
}
