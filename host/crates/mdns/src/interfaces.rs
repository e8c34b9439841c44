//! Which network interfaces mDNS is spoken on: those somebody named, or else all but loopback and those that only join
//! containers and virtual machines to this one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// How the names of interfaces begin that lead to containers and virtual machines of this machine only.
const VIRTUAL: [&str; 6] = ["docker", "veth", "virbr", "cni", "flannel", "cali"];
/// Docker's bridges: this, and the first twelve hexadecimal digits of the network's id. Others are anybody's (`br-lan`).
const BRIDGE: &str = "br-";

/// Longest name Linux gives an interface is 15 bytes; others allow a little more.
const LONGEST_NAME: usize = 64;

/// An interface, by its name or by an address it has; with `!` before it, never that one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Selector {
    which: Which,
    never: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Name(String),
    Address(IpAddr),
}

/// A text that selects no interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is neither the name of an interface nor an address (write eth0, 10.0.0.5, or !wlan0 for never that one)"
)]
pub struct InvalidSelector {
    /// What came, cut to 64 characters.
    pub text: String,
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let written = text.trim();
        let (never, name) = match written.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, written),
        };
        if let Ok(address) = name.parse() {
            let which = Which::Address(address);
            return Ok(Self { which, never });
        }
        let is_name = (1..=LONGEST_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"/!,".contains(&byte));
        if is_name {
            let which = Which::Name(name.to_owned());
            return Ok(Self { which, never });
        }
        Err(InvalidSelector {
            text: text.chars().take(64).collect(),
        })
    }
}

impl TryFrom<String> for Selector {
    type Error = InvalidSelector;

    fn try_from(text: String) -> Result<Self, InvalidSelector> {
        text.parse()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let never = if self.never { "!" } else { "" };
        match &self.which {
            Which::Name(name) => write!(f, "{never}{name}"),
            Which::Address(address) => write!(f, "{never}{address}"),
        }
    }
}

impl Selector {
    fn is(&self, link: &Link) -> bool {
        match &self.which {
            Which::Name(name) => *name == link.name,
            Which::Address(address) => *address == link.address,
        }
    }
}

/// The interfaces mDNS is spoken on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces(Vec<Selector>);

impl From<Vec<Selector>> for Interfaces {
    fn from(selectors: Vec<Selector>) -> Self {
        Self(selectors)
    }
}

/// One address of one interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Link {
    /// The interface's name.
    pub name: String,
    /// An address it has.
    pub address: IpAddr,
}

impl Interfaces {
    /// As they were named.
    #[must_use]
    pub fn selectors(&self) -> &[Selector] {
        &self.0
    }

    /// Whether mDNS is spoken there. What is named never wins over what is named.
    #[must_use]
    pub fn admit(&self, link: &Link) -> bool {
        let named = |never: bool| {
            self.0
                .iter()
                .filter(move |selector| selector.never == never)
                .any(|selector| selector.is(link))
        };
        if named(true) {
            return false;
        }
        if self.0.iter().any(|selector| !selector.never) {
            return named(false);
        }
        !link.address.is_loopback() && !is_virtual(&link.name)
    }

    /// Those of this machine that are up now. Point-to-point links carry no multicast and are not among them.
    #[must_use]
    pub fn usable(&self) -> Vec<Link> {
        let mut links: Vec<Link> = if_addrs::get_if_addrs()
            .unwrap_or_default()
            .iter()
            .filter(|interface| interface.is_oper_up() && !interface.is_p2p())
            .map(Link::of)
            .filter(|link| self.admit(link))
            .collect();
        links.sort();
        links
    }
}

fn is_virtual(name: &str) -> bool {
    let is_id = |id: &str| id.len() == 12 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    VIRTUAL.iter().any(|beginning| name.starts_with(beginning)) || name.strip_prefix(BRIDGE).is_some_and(is_id)
}

impl Link {
    pub(crate) fn of(interface: &if_addrs::Interface) -> Self {
        Self {
            name: interface.name.clone(),
            address: interface.ip(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces(selectors: &[&str]) -> Interfaces {
        let selectors: Vec<Selector> = selectors.iter().map(|text| text.parse().unwrap()).collect();
        selectors.into()
    }

    fn admitted(selectors: &[&str]) -> Vec<&'static str> {
        let interfaces = interfaces(selectors);
        let links = [
            ("lo", "127.0.0.1"),
            ("eth0", "10.0.0.5"),
            ("eth0", "fe80::5"),
            ("wlan0", "192.168.1.5"),
            ("docker0", "172.17.0.1"),
            ("docker_gwbridge", "172.18.0.1"),
            ("veth12ab", "fe80::6"),
            ("br-0a1b2c3d4e5f", "172.19.0.1"),
            ("virbr0", "192.168.122.1"),
            ("cni0", "10.42.0.1"),
            ("flannel.1", "10.42.0.0"),
            ("cali12ab", "fe80::7"),
            ("br0", "10.0.1.5"),
            ("br-lan", "10.0.2.5"),
        ];
        let admitted = links.iter().filter(|(name, address)| {
            interfaces.admit(&Link {
                name: (*name).to_owned(),
                address: address.parse().unwrap(),
            })
        });
        admitted.map(|(_, address)| *address).collect()
    }

    #[test]
    fn unless_named_loopback_and_links_to_containers_are_left_out() {
        let own = ["10.0.0.5", "fe80::5", "192.168.1.5", "10.0.1.5", "10.0.2.5"];
        assert_eq!(admitted(&[]), own);
    }

    #[test]
    fn what_is_named_and_nothing_else_is_used() {
        assert_eq!(admitted(&["eth0"]), ["10.0.0.5", "fe80::5"]);
        assert_eq!(admitted(&["10.0.0.5"]), ["10.0.0.5"]);
        assert_eq!(admitted(&["docker0", "192.168.1.5"]), ["192.168.1.5", "172.17.0.1"]);
        assert_eq!(admitted(&["lo"]), ["127.0.0.1"]);
        assert_eq!(admitted(&["nosuch0"]), [""; 0]);
    }

    #[test]
    fn never_wins() {
        assert_eq!(admitted(&["!wlan0"]), ["10.0.0.5", "fe80::5", "10.0.1.5", "10.0.2.5"]);
        assert_eq!(admitted(&["!fe80::5", "!wlan0", "!br0", "!br-lan"]), ["10.0.0.5"]);
        assert_eq!(admitted(&["eth0", "!fe80::5"]), ["10.0.0.5"]);
        assert_eq!(admitted(&["eth0", "!eth0"]), [""; 0]);
    }

    #[test]
    fn selectors_are_written_as_they_are_read() {
        for text in ["eth0", "!eth0", "10.0.0.5", "!fe80::1", "enp3s0f0.100", "flannel.1"] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for text in ["", "!", " ", "a b", "a/b", "a,b", "!!eth0", &"x".repeat(65), "é0"] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }
}
