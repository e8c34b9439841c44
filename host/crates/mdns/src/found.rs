//! What an announcement of somebody else is read into. Whatever is too large, no text, or not what an announcement of
//! Venom looks like is ignored as a whole, with the reason.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use mdns_sd::{ResolvedService, TxtProperties};
use venom_protocol::AgentId;

use crate::{Role, SERVICE};

/// Entries of a TXT record that are still read; an announcement of ours has six.
const MOST_PROPERTIES: usize = 32;
/// Bytes of a TXT record, keys and values together.
const MOST_BYTES: usize = 2_048;
/// Addresses of one announcement.
const MOST_ADDRESSES: usize = 16;
/// Bytes of a name.
const LONGEST_NAME: usize = 255;
/// Bytes of a version.
const LONGEST_VERSION: usize = 64;
/// Bytes of a path.
const LONGEST_PATH: usize = 128;

/// Somebody who announces itself as a part of Venom. Nothing in it is true just because it was said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// What it says it is.
    pub role: Role,
    /// `venom-{hostname}`, unique in the LAN.
    pub instance: String,
    /// `venom-{hostname}.local`.
    pub host: String,
    /// The name of its machine, as it says.
    pub hostname: Option<String>,
    /// Where its host is, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// The port it listens on; 0: none.
    pub port: u16,
    /// Its id.
    pub id: Option<AgentId>,
    /// Its version.
    pub version: Option<String>,
    /// The path its REST begins at.
    pub path: String,
    /// Whether it says it speaks TLS.
    pub tls: bool,
}

impl Found {
    /// URLs it may answer at, the likeliest first: its addresses, then its name. Empty for what listens nowhere. Link-local
    /// addresses of IPv6 are left out: a URL cannot say by which interface they are reached.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        if self.port == 0 {
            return Vec::new();
        }
        let scheme = if self.tls { "https" } else { "http" };
        let path = self.path.trim_end_matches('/');
        let port = self.port;
        let addresses = self.addresses.iter().filter_map(|address| match address {
            IpAddr::V4(v4) => Some(format!("{scheme}://{v4}:{port}{path}")),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => None,
            IpAddr::V6(v6) => Some(format!("{scheme}://[{v6}]:{port}{path}")),
        });
        addresses
            .chain([format!("{scheme}://{}:{port}{path}", self.host)])
            .collect()
    }

    /// Reads an announcement, or says what is wrong with it.
    pub(crate) fn read(resolved: &ResolvedService) -> Result<Self, &'static str> {
        let properties = Properties::of(&resolved.txt_properties)?;
        let host = resolved.host.trim_end_matches('.').to_owned();
        if !is_host(&host) {
            return Err("its host is none of the LAN");
        }
        let role = match properties.text("role")? {
            Some("nexus") => Role::Nexus,
            Some("spore") => Role::Spore,
            Some(_) => return Err("its role is none"),
            // announced by what is older than roles
            None if host == "venom.local" => Role::Nexus,
            None => Role::Spore,
        };
        if role == Role::Nexus && resolved.port == 0 {
            return Err("a nexus without a port");
        }
        let found = Self {
            role,
            instance: instance(&resolved.fullname)?,
            host,
            hostname: properties.checked("hostname", |text| text.len() <= LONGEST_NAME)?,
            addresses: addresses(resolved)?,
            port: resolved.port,
            id: match properties.text("id")? {
                Some(text) => Some(text.parse().map_err(|_| "its id is none")?),
                None => None,
            },
            version: properties.checked("version", is_version)?,
            path: properties.checked("path", is_path)?.unwrap_or_else(|| "/".to_owned()),
            tls: match properties.text("tls")? {
                Some("1") => true,
                None | Some("0") => false,
                Some(_) => return Err("its tls is neither 0 nor 1"),
            },
        };
        Ok(found)
    }
}

struct Properties<'a>(&'a TxtProperties);

impl<'a> Properties<'a> {
    fn of(properties: &'a TxtProperties) -> Result<Self, &'static str> {
        let bytes: usize = properties
            .iter()
            .map(|property| property.key().len() + property.val().map_or(0, <[u8]>::len) + 2)
            .sum();
        if properties.len() > MOST_PROPERTIES || bytes > MOST_BYTES {
            return Err("its txt record is too large");
        }
        Ok(Self(properties))
    }

    /// A value, when it is one line of printable ASCII.
    fn text(&self, key: &str) -> Result<Option<&'a str>, &'static str> {
        let Some(bytes) = self.0.get_property_val(key).flatten() else {
            return Ok(None);
        };
        match std::str::from_utf8(bytes) {
            Ok(text) if is_printable(text) => Ok(Some(text)),
            _ => Err("its txt record is no text"),
        }
    }

    fn checked(&self, key: &str, is_right: impl Fn(&str) -> bool) -> Result<Option<String>, &'static str> {
        match self.text(key)? {
            Some(text) if is_right(text) => Ok(Some(text.to_owned())),
            Some(_) => Err("a value of its txt record is none"),
            None => Ok(None),
        }
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn is_version(text: &str) -> bool {
    (1..=LONGEST_VERSION).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.len() <= LONGEST_PATH
        && !text.contains("//")
        && !text.contains("..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte))
}

/// Names of the LAN only: whoever announces must not send anybody to a name of the internet.
fn is_host(host: &str) -> bool {
    let labels = host.strip_suffix(".local");
    host.len() <= LONGEST_NAME
        && labels.is_some_and(|labels| {
            labels.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            })
        })
}

fn instance(fullname: &str) -> Result<String, &'static str> {
    let name = fullname
        .len()
        .checked_sub(SERVICE.len())
        .and_then(|length| fullname.split_at_checked(length))
        .filter(|(_, service)| service.eq_ignore_ascii_case(SERVICE))
        .and_then(|(name, _)| name.strip_suffix('.'));
    match name {
        Some(name) if (1..=LONGEST_NAME).contains(&name.len()) && is_printable(name) => Ok(name.to_owned()),
        _ => Err("its name is no text"),
    }
}

/// IPv4 first. Addresses nobody can be at are left out; too many make the whole announcement suspect.
fn addresses(resolved: &ResolvedService) -> Result<Vec<IpAddr>, &'static str> {
    let all: BTreeSet<IpAddr> = resolved.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr).collect();
    if all.len() > MOST_ADDRESSES {
        return Err("it has too many addresses");
    }
    let kept: Vec<IpAddr> = all.into_iter().filter(|address| is_of_a_machine(*address)).collect();
    if kept.is_empty() {
        return Err("it has no address");
    }
    Ok(kept)
}

fn is_of_a_machine(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_unspecified() || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || holds_v4(v6)),
    }
}

/// An IPv4 address in disguise would say what an A record may not.
fn holds_v4(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

#[cfg(test)]
mod tests {
    use mdns_sd::ServiceInfo;

    use super::*;

    struct Told<'a> {
        instance: &'a str,
        host: &'a str,
        addresses: &'a str,
        port: u16,
        properties: Vec<(String, Vec<u8>)>,
    }

    fn told() -> Told<'static> {
        Told {
            instance: "venom-pi",
            host: "venom-pi.local.",
            addresses: "10.0.0.5,fd00::5,fe80::5",
            port: 8000,
            properties: [
                ("role", "nexus"),
                ("version", "0.1.0"),
                ("hostname", "pi"),
                ("id", "a-1"),
                ("path", "/venom"),
                ("tls", "1"),
            ]
            .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
            .to_vec(),
        }
    }

    impl Told<'_> {
        fn with(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
            self.properties.retain(|(name, _)| name != key);
            self.properties.push((key.to_owned(), value.as_ref().to_vec()));
            self
        }

        fn without(mut self, key: &str) -> Self {
            self.properties.retain(|(name, _)| name != key);
            self
        }

        fn read(&self) -> Result<Found, &'static str> {
            let properties: Vec<mdns_sd::TxtProperty> = self
                .properties
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice()).into())
                .collect();
            let info = ServiceInfo::new(SERVICE, self.instance, self.host, self.addresses, self.port, properties);
            Found::read(&info.unwrap().as_resolved_service())
        }
    }

    #[test]
    fn everything_that_is_said_is_read() {
        let found = told().read().unwrap();
        assert_eq!(
            (found.role, found.instance.as_str(), found.host.as_str()),
            (Role::Nexus, "venom-pi", "venom-pi.local")
        );
        assert_eq!(found.hostname.as_deref(), Some("pi"));
        assert_eq!((found.id.unwrap().as_str(), found.port), ("a-1", 8000));
        assert_eq!(found.version.as_deref(), Some("0.1.0"));
        let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.0.5", "fd00::5", "fe80::5"]);
    }

    #[test]
    fn urls_are_addresses_then_the_name() {
        assert_eq!(
            told().read().unwrap().urls(),
            [
                "https://10.0.0.5:8000/venom",
                "https://[fd00::5]:8000/venom",
                "https://venom-pi.local:8000/venom"
            ]
        );
        let plain = told().without("tls").with("path", "/").read().unwrap();
        assert_eq!(plain.urls()[0], "http://10.0.0.5:8000");
        let spore = Told { port: 0, ..told() }.with("role", "spore").read().unwrap();
        assert_eq!(spore.urls(), [""; 0]);
    }

    #[test]
    fn what_is_older_than_roles_is_told_by_its_host() {
        let old = || {
            let properties = vec![("version".to_owned(), b"1.2".to_vec())];
            Told { properties, ..told() }
        };
        assert_eq!(old().read().unwrap().role, Role::Spore);
        let host = "venom.local.";
        let nexus = Told { host, ..old() }.read().unwrap();
        assert_eq!((nexus.role, nexus.path.as_str(), nexus.tls), (Role::Nexus, "/", false));
    }

    #[test]
    fn what_an_announcement_must_not_say_makes_it_ignored() {
        let bad: &[(&str, &[u8])] = &[
            ("role", b"admin"),
            ("role", b"\xff\xfe"),
            ("version", b""),
            ("version", b"1.0\x1b[31m"),
            ("version", &[b'1'; 65]),
            ("version", b"1 0"),
            ("id", b"a/b"),
            ("id", b""),
            ("id", &[b'a'; 129]),
            ("hostname", b"pi\nevil"),
            ("hostname", b"\0"),
            ("path", b"venom"),
            ("path", b"/?token=x"),
            ("path", b"/a#b"),
            ("path", b"/../x"),
            ("path", b"//evil.example"),
            ("path", b"/@evil.example"),
            ("path", &[b'/'; 1]),
            ("tls", b"yes"),
        ];
        for (key, value) in bad {
            let read = told().with(key, value).read();
            let is_fine = *value == b"/";
            assert_eq!(read.is_ok(), is_fine, "{key} {value:?}");
        }
        let long = [b'/'; 1].into_iter().chain([b'a'; 128]).collect::<Vec<u8>>();
        assert!(told().with("path", long).read().is_err());
    }

    #[test]
    fn names_and_ports_that_are_none_make_it_ignored() {
        for host in [
            "evil.example.",
            "local.",
            ".local.",
            "-a.local.",
            "a b.local.",
            "a_b.local.",
        ] {
            assert!(Told { host, ..told() }.read().is_err(), "{host}");
        }
        for instance in ["venom\u{1b}[2J", "venom\n", "b\u{fc}ro"] {
            assert!(Told { instance, ..told() }.read().is_err(), "{instance:?}");
        }
        assert!(Told { port: 0, ..told() }.read().is_err(), "a nexus listens somewhere");
    }

    #[test]
    fn addresses_nobody_is_at_are_left_out_and_too_many_are_suspect() {
        let addresses = "0.0.0.0,127.0.0.1,224.0.0.251,255.255.255.255,::,::1,ff02::fb,::ffff:10.0.0.9";
        assert!(Told { addresses, ..told() }.read().is_err());
        let with_one = format!("{addresses},10.0.0.7");
        let addresses = &with_one;
        let one = Told { addresses, ..told() }.read().unwrap();
        assert_eq!(one.addresses, ["10.0.0.7".parse::<IpAddr>().unwrap()]);
        let many: Vec<String> = (1..=17).map(|last| format!("10.0.0.{last}")).collect();
        let addresses = &many.join(",");
        assert!(Told { addresses, ..told() }.read().is_err());
    }

    #[test]
    fn a_huge_record_is_ignored_and_unknown_keys_are_not_read() {
        let many = (0..40).fold(told(), |told, number| told.with(&format!("k{number}"), "v"));
        assert!(many.read().is_err());
        let large = (0..10).fold(told(), |told, number| told.with(&format!("k{number}"), [b'v'; 240]));
        assert!(large.read().is_err());
        assert!(told().with("vendor", b"\xff\0\x1b").read().is_ok());
    }
}
