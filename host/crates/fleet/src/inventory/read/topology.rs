//! The picture of sites, networks, agents and things.

use std::collections::BTreeSet;

use venom_protocol::{AgentStatus, Topology, TopologyLink, TopologyNode};

use crate::inventory::store::Statement;
use crate::{Fleet, FleetError};

/// Things, and agents, that are drawn; a picture of more shows nothing.
const MAX_DRAWN: i64 = 2_000;

impl Fleet {
    /// Sites, networks, agents and things that are there, of one site or all, and what belongs to what.
    ///
    /// # Errors
    /// The database failed.
    pub async fn topology(&self, site: Option<&str>) -> Result<Topology, FleetError> {
        let mut picture = Picture::empty();
        let place = |id, label, site: &str| Drawn {
            id,
            label,
            site: site.to_owned(),
            ip: None,
            status: None,
        };
        let sites = self.sites().await?;
        for seen in sites
            .into_iter()
            .filter(|seen| site.is_none_or(|site| site == seen.name))
        {
            let id = site_id(&seen.name);
            picture.node("site", place(id, seen.name.clone(), &seen.name));
        }
        let mut gateways = Gateways::new();
        for network in self.networks(site).await? {
            let id = network_id(&network.site_name, &network.fingerprint_hash);
            picture.link(id.clone(), site_id(&network.site_name));
            let label = network.ssid.unwrap_or_else(|| network.fingerprint_hash.clone());
            picture.node("network", place(id, label, &network.site_name));
            if let Some(ip) = network.gateway_ip {
                gateways.insert((network.site_name, network.fingerprint_hash, ip));
            }
        }
        self.draw_agents(&mut picture, site).await?;
        self.draw_assets(&mut picture, site, &gateways).await?;
        Ok(picture.0)
    }

    async fn draw_agents(&self, picture: &mut Picture, site: Option<&str>) -> Result<(), FleetError> {
        let select = Statement::new(
            "SELECT id, name, site_name, status, COALESCE(current_network, '') FROM agents WHERE is_active = 1",
        )
        .and_text("site_name = ", site)
        .then(" ORDER BY site_name, name, id LIMIT ")
        .value(MAX_DRAWN + 1);
        let rows = select.all(self.database().read(), |mut columns| {
            let drawn = Drawn {
                id: format!("agent:{}", columns.text()?),
                label: columns.text()?,
                site: columns.text()?,
                ip: None,
                status: serde_json::from_value(serde_json::Value::String(columns.text()?)).ok(),
            };
            Ok((drawn, columns.text()?))
        });
        for (drawn, network) in picture.at_most(rows.await?) {
            let network = network_id(&drawn.site, &network);
            let place = if picture.has(&network) {
                network
            } else {
                site_id(&drawn.site)
            };
            picture.link(drawn.id.clone(), place);
            picture.node("agent", drawn);
        }
        Ok(())
    }

    async fn draw_assets(
        &self,
        picture: &mut Picture,
        site: Option<&str>,
        gateways: &Gateways,
    ) -> Result<(), FleetError> {
        let select = Statement::new("SELECT id, hostname, site_name, ip, network FROM assets WHERE is_gone = 0")
            .and_text("site_name = ", site)
            .then(" ORDER BY site_name, network, ip_key, id LIMIT ")
            .value(MAX_DRAWN + 1);
        let rows = select.all(self.database().read(), |mut columns| {
            let id = format!("asset:{}", columns.text()?);
            let hostname = columns.maybe()?;
            let site = columns.text()?;
            let ip = columns.text()?;
            let drawn = Drawn {
                id,
                label: hostname.unwrap_or_else(|| ip.clone()),
                site,
                ip: Some(ip),
                status: None,
            };
            Ok((drawn, columns.text()?))
        });
        for (drawn, network) in picture.at_most(rows.await?) {
            picture.link(drawn.id.clone(), network_id(&drawn.site, &network));
            let place = (drawn.site.clone(), network, drawn.ip.clone().unwrap_or_default());
            picture.node(if gateways.contains(&place) { "gateway" } else { "asset" }, drawn);
        }
        Ok(())
    }
}

/// Site, network and address.
type Gateways = BTreeSet<(String, String, String)>;

struct Drawn {
    id: String,
    label: String,
    site: String,
    ip: Option<String>,
    status: Option<AgentStatus>,
}

struct Picture(Topology);

impl Picture {
    const fn empty() -> Self {
        Self(Topology {
            nodes: Vec::new(),
            links: Vec::new(),
            truncated: false,
        })
    }

    /// As many as are drawn.
    fn at_most<T>(&mut self, mut drawn: Vec<T>) -> Vec<T> {
        let most = usize::try_from(MAX_DRAWN).unwrap_or(usize::MAX);
        self.0.truncated |= drawn.len() > most;
        drawn.truncate(most);
        drawn
    }

    fn has(&self, id: &str) -> bool {
        self.0.nodes.iter().any(|node| node.id == id)
    }

    fn node(&mut self, kind: &str, drawn: Drawn) {
        self.0.nodes.push(TopologyNode {
            id: drawn.id,
            kind: kind.to_owned(),
            label: drawn.label,
            site_name: drawn.site,
            ip: drawn.ip,
            status: drawn.status,
        });
    }

    fn link(&mut self, from: String, to: String) {
        self.0.links.push(TopologyLink { from, to });
    }
}

fn site_id(site: &str) -> String {
    format!("site:{site}")
}

fn network_id(site: &str, network: &str) -> String {
    format!("network:{site}:{network}")
}
