//! Assets, written and read for writing.

use std::collections::BTreeSet;

use sqlx::{Any, Transaction};

use super::statement::{LIST_AT_ONCE, rows_at_once};
use super::{Columns, Place, Statement, json};
use crate::FleetError;
use crate::database::micros;
use crate::inventory::asset::{Asset, Facts};
use crate::inventory::mac::Mac;
use crate::inventory::range;
use crate::inventory::sweep::Sweep;

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
    let seen = || sweep.seen.iter();
    let places: BTreeSet<String> = seen().map(|seen| place.key_at(seen.ip)).collect();
    let macs: BTreeSet<String> = seen()
        .map(|seen| place.key_of(seen.mac.map(|mac| mac.to_string())))
        .collect();
    let agents: BTreeSet<String> = seen()
        .map(|seen| place.key_of(seen.runs.as_ref().map(ToString::to_string)))
        .collect();
    let mut selects = Vec::new();
    for (column, keys) in [
        ("place_key IN ", places),
        ("mac_key IN ", macs),
        ("runs_key <> '' AND runs_key IN ", agents),
    ] {
        let keys: Vec<String> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        selects.extend(keys.chunks(LIST_AT_ONCE).map(|keys| select().then(column).list(keys)));
    }
    if let Some(range) = sweep.target.range.filter(|_| sweep.look.is_complete && !sweep.is_late) {
        let (first, last) = place.keys(range);
        let in_range = select()
            .then("place_key >= ")
            .value(first)
            .then(" AND place_key <= ")
            .value(last);
        selects.push(in_range.then(" AND is_gone = 0"));
    }
    for select in selects {
        let found = select.all(&mut **writing, |mut columns| read(&mut columns)).await?;
        known.extend(found.into_iter().map(|asset| (asset.id.clone(), asset)));
    }
    Ok(known.into_values().collect())
}

fn select() -> Statement {
    Statement::new("SELECT ").then(COLUMNS).then(" FROM assets WHERE ")
}

/// Those at these addresses, by id and address.
pub(crate) async fn at(
    writing: &mut Transaction<'static, Any>,
    place: &Place,
    ips: &[String],
) -> Result<Vec<(String, String)>, FleetError> {
    let mut found = Vec::new();
    let keys: Vec<String> = ips.iter().map(|ip| place.key_at_text(ip)).collect();
    for keys in keys.chunks(LIST_AT_ONCE) {
        let select = Statement::new("SELECT id, ip FROM assets WHERE is_gone = 0 AND place_key IN ")
            .list(keys)
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
    const WRITTEN: usize = 19;
    for assets in assets.chunks(rows_at_once(WRITTEN)) {
        let mut insert = Statement::new(
            "INSERT INTO assets (id, site_name, network, ip, ip_key, place_key, mac, mac_key, runs, runs_key, hostname, vendor, words, facts, \
             first_seen, last_seen, seen_by, is_gone, misses) VALUES ",
        )
        .rows(assets.len(), WRITTEN)
        .then(
            " ON CONFLICT (id) DO UPDATE SET ip = excluded.ip, ip_key = excluded.ip_key, place_key = excluded.place_key, \
             mac = excluded.mac, mac_key = excluded.mac_key, runs = excluded.runs, runs_key = excluded.runs_key, \
             hostname = excluded.hostname, vendor = excluded.vendor, words = excluded.words, facts = excluded.facts, \
             first_seen = excluded.first_seen, last_seen = excluded.last_seen, seen_by = excluded.seen_by, \
             is_gone = excluded.is_gone, misses = excluded.misses",
        );
        for asset in assets {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let mac = asset.mac.map(|mac| mac.to_string());
            let runs = asset.runs.as_ref().map(ToString::to_string);
            insert
                .bind(asset.id.clone())
                .bind(place.site.clone())
                .bind(place.network.clone())
                .bind(asset.ip.to_string())
                .bind(range::key(asset.ip))
                .bind(place.key_at(asset.ip))
                .bind(mac.clone().unwrap_or_default())
                .bind(place.key_of(mac))
                .bind(runs.clone().unwrap_or_default())
                .bind(place.key_of(runs))
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
