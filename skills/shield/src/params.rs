//! What callers ask for, and the bounds of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use venom_sdk::{Error, Result};

use crate::port::Module;

/// Most targets of one call.
const TARGETS: usize = 1024;
/// Most ports of a target that are looked at; a host with more is no host but a trap.
pub(crate) const PORTS: usize = 256;
/// Most ports of all targets together: what is remembered of each has to fit into the skill's memory.
const PLACES: usize = 16_384;
/// Longest host name (RFC 1035).
const NAME: usize = 253;

/// A host to look at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Target {
    /// Its address.
    #[schemars(with = "String")]
    pub ip: IpAddr,
    /// TCP ports that are open, as far as is known.
    pub ports: Vec<u16>,
    /// The name by which it is reached: its certificate is compared with it, and HTTPS is asked by it.
    #[serde(default)]
    pub hostname: Option<String>,
}

/// A checked request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) targets: Vec<Target>,
    /// In the order of [`Module::ALL`], each once.
    pub(crate) modules: Vec<Module>,
    pub(crate) timeout: Duration,
    pub(crate) rate: u32,
    pub(crate) concurrency: usize,
}

impl Request {
    pub(crate) fn new(
        targets: Vec<Target>,
        modules: Option<Vec<Module>>,
        timeout_ms: u32,
        rate: u32,
        concurrency: u32,
    ) -> Result<Self> {
        if targets.len() > TARGETS {
            return Err(Error::invalid_params(format!(
                "parameter `targets`: {} are more than the {TARGETS} of one call; split them",
                targets.len()
            )));
        }
        let places: usize = targets.iter().map(|target| target.ports.len().min(PORTS)).sum();
        if places > PLACES {
            return Err(Error::invalid_params(format!(
                "parameter `targets`: {places} ports are more than the {PLACES} of one call; split them"
            )));
        }
        let asked = |module: &Module| modules.as_ref().is_none_or(|modules| modules.contains(module));
        let modules: Vec<Module> = Module::ALL.into_iter().filter(asked).collect();
        if modules.is_empty() {
            return Err(Error::invalid_params(
                "parameter `modules`: empty; leave it out for all",
            ));
        }
        Ok(Self {
            targets: targets.into_iter().map(Target::checked).collect::<Result<_>>()?,
            modules,
            timeout: Duration::from_millis(within("timeout_ms", timeout_ms, 100, 30_000)?.into()),
            rate: within("rate", rate, 1, 1000)?,
            concurrency: within("concurrency", concurrency, 1, 64)? as usize,
        })
    }
}

impl Target {
    /// Its ports in order, each once; a name that is one.
    fn checked(mut self) -> Result<Self> {
        self.ports.sort_unstable();
        self.ports.dedup();
        if self.ports.first() == Some(&0) {
            return Err(Error::invalid_params(format!(
                "parameter `targets`: 0 is no port of {}",
                self.ip
            )));
        }
        self.hostname = self.hostname.filter(|name| !name.is_empty());
        let letter = |it: u8| it.is_ascii_alphanumeric() || b"-_.:".contains(&it);
        match &self.hostname {
            Some(name) if name.len() > NAME || !name.bytes().all(letter) => Err(Error::invalid_params(format!(
                "parameter `targets`: the hostname of {} is none; give letters, digits, hyphens and dots",
                self.ip
            ))),
            _ => Ok(self),
        }
    }

    /// Where it is looked at.
    pub(crate) fn places(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.ports
            .iter()
            .take(PORTS)
            .map(|port| SocketAddr::new(self.ip, *port))
    }
}

fn within(name: &str, given: u32, least: u32, most: u32) -> Result<u32> {
    if (least..=most).contains(&given) {
        return Ok(given);
    }
    Err(Error::invalid_params(format!(
        "parameter `{name}`: expected {least} to {most}, got {given}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(ports: &[u16], hostname: &str) -> Target {
        Target {
            ip: IpAddr::from([192, 0, 2, 1]),
            ports: ports.to_vec(),
            hostname: Some(hostname.to_owned()),
        }
    }

    #[test]
    fn ports_and_modules_are_in_order_and_once() {
        let modules = Some(vec![Module::Ssh, Module::Tls, Module::Ssh]);
        let request = Request::new(vec![target(&[443, 22, 443], "a.example")], modules, 100, 1, 1).unwrap();
        assert_eq!(
            (request.targets[0].ports.as_slice(), request.modules),
            (&[22, 443][..], vec![Module::Tls, Module::Ssh])
        );
        assert_eq!(
            Request::new(vec![target(&[], "")], None, 100, 1, 1).unwrap().modules,
            Module::ALL
        );
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        let refused = |targets: Vec<Target>, modules: Option<Vec<Module>>, numbers: [u32; 3]| match Request::new(
            targets, modules, numbers[0], numbers[1], numbers[2],
        ) {
            Err(Error::InvalidParams(why)) => why,
            other => panic!("{other:?}"),
        };
        for (numbers, name) in [
            ([99, 1, 1], "`timeout_ms`"),
            ([30_001, 1, 1], "`timeout_ms`"),
            ([100, 0, 1], "`rate`"),
            ([100, 1001, 1], "`rate`"),
            ([100, 1, 0], "`concurrency`"),
            ([100, 1, 65], "`concurrency`"),
        ] {
            assert!(refused(vec![], None, numbers).contains(name), "{name}");
        }
        assert!(refused(vec![target(&[0], "")], None, [100, 1, 1]).contains("no port"));
        assert!(refused(vec![target(&[1], "a b\r\nX: y")], None, [100, 1, 1]).contains("hostname"));
        assert!(refused(vec![], Some(vec![]), [100, 1, 1]).contains("`modules`"));
        assert!(refused(vec![target(&[1], ""); TARGETS + 1], None, [100, 1, 1]).contains("1025"));
        let many: Vec<u16> = (1..=255).collect();
        assert!(refused(vec![target(&many, ""); 65], None, [100, 1, 1]).contains("16575 ports"));
    }
}
