//! What is counted about agents and what they send. Clones count together.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use venom_protocol::SiteView;

use crate::metrics::register;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SiteLabel {
    site: String,
}

type BySite = Family<SiteLabel, Gauge<u64, AtomicU64>>;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct FleetMetrics {
    pub(crate) registrations: Counter,
    pub(crate) heartbeats: Counter,
    pub(crate) batches: Counter,
    pub(crate) batches_again: Counter,
    pub(crate) assets: Counter,
    pub(crate) findings: Counter,
    site_agents: BySite,
    site_agents_online: BySite,
    site_assets: BySite,
    site_findings: BySite,
}

impl FleetMetrics {
    /// All at zero, in the registry.
    pub(crate) fn new(r: &mut Registry) -> Self {
        Self {
            registrations: register(r, "agent_registrations", "Agents registered, again included"),
            heartbeats: register(r, "agent_heartbeats", "Heartbeats of agents taken"),
            batches: register(r, "ingest_batches", "Batches of agents taken in"),
            batches_again: register(r, "ingest_batches_again", "Batches that had come before"),
            assets: register(r, "ingest_assets", "Assets in batches taken in"),
            findings: register(r, "ingest_findings", "Findings in batches taken in"),
            site_agents: register(r, "site_agents", "Agents registered, by site"),
            site_agents_online: register(r, "site_agents_online", "Agents online, by site"),
            site_assets: register(r, "site_assets", "Things that are there, by site"),
            site_findings: register(r, "site_open_findings", "Findings that are open, by site"),
        }
    }

    /// Counts one batch and what was in it.
    pub(crate) fn taken(&self, duplicate: bool, things: &Counter, count: u64) {
        if duplicate {
            self.batches_again.inc();
        } else {
            self.batches.inc();
            things.inc_by(count);
        }
    }

    /// Sets the gauges of all sites. One that is no more has none.
    pub(crate) fn mirror(&self, sites: &[SiteView]) {
        for family in [
            &self.site_agents,
            &self.site_agents_online,
            &self.site_assets,
            &self.site_findings,
        ] {
            family.clear();
        }
        for site in sites {
            let label = SiteLabel {
                site: site.name.clone(),
            };
            self.site_agents.get_or_create(&label).set(site.agents);
            self.site_agents_online.get_or_create(&label).set(site.agents_online);
            self.site_assets.get_or_create(&label).set(site.assets);
            self.site_findings.get_or_create(&label).set(site.open_findings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_that_is_no_more_has_no_gauges() {
        let mut registry = Registry::default();
        let metrics = FleetMetrics::new(&mut registry);
        let site = |name: &str| SiteView {
            name: name.to_owned(),
            agents: 1,
            agents_online: 1,
            networks: 1,
            assets: 1,
            open_findings: 1,
            last_scan: None,
        };
        metrics.mirror(&[site("Berlin"), site("Paris")]);
        metrics.mirror(&[site("Paris")]);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("Paris") && !text.contains("Berlin"), "{text}");
    }
}
