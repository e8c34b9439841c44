//! Certificates, written and read for writing.

use std::collections::HashMap;

use sqlx::{Any, Transaction};

use super::statement::{LIST_AT_ONCE, rows_at_once};
use super::{Columns, Statement, json};
use crate::FleetError;
use crate::database::micros;
use crate::inventory::certificate::{Certificate, Place};
use crate::inventory::store;

/// What [`read`] reads.
pub(crate) const COLUMNS: &str = "ip, port, fingerprint, not_after, facts, first_seen, last_seen";

/// One certificate from [`COLUMNS`].
pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Certificate, FleetError> {
    Ok(Certificate {
        place: (columns.text()?, u16::try_from(columns.number()?).unwrap_or_default()),
        fingerprint: columns.text()?,
        not_after: columns.maybe_time()?,
        facts: columns.json()?,
        first_seen: columns.time()?,
        last_seen: columns.time()?,
    })
}

/// Those at these addresses.
pub(crate) async fn at(
    writing: &mut Transaction<'static, Any>,
    place: &store::Place,
    ips: &[String],
) -> Result<HashMap<Place, Certificate>, FleetError> {
    let mut known = HashMap::new();
    let keys: Vec<String> = ips.iter().map(|ip| place.key_at_text(ip)).collect();
    for keys in keys.chunks(LIST_AT_ONCE) {
        let select = Statement::new("SELECT ")
            .then(COLUMNS)
            .then(" FROM certificates WHERE place_key IN ")
            .list(keys);
        let found = select.all(&mut **writing, |mut columns| read(&mut columns)).await?;
        known.extend(
            found
                .into_iter()
                .map(|certificate| (certificate.place.clone(), certificate)),
        );
    }
    Ok(known)
}

/// How many a site has.
pub(crate) async fn count(writing: &mut Transaction<'static, Any>, site: &str) -> Result<u64, FleetError> {
    let count = Statement::new("SELECT COUNT(*) FROM certificates WHERE site_name = ").value(site.to_owned());
    count.count(&mut **writing).await
}

/// Writes them, whether they were there or not.
pub(crate) async fn write(
    writing: &mut Transaction<'static, Any>,
    place: &store::Place,
    certificates: &[Certificate],
) -> Result<(), FleetError> {
    const WRITTEN: usize = 10;
    for certificates in certificates.chunks(rows_at_once(WRITTEN)) {
        let mut insert = Statement::new(
            "INSERT INTO certificates (place_key, site_name, network, ip, port, fingerprint, not_after, facts, first_seen, last_seen) VALUES ",
        )
        .rows(certificates.len(), WRITTEN)
        .then(
            " ON CONFLICT (place_key, port) DO UPDATE SET fingerprint = excluded.fingerprint, \
             not_after = excluded.not_after, facts = excluded.facts, first_seen = excluded.first_seen, \
             last_seen = excluded.last_seen",
        );
        for certificate in certificates {
            insert
                .bind(place.key_at_text(&certificate.place.0))
                .bind(place.site.clone())
                .bind(place.network.clone())
                .bind(certificate.place.0.clone())
                .bind(i64::from(certificate.place.1))
                .bind(certificate.fingerprint.clone())
                .bind(certificate.not_after.map(micros))
                .bind(json(&certificate.facts)?)
                .bind(micros(certificate.first_seen))
                .bind(micros(certificate.last_seen));
        }
        insert.execute(&mut **writing).await?;
    }
    Ok(())
}
