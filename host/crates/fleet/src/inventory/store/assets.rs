//! Assets, written and read for writing.

use std::collections::BTreeSet;

use sqlx::{Any, Transaction};

use super::statement::{LIST_AT_ONCE, rows_at_once};
use super::{Columns, Statement, json};
use crate::FleetError;
use crate::database::micros;
use crate::inventory::asset::{Asset, Facts};
use crate::inventory::mac::Mac;
use crate::inventory::range;
use crate::inventory::sweep::Sweep;

/// One network of one site.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) site: String,
    pub(crate) network: String,
}

/// What [`read`] reads.
pub(crate) const COLUMNS: &str =
    "id, ip, mac, runs, hostname, vendor, facts, first_seen, last_seen, seen_by, is_gone, misses";

/// One asset from [`COLUMNS`].
pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Asset, FleetError> {
    Ok(Asset {
        id: columns.text()?,
        ip: columns.parsed()?,
        mac: columns.maybe()?.as_deref().and_then(Mac::parse),
        runs: columns.maybe()?.and_then(|id| id.parse().ok()),
        hostname: columns.maybe()?,
        vendor: columns.maybe()?,
        facts: columns.json::<Facts>()?,
        first_seen: columns.time()?,
        last_seen: columns.time()?,
        seen_by: columns.parsed()?,
        is_gone: columns.flag()?,
        misses: u32::try_from(columns.number()?).unwrap_or(u32::MAX),
    })
}

/// All of the place that a sweep may be about: what is at an address, has a MAC or runs an agent that it saw, and all that is there in its
/// target when it is complete.
pub(crate) async fn about(
    writing: &mut Transaction<'static, Any>,
    place: &Place,
    sweep: &Sweep,
) -> Result<Vec<Asset>, FleetError> {
    let mut known = std::collections::BTreeMap::new();
    let ips: BTreeSet<String> = sweep.seen.iter().map(|seen| range::key(seen.ip)).collect();
    let macs: BTreeSet<String> = sweep
        .seen
        .iter()
        .filter_map(|seen| Some(seen.mac?.to_string()))
        .collect();
    let agents: BTreeSet<String> = sweep
        .seen
        .iter()
        .filter_map(|seen| Some(seen.runs.as_ref()?.to_string()))
        .collect();
    for (column, values) in [
        (" AND ip_key IN ", ips),
        (" AND mac IN ", macs),
        (" AND runs IN ", agents),
    ] {
        let values: Vec<String> = values.into_iter().collect();
        for values in values.chunks(LIST_AT_ONCE) {
            let select = select(place).then(column).list(values);
            let found = select.all(&mut **writing, |mut columns| read(&mut columns)).await?;
            known.extend(found.into_iter().map(|asset| (asset.id.clone(), asset)));
        }
    }
    if let Some(range) = sweep.target.range.filter(|_| sweep.look.is_complete && !sweep.is_late) {
        let select = select(place)
            .then(" AND is_gone = 0 AND ip_key >= ")
            .value(range::digits(range.first))
            .then(" AND ip_key <= ")
            .value(range::digits(range.last));
        let found = select.all(&mut **writing, |mut columns| read(&mut columns)).await?;
        known.extend(found.into_iter().map(|asset| (asset.id.clone(), asset)));
    }
    Ok(known.into_values().collect())
}

fn select(place: &Place) -> Statement {
    Statement::new("SELECT ")
        .then(COLUMNS)
        .then(" FROM assets WHERE site_name = ")
        .value(place.site.clone())
        .then(" AND network = ")
        .value(place.network.clone())
}

/// Those at these addresses, by id and address.
pub(crate) async fn at(
    writing: &mut Transaction<'static, Any>,
    place: &Place,
    ips: &[String],
) -> Result<Vec<(String, String)>, FleetError> {
    let mut found = Vec::new();
    for ips in ips.chunks(LIST_AT_ONCE) {
        let select = Statement::new("SELECT id, ip FROM assets WHERE is_gone = 0 AND site_name = ")
            .value(place.site.clone())
            .then(" AND network = ")
            .value(place.network.clone())
            .then(" AND ip IN ")
            .list(ips)
            .then(" ORDER BY last_seen DESC, id");
        let rows = select.all(&mut **writing, |mut columns| Ok((columns.text()?, columns.text()?)));
        found.extend(rows.await?);
    }
    Ok(found)
}

/// Writes them, whether they were there or not.
pub(crate) async fn write(
    writing: &mut Transaction<'static, Any>,
    place: &Place,
    assets: &[Asset],
) -> Result<(), FleetError> {
    const WRITTEN: usize = 16;
    for assets in assets.chunks(rows_at_once(WRITTEN)) {
        let mut insert = Statement::new(
            "INSERT INTO assets (id, site_name, network, ip, ip_key, mac, runs, hostname, vendor, words, facts, \
             first_seen, last_seen, seen_by, is_gone, misses) VALUES ",
        )
        .rows(assets.len(), WRITTEN)
        .then(
            " ON CONFLICT (id) DO UPDATE SET ip = excluded.ip, ip_key = excluded.ip_key, mac = excluded.mac, runs = excluded.runs, \
             hostname = excluded.hostname, vendor = excluded.vendor, words = excluded.words, facts = excluded.facts, \
             first_seen = excluded.first_seen, last_seen = excluded.last_seen, seen_by = excluded.seen_by, \
             is_gone = excluded.is_gone, misses = excluded.misses",
        );
        for asset in assets {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            insert
                .bind(asset.id.clone())
                .bind(place.site.clone())
                .bind(place.network.clone())
                .bind(asset.ip.to_string())
                .bind(range::key(asset.ip))
                .bind(asset.mac.map(|mac| mac.to_string()).unwrap_or_default())
                .bind(asset.runs.as_ref().map(ToString::to_string).unwrap_or_default())
                .bind(text(&asset.hostname))
                .bind(text(&asset.vendor))
                .bind(asset.words())
                .bind(json(&asset.facts)?)
                .bind(micros(asset.first_seen))
                .bind(micros(asset.last_seen))
                .bind(asset.seen_by.to_string())
                .bind(i64::from(asset.is_gone))
                .bind(i64::from(asset.misses));
        }
        insert.execute(&mut **writing).await?;
    }
    Ok(())
}

/// Lets the changes of one that is no more go on under another's id.
pub(crate) async fn absorb(writing: &mut Transaction<'static, Any>, from: &str, into: &str) -> Result<(), FleetError> {
    let adopt = Statement::new("UPDATE changes SET asset_id = ")
        .value(into.to_owned())
        .then(" WHERE asset_id = ")
        .value(from.to_owned());
    adopt.execute(&mut **writing).await?;
    let delete = Statement::new("DELETE FROM assets WHERE id = ").value(from.to_owned());
    delete.execute(&mut **writing).await?;
    Ok(())
}

/// Sees to it that `added` more have room in a site of `most`: those that are gone the longest make room.
pub(crate) async fn make_room(
    writing: &mut Transaction<'static, Any>,
    site: &str,
    added: u64,
    most: u64,
) -> Result<(), FleetError> {
    let count = Statement::new("SELECT COUNT(*) FROM assets WHERE site_name = ").value(site.to_owned());
    let count = count.count(&mut **writing).await?;
    let too_many = (count + added).saturating_sub(most);
    if too_many == 0 {
        return Ok(());
    }
    let delete =
        Statement::new("DELETE FROM assets WHERE id IN (SELECT id FROM assets WHERE is_gone = 1 AND site_name = ")
            .value(site.to_owned())
            .then(" ORDER BY last_seen, id LIMIT ")
            .value(i64::try_from(too_many).unwrap_or(i64::MAX))
            .then(")");
    if delete.execute(&mut **writing).await? < too_many {
        return Err(FleetError::Full(format!(
            "site `{site}` has {count} assets, and {added} more would be over the limit of {most} (max_assets_per_site)"
        )));
    }
    Ok(())
}
