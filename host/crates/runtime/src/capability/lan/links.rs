//! Links and neighbours as the system knows them, and the part of them that a skill is told. Where they come from is
//! the system's own module.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use super::system;
use crate::bindings::GuestError;
use crate::bindings::venom::skill::lan::Link;
use crate::capability::net::AddressPolicy;

/// Beginnings of the names that container and virtual machine software gives to links of its own.
const VIRTUAL: [&str; 6] = ["docker", "veth", "virbr", "cni", "flannel", "cali"];
/// Docker's bridges: this, and the first twelve hexadecimal digits of the network's id. Others are anybody's (`br-lan`).
const BRIDGE: &str = "br-";

/// One address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundLink {
    pub(super) name: String,
    pub(super) network: IpNet,
    pub(super) mac: String,
    pub(super) gateway: Option<IpAddr>,
    pub(super) gateway_mac: String,
}

/// One neighbour with a MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundNeighbour {
    pub(super) address: IpAddr,
    pub(super) mac: String,
    pub(super) link: String,
}

/// Whether a link is a container's or a virtual machine's.
pub(super) fn is_virtual(name: &str) -> bool {
    let is_id = |id: &str| id.len() == 12 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    VIRTUAL.iter().any(|beginning| name.starts_with(beginning)) || name.strip_prefix(BRIDGE).is_some_and(is_id)
}

/// This machine's addresses, without those of virtual links.
pub(super) async fn read() -> Result<Vec<FoundLink>, GuestError> {
    let mut found = aside("links", system::links).await?;
    found.retain(|link| !is_virtual(&link.name));
    Ok(found)
}

/// Who is known on this machine's links, without those of virtual ones.
pub(super) async fn read_neighbours() -> Result<Vec<FoundNeighbour>, GuestError> {
    let mut found = aside("neighbours", system::neighbours).await?;
    found.retain(|neighbour| !is_virtual(&neighbour.link));
    Ok(found)
}

/// The tables are the kernel's and there at once, but reading a large one takes a while.
async fn aside<T: Send + 'static>(
    what: &str,
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, GuestError> {
    let outcome = tokio::task::spawn_blocking(read).await;
    let outcome = outcome.unwrap_or_else(|gone| Err(io::Error::other(gone)));
    outcome.map_err(|error| GuestError::Unavailable(format!("{what}: {error}")))
}

impl FoundLink {
    /// What a skill is told of it: nothing when the address itself is not within its grants, and no gateway that is not.
    pub(super) fn seen_by(&self, policy: &AddressPolicy) -> Option<Link> {
        if !policy.knows(self.network.addr()) {
            return None;
        }
        let gateway = self.gateway.filter(|gateway| policy.knows(*gateway));
        Some(Link {
            name: self.name.clone(),
            address: self.network.addr().to_string(),
            prefix: self.network.prefix_len(),
            mac: self.mac.clone(),
            gateway_mac: if gateway.is_some() {
                self.gateway_mac.clone()
            } else {
                String::new()
            },
            gateway: gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use venom_bundle::capability::{Grants, NetGrant, NetProtocol};

    use super::*;

    fn policy(to: &[&str]) -> AddressPolicy {
        let net = to.iter().map(|to| NetGrant {
            to: (*to).to_owned(),
            ports: vec!["443".to_owned()],
            protocols: vec![NetProtocol::Tcp],
        });
        let grants = Grants {
            net: net.collect(),
            ..Grants::default()
        };
        AddressPolicy::new("ProbeSkill", &grants, &[]).unwrap()
    }

    fn link(network: &str, gateway: &str) -> FoundLink {
        FoundLink {
            name: "eth0".to_owned(),
            network: network.parse().unwrap(),
            mac: "02:00:00:00:00:01".to_owned(),
            gateway: Some(gateway.parse().unwrap()),
            gateway_mac: "02:00:00:00:00:fe".to_owned(),
        }
    }

    #[test]
    fn a_link_is_told_within_the_grants_only() {
        let link = link("10.1.0.5/24", "10.1.0.254");
        assert!(link.seen_by(&policy(&["10.2.0.0/16"])).is_none());
        let all = link.seen_by(&policy(&["10.0.0.0/8"])).unwrap();
        assert_eq!((all.address.as_str(), all.prefix), ("10.1.0.5", 24));
        assert_eq!(
            (all.gateway.as_str(), all.gateway_mac.as_str()),
            ("10.1.0.254", "02:00:00:00:00:fe")
        );
        let part = link.seen_by(&policy(&["10.1.0.0/25"])).unwrap();
        assert_eq!((part.gateway.as_str(), part.gateway_mac.as_str()), ("", ""));
    }

    #[test]
    fn loopback_and_link_local_are_told_only_when_named() {
        for (network, wide, named) in [
            ("127.0.0.1/8", "0.0.0.0/0", "127.0.0.0/8"),
            ("169.254.3.4/16", "*", "169.254.3.0/24"),
            ("fe80::1/64", "::/0", "fe80::/10"),
        ] {
            let link = link(network, "10.0.0.1");
            assert!(link.seen_by(&policy(&[wide])).is_none(), "{network} by {wide}");
            assert!(link.seen_by(&policy(&[named])).is_some(), "{network} by {named}");
        }
    }

    #[test]
    fn virtual_links_are_known_by_name() {
        for name in [
            "docker0",
            "vethab12",
            "br-0a1b2c3d4e5f",
            "virbr0",
            "cni0",
            "flannel.1",
            "cali123",
        ] {
            assert!(is_virtual(name), "{name}");
        }
        for name in ["eth0", "enp3s0", "wlan0", "br0", "tun0", "wg0", "lo", "bond0"] {
            assert!(!is_virtual(name), "{name}");
        }
        // OpenWrt's own network, and what people name
        for name in ["br-lan", "br-guest", "br-0a1b", "br-0a1b2c3d4e5f6", "br-office-lan1"] {
            assert!(!is_virtual(name), "{name}");
        }
    }
}
