//! What the machine and the network tell beside the sweep: links, neighbours, names, mDNS, SSDP, TLS. Each is a grant of
//! its own and none is needed: what is not granted, or not there, is left out, and said once in the log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use venom_sdk::lan::{self, Device, Link, Service};
use venom_sdk::{Error, Result, log};

use crate::banner::tame;
use crate::certificate;
use crate::report::Fingerprint;
use crate::target::Target;

/// How long mDNS and SSDP are listened to, each.
const LISTEN: Duration = Duration::from_secs(2);
/// Longest a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// So many questions to a resolver in a row that failed, and it is asked no more.
const PATIENCE: u32 = 2;

/// What is known of the network beside who answered.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    links: Vec<Link>,
    macs: BTreeMap<IpAddr, String>,
    services: Vec<Service>,
    devices: Vec<Device>,
    resolver_failed: u32,
    no_tls: bool,
}

impl Surroundings {
    /// With the machine's links, where they are granted.
    pub(crate) fn with_links() -> Self {
        Self {
            links: granted("links", lan::links()),
            ..Self::default()
        }
    }

    /// Reads who the machine has just spoken to.
    pub(crate) fn meet_neighbours(&mut self) {
        for neighbour in granted("neighbours", lan::neighbours()) {
            if let Ok(address) = neighbour.address.parse::<IpAddr>() {
                self.macs.insert(address.to_canonical(), neighbour.mac);
            }
        }
        for link in &mut self.links {
            // before the sweep nobody may have spoken to the gateway
            let gateway = link.gateway.parse::<IpAddr>().ok();
            if let Some(mac) = gateway.and_then(|gateway| self.macs.get(&gateway.to_canonical())) {
                link.gateway_mac.clone_from(mac);
            }
            if let (Ok(own), false) = (link.address.parse::<IpAddr>(), link.mac.is_empty()) {
                self.macs.insert(own, link.mac.clone());
            }
        }
    }

    /// Listens to who announces itself, if there is the time for it.
    pub(crate) fn listen(&mut self, end: Instant) {
        if left(end) > 2 * LISTEN {
            self.services = granted("mdns", lan::browse(&[], LISTEN));
            self.devices = granted("ssdp", lan::discover(LISTEN));
        }
    }

    /// Addresses within a target that announced themselves: they are there, whether a port of theirs answered or not.
    pub(crate) fn announced(&self, target: &Target) -> Vec<IpAddr> {
        let services = self.services.iter().flat_map(|service| service.addresses.iter());
        let all = services.chain(self.devices.iter().map(|device| &device.address));
        let addresses = all.filter_map(|address| address.parse().ok());
        addresses.filter(|address| target.contains(*address)).collect()
    }

    pub(crate) fn mac(&self, address: IpAddr) -> Option<&String> {
        self.macs.get(&address)
    }

    pub(crate) fn is_gateway(&self, address: IpAddr) -> bool {
        self.links.iter().any(|link| link.gateway.parse() == Ok(address))
    }

    /// Names of an address: its resolver's first, then those it announced.
    pub(crate) fn names(&mut self, address: IpAddr, end: Instant) -> Vec<String> {
        let mut names = self.reverse(address, end);
        let text = address.to_string();
        let own = self.services.iter().filter(|service| service.addresses.contains(&text));
        names.extend(own.map(|service| tame(&service.host)).filter(|name| !name.is_empty()));
        let mut seen = Vec::new();
        names.retain(|name| {
            !seen.contains(name) && {
                seen.push(name.clone());
                true
            }
        });
        names
    }

    fn reverse(&mut self, address: IpAddr, end: Instant) -> Vec<String> {
        if self.resolver_failed >= PATIENCE || left(end).is_zero() {
            return Vec::new();
        }
        match lan::reverse(address) {
            Ok(names) => {
                self.resolver_failed = 0;
                names
            }
            Err(error) => {
                // refused once, refused always
                self.resolver_failed = if matches!(error, Error::Denied(_)) {
                    PATIENCE
                } else {
                    self.resolver_failed + 1
                };
                if self.resolver_failed >= PATIENCE {
                    log::info!("names of addresses are left out: {error}");
                }
                Vec::new()
            }
        }
    }

    /// Kinds of services an address announced by mDNS.
    pub(crate) fn kinds(&self, address: IpAddr) -> Vec<String> {
        let text = address.to_string();
        let own = self.services.iter().filter(|service| service.addresses.contains(&text));
        let mut kinds: Vec<String> = own.map(|service| service.kind.clone()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// What an address says of itself by SSDP.
    pub(crate) fn ssdp(&self, address: IpAddr) -> Vec<String> {
        let text = address.to_string();
        let own = self.devices.iter().filter(|device| device.address == text);
        let mut said: Vec<String> = own
            .flat_map(|device| [tame(&device.target), tame(&device.server)])
            .filter(|text| !text.is_empty())
            .collect();
        said.sort_unstable();
        said.dedup();
        said
    }

    /// Names in the certificate of a TLS server; none when it is no TLS server. The handshake waits for its `turn`, which
    /// is told how long it may take to come.
    pub(crate) fn tls_names(
        &mut self,
        address: IpAddr,
        port: u16,
        end: Instant,
        turn: impl FnOnce(Duration) -> bool,
    ) -> Option<Vec<String>> {
        if self.no_tls || !turn(left(end)) {
            return None;
        }
        let time = left(end).min(HANDSHAKE);
        if time.is_zero() {
            return None;
        }
        match lan::peek_tls(address, port, "", time) {
            Ok(session) => Some(certificate::names(&session.chain)),
            Err(error) => {
                if let Error::Denied(refusal) = &error {
                    self.no_tls = true;
                    log::info!("names in certificates are left out: {refusal}");
                }
                None
            }
        }
    }

    /// Which network a target is: that of the link it is on. Its gateway's MAC names it, for private addresses are in use
    /// everywhere; without one the gateway's address and the network have to do. A target elsewhere has none.
    pub(crate) fn fingerprint(&self, target: &Target) -> Option<Fingerprint> {
        let link = self.links.iter().find(|link| {
            let network = format!("{}/{}", link.address, link.prefix).parse::<ipnet::IpNet>();
            network.is_ok_and(|network| network.contains(&target.network))
        })?;
        let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let (gateway_ip, gateway_mac) = (known(&link.gateway), known(&link.gateway_mac));
        let network = format!("{}/{}", link.address, link.prefix)
            .parse::<ipnet::IpNet>()
            .ok()?
            .trunc();
        let named = match (&gateway_mac, &gateway_ip) {
            (Some(mac), _) => format!("gateway {}", mac.to_ascii_lowercase()),
            (None, Some(ip)) => format!("gateway {ip} of {network}"),
            // nothing but a range that everybody uses
            (None, None) => return None,
        };
        let digest = Sha256::digest(named);
        Some(Fingerprint {
            fingerprint_hash: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            gateway_ip,
            gateway_mac,
        })
    }
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// What was told, or nothing: none of it is worth failing for.
fn granted<T>(what: &str, told: Result<Vec<T>>) -> Vec<T> {
    told.unwrap_or_else(|error| {
        log::info!("{what} are left out: {error}");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use venom_sdk::fake::Host;

    use super::*;
    use crate::target::targets;

    fn link(gateway: &str, gateway_mac: &str) -> Link {
        Link {
            name: "eth0".to_owned(),
            address: "192.168.1.5".to_owned(),
            prefix: 24,
            mac: "02:00:00:00:00:05".to_owned(),
            gateway: gateway.to_owned(),
            gateway_mac: gateway_mac.to_owned(),
        }
    }

    fn fingerprint(link: Link, target: &str) -> Option<Fingerprint> {
        let _host = Host::new().links([link]).install();
        let target = targets(&[target.to_owned()], || Ok(Vec::new())).unwrap().remove(0);
        Surroundings::with_links().fingerprint(&target)
    }

    #[test]
    fn a_network_is_named_by_its_gateway() {
        let by_mac = fingerprint(link("192.168.1.1", "AA:00:00:00:00:01"), "192.168.1.0/24").unwrap();
        assert_eq!(by_mac.fingerprint_hash.len(), 64);
        assert_eq!(by_mac.gateway_ip.as_deref(), Some("192.168.1.1"));
        let part = fingerprint(link("192.168.1.1", "aa:00:00:00:00:01"), "192.168.1.7").unwrap();
        assert_eq!(
            part.fingerprint_hash, by_mac.fingerprint_hash,
            "a part of it is in the same network"
        );
        let other = fingerprint(link("192.168.1.1", "aa:00:00:00:00:02"), "192.168.1.0/24").unwrap();
        assert_ne!(other.fingerprint_hash, by_mac.fingerprint_hash);
        let by_ip = fingerprint(link("192.168.1.1", ""), "192.168.1.0/24").unwrap();
        assert_ne!(by_ip.fingerprint_hash, by_mac.fingerprint_hash);
        assert_eq!(fingerprint(link("", ""), "192.168.1.0/24"), None);
        assert_eq!(
            fingerprint(link("192.168.1.1", ""), "10.0.0.0/24"),
            None,
            "it is elsewhere"
        );
    }

    #[test]
    fn nothing_granted_is_nothing_told() {
        let host = Host::new().install();
        let mut none = Surroundings::with_links();
        none.meet_neighbours();
        let end = Instant::now() + Duration::from_secs(60);
        none.listen(end);
        let address = "192.168.1.7".parse().unwrap();
        assert_eq!(none.names(address, end), [""; 0]);
        let mut tls = |port| none.tls_names(address, port, end, |_| true);
        assert_eq!((tls(443), tls(8443)), (None, None));
        assert_eq!(none.mac(address), None);
        assert_eq!(host.peeks().len(), 1, "refused once, asked no more");
    }
}
