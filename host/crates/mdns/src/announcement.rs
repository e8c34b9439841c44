//! What is announced: names and the TXT record. Made from what this machine is; no secret has a place in it.

use std::net::IpAddr;

use venom_protocol::AgentId;

/// Longest label of DNS.
const LONGEST_LABEL: usize = 63;
/// Room kept in it for `venom-` and the number of a namesake.
const LONGEST_HOST: usize = LONGEST_LABEL - "venom-".len() - "-99999".len();

/// What an announced process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A control plane.
    Nexus,
    /// A worker.
    Spore,
}

impl Role {
    /// As it is written in the TXT record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nexus => "nexus",
            Self::Spore => "spore",
        }
    }
}

/// What a process announces of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// What it is.
    pub role: Role,
    /// The name of its machine; what is no letter, digit or hyphen in it is left out of the announced names.
    pub hostname: String,
    /// Where it listens: an unspecified address stands for all of its family (`::` for both), 0 as the port for a spore,
    /// which listens nowhere.
    pub address: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// Its id, when it has one.
    pub id: Option<AgentId>,
    /// The path its REST begins at.
    pub path: String,
    /// Its version.
    pub version: String,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl Announcement {
    /// `venom-{hostname}`, with the number of a namesake behind it from 2 on.
    pub(crate) fn instance(&self, number: u32) -> String {
        let label = label(&self.hostname);
        match number {
            0 | 1 => format!("venom-{label}"),
            _ => format!("venom-{label}-{number}"),
        }
    }

    /// `venom-{hostname}.local.`
    pub(crate) fn host(&self) -> String {
        format!("venom-{}.local.", label(&self.hostname))
    }

    /// The TXT record.
    pub(crate) fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("role", self.role.as_str().to_owned()),
            ("version", self.version.clone()),
            ("hostname", label(&self.hostname)),
            ("path", self.path.clone()),
        ];
        if let Some(id) = &self.id {
            properties.push(("id", id.to_string()));
        }
        if self.tls {
            properties.push(("tls", "1".to_owned()));
        }
        properties
    }

    /// Whether it can be reached by that address of this machine.
    pub(crate) fn is_reached_by(&self, address: IpAddr) -> bool {
        match self.address {
            IpAddr::V4(any) if any.is_unspecified() => address.is_ipv4(),
            IpAddr::V6(any) if any.is_unspecified() => true,
            one => one == address,
        }
    }
}

/// The first part of a host's name, as a label of DNS.
fn label(hostname: &str) -> String {
    let first = hostname.split('.').next().unwrap_or_default();
    let kept = first.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    let kept: String = kept.take(LONGEST_HOST).collect();
    match kept.trim_matches('-') {
        "" => "host".to_owned(),
        kept => kept.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nexus(hostname: &str) -> Announcement {
        Announcement {
            role: Role::Nexus,
            hostname: hostname.to_owned(),
            address: "0.0.0.0".parse().unwrap(),
            port: 8000,
            id: None,
            path: "/".to_owned(),
            version: "0.1.0".to_owned(),
            tls: false,
        }
    }

    #[test]
    fn names_are_made_of_the_host_name() {
        for (hostname, instance) in [
            ("pi", "venom-pi"),
            ("pi.fritz.box", "venom-pi"),
            ("Büro_7", "venom-Bro7"),
            ("-x-", "venom-x"),
            ("", "venom-host"),
            ("...", "venom-host"),
        ] {
            assert_eq!(nexus(hostname).instance(1), instance, "{hostname}");
            assert_eq!(nexus(hostname).host(), format!("{instance}.local."));
        }
        assert_eq!(nexus("pi").instance(2), "venom-pi-2");
        assert!(nexus(&"x".repeat(300)).instance(99_999).len() <= LONGEST_LABEL);
    }

    #[test]
    fn a_record_says_what_it_must_and_fits_whatever_the_host_is_called() {
        let mut told = nexus(&"x".repeat(300));
        told.id = Some("y".repeat(128).parse().unwrap());
        told.tls = true;
        let properties = told.properties();
        let keys: Vec<&str> = properties.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["role", "version", "hostname", "path", "id", "tls"]);
        for (key, value) in properties {
            assert!(key.len() + 1 + value.len() <= 255, "{key}");
        }
    }

    #[test]
    fn only_addresses_it_listens_on_are_announced() {
        let v4: IpAddr = "10.0.0.5".parse().unwrap();
        let v6: IpAddr = "fd00::5".parse().unwrap();
        for (bound, reached) in [
            ("0.0.0.0", [true, false]),
            ("::", [true, true]),
            ("10.0.0.5", [true, false]),
            ("fd00::5", [false, true]),
            ("10.0.0.6", [false, false]),
        ] {
            let told = Announcement {
                address: bound.parse().unwrap(),
                ..nexus("pi")
            };
            assert_eq!([v4, v6].map(|address| told.is_reached_by(address)), reached, "{bound}");
        }
    }
}
