//! What is scanned: addresses, from targets as people write them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use venom_sdk::lan::Link;
use venom_sdk::{Error, Result};

/// Most addresses of one call.
pub(crate) const MOST_ADDRESSES: usize = 65_536;
/// Longest part of an own network that is scanned unless it is named.
const OWN_PREFIX: u8 = 22;

/// One target: as written, and the network it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) text: String,
    pub(crate) network: IpNet,
}

impl Target {
    /// A CIDR or an address.
    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let network = text
            .parse::<IpAddr>()
            .map(IpNet::from)
            .or_else(|_| text.parse::<IpNet>())
            .map_err(|_| {
                Error::invalid_params(format!(
                    "parameter `targets`: `{}` is no CIDR and no address: write 192.168.1.0/24 or 192.168.1.7",
                    text.chars().take(64).collect::<String>()
                ))
            })?;
        let network = network.trunc();
        let known = match network {
            IpNet::V4(network) => u64::from(u32::MAX >> network.prefix_len().min(31)) + 1,
            IpNet::V6(network) => 1_u64
                .checked_shl(u32::from(128 - network.prefix_len()))
                .unwrap_or(u64::MAX),
        };
        if known > MOST_ADDRESSES as u64 {
            return Err(Error::invalid_params(format!(
                "parameter `targets`: {text} has more than {MOST_ADDRESSES} addresses: name smaller networks"
            )));
        }
        Ok(Self {
            text: network_text(network),
            network,
        })
    }

    /// The addresses of hosts: without the network's own and the broadcast address, where there are such.
    pub(crate) fn hosts(&self) -> Vec<IpAddr> {
        self.network.hosts().collect()
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.network.contains(&address)
    }
}

/// An address alone is written without a prefix.
fn network_text(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// The targets named, or the machine's own IPv4 networks when none are.
pub(crate) fn targets(named: &[String], links: impl FnOnce() -> Result<Vec<Link>>) -> Result<Vec<Target>> {
    let mut targets: Vec<Target> = Vec::new();
    let mut add = |target: Target| {
        if !targets.contains(&target) {
            targets.push(target);
        }
    };
    if named.is_empty() {
        links()?.iter().filter_map(own).for_each(&mut add);
    } else {
        for text in named {
            add(Target::parse(text)?);
        }
    }
    if targets.is_empty() {
        return Err(Error::invalid_params(
            "parameter `targets`: none are named, and no network of this machine is within the skill's net grants",
        ));
    }
    let addresses: usize = targets
        .iter()
        .map(|target| target.network.hosts().take(MOST_ADDRESSES + 1).count())
        .sum();
    if addresses > MOST_ADDRESSES {
        return Err(Error::invalid_params(format!(
            "parameter `targets`: {addresses} addresses are more than {MOST_ADDRESSES}: name fewer"
        )));
    }
    Ok(targets)
}

/// The network of a link, or the part of a large one that the machine itself is in.
fn own(link: &Link) -> Option<Target> {
    let address: Ipv4Addr = link.address.parse().ok()?;
    if address.is_loopback() || address.is_link_local() || link.prefix > 32 {
        return None;
    }
    let network = IpNet::V4(Ipv4Net::new(address, link.prefix.max(OWN_PREFIX)).ok()?.trunc());
    Some(Target {
        text: network_text(network),
        network,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(named: &[&str]) -> Result<Vec<Target>> {
        let named: Vec<String> = named.iter().map(|&text| text.to_owned()).collect();
        targets(&named, || Ok(Vec::new()))
    }

    fn texts(targets: Vec<Target>) -> Vec<String> {
        targets.into_iter().map(|target| target.text).collect()
    }

    #[test]
    fn targets_are_normal_and_each_once() {
        let named = of(&[
            "192.168.1.77/24",
            " 192.168.1.0/24",
            "10.0.0.7",
            "fd00::7",
            "10.0.0.7/32",
        ])
        .unwrap();
        let hosts: Vec<usize> = named.iter().map(|target| target.hosts().len()).collect();
        assert_eq!(hosts, [254, 1, 1]);
        assert_eq!(texts(named), ["192.168.1.0/24", "10.0.0.7", "fd00::7"]);
    }

    #[test]
    fn what_is_no_target_or_too_large_is_refused() {
        for odd in [
            "",
            "host.example",
            "10.0.0.0/33",
            "10.0.0.0/8",
            "fd00::/64",
            "0.0.0.0/0",
            "::/0",
        ] {
            assert!(matches!(of(&[odd]), Err(Error::InvalidParams(_))), "{odd}");
        }
        assert_eq!(of(&["10.0.0.0/16"]).unwrap()[0].hosts().len(), 65_534);
        assert!(of(&["10.0.0.0/16", "10.1.0.0/24"]).is_err(), "together");
    }

    #[test]
    fn without_targets_it_is_the_own_networks() {
        let link = |address: &str, prefix| Link {
            address: address.to_owned(),
            prefix,
            ..Link::default()
        };
        let links = vec![
            link("127.0.0.1", 8),
            link("192.168.7.9", 24),
            link("10.1.2.3", 8),
            link("169.254.1.1", 16),
            link("fd00::1", 64),
            link("192.168.7.10", 24),
        ];
        let own = targets(&[], || Ok(links)).unwrap();
        assert_eq!(texts(own), ["192.168.7.0/24", "10.1.0.0/22"]);
        assert!(targets(&[], || Ok(Vec::new())).is_err());
        assert_eq!(targets(&[], || Err(Error::Cancelled)), Err(Error::Cancelled));
    }
}
