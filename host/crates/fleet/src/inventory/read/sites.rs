//! Sites, their networks and their subnets.

use std::collections::BTreeMap;

use sqlx::AnyPool;
use venom_protocol::{AgentId, NetworkView, SiteView, SubnetView, Timestamp};

use crate::database::timestamp;
use crate::inventory::range::{self, Target};
use crate::inventory::store::{Columns, Statement};
use crate::{Fleet, FleetError};

/// Sites, networks or subnets in one answer.
const MOST: i64 = 10_000;
/// Subnets of agents that nobody scanned, in which assets are counted one by one.
const MAX_UNSCANNED: usize = 1_000;

/// What is counted of each site. Answered by indexes alone: metrics ask often.
const AGENTS: &str = "SELECT site_name, COUNT(*) FROM agents WHERE is_active = 1 GROUP BY site_name";
const AGENTS_ONLINE: &str = "SELECT site_name, CAST(SUM(CASE WHEN status = 'online' THEN 1 ELSE 0 END) AS BIGINT) FROM agents \
                             WHERE is_active = 1 GROUP BY site_name";
const NETWORKS: &str = "SELECT site_name, COUNT(*) FROM networks GROUP BY site_name";
const ASSETS: &str = "SELECT site_name, COUNT(*) FROM assets WHERE is_gone = 0 GROUP BY site_name";
const FINDINGS: &str = "SELECT site_name, COUNT(*) FROM findings WHERE status = 'open' GROUP BY site_name";
/// Subnets that were scanned, and how many things are in each.
const SUBNETS: &str = "SELECT s.site_name, s.cidr, s.last_scan, (SELECT COUNT(*) FROM assets a \
                       WHERE a.site_name = s.site_name AND a.is_gone = 0 AND a.ip_key >= s.first_key AND a.ip_key <= s.last_key) \
                       FROM subnets s WHERE s.first_key <> s.last_key";

impl Fleet {
    /// Sites that have agents or were scanned, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sites(&self) -> Result<Vec<SiteView>, FleetError> {
        let pool = self.database().read();
        let mut sites: BTreeMap<String, SiteView> = BTreeMap::new();
        let scanned = Statement::new("SELECT name, last_scan FROM sites ORDER BY name LIMIT ").value(MOST);
        for (name, at) in scanned
            .all(pool, |mut columns| Ok((columns.text()?, columns.number()?)))
            .await?
        {
            sites.insert(name.clone(), site(name, Some(timestamp(at)?)));
        }
        type Note = fn(&mut SiteView, u64);
        let counts: [(&'static str, Note); 5] = [
            (AGENTS, |site, count| site.agents = count),
            (AGENTS_ONLINE, |site, count| site.agents_online = count),
            (NETWORKS, |site, count| site.networks = count),
            (ASSETS, |site, count| site.assets = count),
            (FINDINGS, |site, count| site.open_findings = count),
        ];
        for (select, note) in counts {
            let rows = Statement::new(select).all(pool, |mut columns| Ok((columns.text()?, columns.count()?)));
            for (name, count) in rows.await? {
                note(sites.entry(name.clone()).or_insert_with(|| site(name, None)), count);
            }
        }
        Ok(sites.into_values().collect())
    }

    /// Networks, of one site or all, by site and fingerprint.
    ///
    /// # Errors
    /// The database failed.
    pub async fn networks(&self, site: Option<&str>) -> Result<Vec<NetworkView>, FleetError> {
        let select = Statement::new(
            "SELECT n.network, n.site_name, n.gateway_ip, n.gateway_mac, n.ssid, n.first_seen, n.last_seen, \
             (SELECT COUNT(*) FROM assets a WHERE a.site_name = n.site_name AND a.network = n.network AND a.is_gone = 0) \
             FROM networks n WHERE 1 = 1",
        )
        .and_text("n.site_name = ", site)
        .then(" ORDER BY n.site_name, n.network LIMIT ")
        .value(MOST);
        select.all(self.database().read(), network).await
    }

    /// Subnets that agents are in or that were scanned, of one site or all, by site and first address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn subnets(&self, site: Option<&str>) -> Result<Vec<SubnetView>, FleetError> {
        let pool = self.database().read();
        let scanned = Statement::new(SUBNETS)
            .and_text("s.site_name = ", site)
            .then(" ORDER BY s.site_name, s.first_key, s.last_key DESC LIMIT ")
            .value(MOST);
        let mut subnets: BTreeMap<(String, u128, u128), SubnetView> = BTreeMap::new();
        let scanned = scanned.all(pool, |mut columns| {
            Ok(SubnetView {
                site_name: columns.text()?,
                cidr: columns.text()?,
                agents: Vec::new(),
                last_scan: Some(columns.time()?),
                assets: columns.count()?,
            })
        });
        for subnet in scanned.await? {
            if let Some(key) = key(&subnet.site_name, &subnet.cidr) {
                subnets.insert(key, subnet);
            }
        }
        let mut unscanned = 0;
        for (agent, site, cidr) in agents_subnets(pool, site).await? {
            let Some(key) = key(&site, &cidr) else { continue };
            if let Some(known) = subnets.get_mut(&key) {
                known.agents.push(agent);
            } else {
                unscanned += 1;
                let assets = if unscanned > MAX_UNSCANNED {
                    0
                } else {
                    count(pool, &site, &key).await?
                };
                let subnet = SubnetView {
                    cidr: Target::parse(&cidr).text,
                    site_name: site,
                    agents: vec![agent],
                    assets,
                    last_scan: None,
                };
                subnets.insert(key, subnet);
            }
        }
        Ok(subnets.into_values().collect())
    }
}

fn site(name: String, last_scan: Option<Timestamp>) -> SiteView {
    SiteView {
        name,
        agents: 0,
        agents_online: 0,
        networks: 0,
        assets: 0,
        open_findings: 0,
        last_scan,
    }
}

fn network(mut columns: Columns<'_>) -> Result<NetworkView, FleetError> {
    Ok(NetworkView {
        fingerprint_hash: columns.text()?,
        site_name: columns.text()?,
        gateway_ip: columns.maybe()?,
        gateway_mac: columns.maybe()?,
        ssid: columns.maybe()?,
        first_seen: columns.time()?,
        last_seen: columns.time()?,
        assets: columns.count()?,
    })
}

/// Site, first address, and last address the other way round: the wider one comes first.
fn key(site: &str, cidr: &str) -> Option<(String, u128, u128)> {
    let range = Target::parse(cidr).range?;
    Some((site.to_owned(), range.first, u128::MAX - range.last))
}

async fn agents_subnets(pool: &AnyPool, site: Option<&str>) -> Result<Vec<(AgentId, String, String)>, FleetError> {
    let select = Statement::new("SELECT id, site_name, subnets FROM agents WHERE is_active = 1 AND subnets <> '[]'")
        .and_text("site_name = ", site)
        .then(" ORDER BY site_name, id");
    let rows = select.all(pool, |mut columns| {
        let agent: AgentId = columns.parsed()?;
        let site = columns.text()?;
        Ok((agent, site, columns.json::<Vec<String>>()?))
    });
    let each = |(agent, site, subnets): (AgentId, String, Vec<String>)| {
        subnets.into_iter().map(move |cidr| (agent.clone(), site.clone(), cidr))
    };
    Ok(rows.await?.into_iter().flat_map(each).collect())
}

async fn count(pool: &AnyPool, site: &str, key: &(String, u128, u128)) -> Result<u64, FleetError> {
    let count = Statement::new("SELECT COUNT(*) FROM assets WHERE is_gone = 0 AND site_name = ")
        .value(site.to_owned())
        .then(" AND ip_key >= ")
        .value(range::digits(key.1))
        .then(" AND ip_key <= ")
        .value(range::digits(u128::MAX - key.2));
    count.count(pool).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::plan_of;

    #[tokio::test]
    async fn what_is_counted_is_in_indexes() {
        for count in [AGENTS, AGENTS_ONLINE, NETWORKS, ASSETS, FINDINGS] {
            let plan = plan_of(count).await;
            assert!(
                plan.iter().all(|step| step.contains("COVERING INDEX")),
                "{count}: {plan:?}"
            );
        }
        let plan = plan_of(SUBNETS).await;
        let by_range = "USING COVERING INDEX assets_there (site_name=? AND ip_key>? AND ip_key<?)";
        assert!(plan.iter().any(|step| step.contains(by_range)), "{plan:?}");
    }
}
