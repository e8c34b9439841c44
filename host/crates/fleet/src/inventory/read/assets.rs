//! Things: the list of them, and all about one address.

use std::net::IpAddr;

use venom_protocol::{AssetDetail, AssetView, Page, Timestamp};

use super::Listing;
use super::{ChangeQuery, certificates, findings};
use crate::inventory::asset::Asset;
use crate::inventory::range;
use crate::inventory::store::{self, Columns, Statement, like};
use crate::{Fleet, FleetError, cursor};

/// Changes told with an asset.
const CHANGES_TOLD: u32 = 100;
/// Assets told of one address; it may be in use in more networks than anybody reads.
const ASSETS_TOLD: i64 = 100;
/// Findings and certificates told with an asset.
const FINDINGS_TOLD: u32 = 1_000;

/// Which assets are asked for.
#[derive(Debug, Clone, Default)]
pub struct AssetQuery {
    /// Of this site.
    pub site: Option<String>,
    /// Of the network with this fingerprint.
    pub network: Option<String>,
    /// Those that are gone, or those that are there; both when absent.
    pub gone: Option<bool>,
    /// With this in the address, the MAC, the name, the vendor, the class or the system, in any case.
    pub text: Option<String>,
    /// On one page: 1,000, at most 5,000.
    pub limit: Option<u32>,
    /// Where the page begins.
    pub cursor: Option<String>,
}

/// What the list is sorted by.
type Key = (String, String, String, String);

/// What is read beside the asset itself.
const ALSO: &str = ", site_name, network, (SELECT COUNT(*) FROM findings f WHERE f.place_key = a.place_key \
                    AND f.status = 'open')";

impl Fleet {
    /// Assets, by site, network and address.
    ///
    /// # Errors
    /// The cursor is none of this list, or the database failed.
    pub async fn assets(&self, ask: AssetQuery) -> Result<Page<AssetView>, FleetError> {
        let after = ask.cursor.as_deref().map(cursor::decode::<Key>).transpose()?;
        let text = ask.text.as_deref().map(|text| like(&text.trim().to_lowercase()));
        let matching = |statement: Statement| {
            statement
                .then(" FROM assets a WHERE 1 = 1")
                .and_text("a.site_name = ", ask.site.as_deref())
                .and_text("a.network = ", ask.network.as_deref())
                .and("a.is_gone = ", ask.gone.map(i64::from))
                .and("a.words LIKE ", text.clone())
                .then(if text.is_some() { " ESCAPE '!'" } else { "" })
        };
        let later = |statement: Statement| {
            let (site, network, ip, id) = after.clone().unwrap_or_default();
            statement
                .then(" AND (a.site_name, a.network, a.ip_key, a.id) > (")
                .text(&site)
                .then(", ")
                .text(&network)
                .then(", ")
                .text(&ip)
                .then(", ")
                .text(&id)
                .then(")")
        };
        let listing = Listing {
            columns: (store::assets::COLUMNS, ALSO),
            matching: &matching,
            after: after
                .is_some()
                .then_some(&later as &(dyn Fn(Statement) -> Statement + Sync)),
            order: " ORDER BY a.site_name, a.network, a.ip_key, a.id",
            limit: ask.limit,
            read,
        };
        let key = |asset: &AssetView| {
            let ip = asset.ip.parse().map(range::key).unwrap_or_default();
            (asset.site_name.clone(), asset.network.clone(), ip, asset.id.clone())
        };
        listing.page(self.database().read(), key).await
    }

    /// All that is known about an address: one for each site and network that has it, those that are there first.
    ///
    /// # Errors
    /// It is no address, or the database failed.
    pub async fn asset_details(
        &self,
        ip: &str,
        site: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<AssetDetail>, FleetError> {
        let address: IpAddr = ip
            .trim()
            .parse()
            .map_err(|_| FleetError::Invalid("`ip` is no IP address".to_owned()))?;
        let select = Statement::new("SELECT ")
            .then(store::assets::COLUMNS)
            .then(ALSO)
            .then(" FROM assets a WHERE a.ip_key = ")
            .value(range::key(address))
            .and_text("a.site_name = ", site)
            .then(" ORDER BY a.is_gone, a.site_name, a.network, a.last_seen DESC, a.id LIMIT ")
            .value(ASSETS_TOLD);
        let assets = select
            .all(self.database().read(), |mut columns| read(&mut columns))
            .await?;
        let mut details = Vec::with_capacity(assets.len());
        for asset in assets {
            let changes = ChangeQuery {
                asset_id: Some(asset.id.clone()),
                limit: Some(CHANGES_TOLD),
                ..ChangeQuery::default()
            };
            details.push(AssetDetail {
                changes: self.changes(changes).await?.items,
                findings: findings::of_asset(self.database().read(), &asset, FINDINGS_TOLD).await?,
                certificates: certificates::of_asset(self.database().read(), &asset, FINDINGS_TOLD, now).await?,
                asset,
            });
        }
        Ok(details)
    }
}

fn read(columns: &mut Columns<'_>) -> Result<AssetView, FleetError> {
    let asset = store::assets::read(columns)?;
    let site_name = columns.text()?;
    let network = columns.text()?;
    let open_findings = columns.count()?;
    Ok(view(asset, site_name, network, open_findings))
}

fn view(asset: Asset, site_name: String, network: String, open_findings: u64) -> AssetView {
    let facts = asset.facts;
    let (bigr_category, confidence_score) = facts
        .class
        .map_or((None, None), |class| (Some(class.name), class.confidence));
    AssetView {
        id: asset.id,
        site_name,
        network,
        ip: asset.ip.to_string(),
        mac: asset.mac.map(|mac| mac.to_string()),
        hostname: asset.hostname,
        vendor: asset.vendor,
        open_ports: facts.ports.into_keys().collect(),
        os_hint: facts.os_hint,
        bigr_category,
        confidence_score,
        services: facts.services,
        evidence: facts.evidence,
        first_seen: asset.first_seen,
        last_seen: asset.last_seen,
        is_gone: asset.is_gone,
        agent_id: asset.seen_by,
        open_findings,
        extra: facts.extra,
    }
}
