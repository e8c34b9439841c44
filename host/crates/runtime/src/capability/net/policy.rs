//! The address rules of one skill: pure, made once when the skill is loaded. It knows no call and no socket.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use venom_bundle::capability::{Grants, NetGrant, NetProtocol};

use super::name::is_literal;
use super::{NamePattern, Special, embedded, normalise, specials};
use crate::capability::refusal::policy_key;
use crate::capability::{GrantError, Refusal};

/// Which peers and names a skill may reach.
#[derive(Debug, Clone)]
pub struct AddressPolicy {
    skill: String,
    rules: Vec<Rule>,
    names: Vec<NamePattern>,
    denied: Vec<SocketAddr>,
}

#[derive(Debug, Clone)]
struct Rule {
    peer: Peer,
    ports: Vec<RangeInclusive<u16>>,
    protocols: Vec<NetProtocol>,
}

#[derive(Debug, Clone)]
enum Peer {
    Range(IpNet),
    Any,
    Name(NamePattern),
}

impl AddressPolicy {
    /// Reads the net and dns grants of `skill`. `denied` are the nexus's addresses (port 0: every port).
    ///
    /// # Errors
    /// One for each grant that makes no sense.
    pub fn new(skill: &str, grants: &Grants, denied: &[SocketAddr]) -> Result<Self, Vec<GrantError>> {
        let mut errors = Vec::new();
        let mut policy = Self {
            skill: skill.to_owned(),
            rules: Vec::new(),
            names: Vec::new(),
            denied: denied.iter().map(|address| canonical(*address)).collect(),
        };
        for grant in &grants.net {
            match Rule::read(grant) {
                Ok(rule) => policy.rules.push(rule),
                Err(problem) => errors.push(GrantError::new("net", &grant.to, problem)),
            }
        }
        for name in &grants.dns {
            match NamePattern::parse(name) {
                Ok(pattern) => policy.names.push(pattern),
                Err(problem) => errors.push(GrantError::new("dns", name, problem)),
            }
        }
        if errors.is_empty() { Ok(policy) } else { Err(errors) }
    }

    /// The skill the policy is for.
    #[must_use]
    pub fn skill(&self) -> &str {
        &self.skill
    }

    /// Whether any peer can be reached by this transport at all.
    #[must_use]
    pub fn allows(&self, protocol: NetProtocol) -> bool {
        self.rules.iter().any(|rule| rule.protocols.contains(&protocol))
    }

    /// Whether a peer may be reached. `learned` answers which names the call itself resolved to an address.
    ///
    /// # Errors
    /// The refusal, with the grant that would allow it.
    pub fn check<'a>(
        &self,
        peer: SocketAddr,
        protocol: NetProtocol,
        learned: impl Fn(IpAddr) -> &'a [String],
    ) -> Result<(), Refusal> {
        let peer = canonical(peer);
        let names = learned(peer.ip());
        let rules = self.rules.iter().filter(|rule| rule.fits(peer.port(), protocol));
        let matching: Vec<&Rule> = rules.filter(|rule| rule.reaches(peer.ip(), names)).collect();
        for special in self.specials_of(peer) {
            if !matching.iter().any(|rule| rule.is_inside(special.range)) {
                return Err(self.refuse(peer, protocol, special_reason(special)));
            }
        }
        if matching.is_empty() {
            return Err(self.refuse(peer, protocol, self.reason(peer, protocol)));
        }
        Ok(())
    }

    /// Whether any grant reaches an address, on whatever port: such addresses a skill may be told of.
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        let ip = address.to_canonical();
        let matching: Vec<&Rule> = self.rules.iter().filter(|rule| rule.reaches(ip, &[])).collect();
        let named = |special: Special| matching.iter().any(|rule| rule.is_inside(special.range));
        !matching.is_empty() && self.specials_of(SocketAddr::new(ip, 0)).into_iter().all(named)
    }

    /// The same as an answer, for a question about one address.
    ///
    /// # Errors
    /// The refusal, with the grant that would allow it.
    pub fn check_known(&self, address: IpAddr, question: &str) -> Result<(), Refusal> {
        if self.knows(address) {
            return Ok(());
        }
        let skill = policy_key(&self.skill);
        Err(Refusal {
            capability: "lan",
            target: format!("{question} {address}"),
            reason: "no net grant reaches the address".to_owned(),
            missing_grant: format!("[[skills.{skill}.net]]\nto = \"{address}\"\nports = [\"*\"]"),
        })
    }

    /// Whether any grant reaches any address of a network: only there are questions asked of all.
    #[must_use]
    pub fn touches(&self, network: IpNet) -> bool {
        let network = network.trunc();
        let special = specials(network.addr());
        self.rules.iter().any(|rule| {
            let overlaps = match &rule.peer {
                Peer::Any => true,
                Peer::Range(range) => range.contains(&network) || network.contains(range),
                Peer::Name(_) => false,
            };
            overlaps && special.iter().all(|special| rule.is_inside(special.range))
        })
    }

    /// Whether a name may be looked up. Names of net grants are; addresses always are, since nothing is asked.
    ///
    /// # Errors
    /// The refusal, with the grant that would allow it.
    pub fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let wanted = normalise(name);
        let granted = self.names.iter().any(|pattern| pattern.matches(&wanted))
            || self
                .rules
                .iter()
                .any(|rule| rule.peer_name().is_some_and(|pattern| pattern.matches(&wanted)));
        if granted || is_literal(name) {
            return Ok(());
        }
        Err(Refusal {
            capability: "dns",
            target: wanted.clone(),
            reason: "the name is not granted for look-up".to_owned(),
            missing_grant: format!("[skills.{}]\ndns = [{wanted:?}]", policy_key(&self.skill)),
        })
    }

    fn specials_of(&self, peer: SocketAddr) -> Vec<Special> {
        let mut found = specials(peer.ip());
        let carried = embedded(peer.ip());
        let is_it = |denied: &&SocketAddr| {
            let same = denied.ip() == peer.ip() || carried.iter().any(|inner| IpAddr::V4(*inner) == denied.ip());
            same && (denied.port() == 0 || denied.port() == peer.port())
        };
        if self.denied.iter().any(|denied| is_it(&denied)) {
            found.push(Special {
                range: IpNet::from(peer.ip()),
                what: "the nexus's addresses",
            });
        }
        found
    }

    fn reason(&self, peer: SocketAddr, protocol: NetProtocol) -> String {
        let reached = |rule: &&Rule| rule.reaches(peer.ip(), &[]);
        if self.rules.iter().any(|rule| reached(&rule)) {
            return format!(
                "the address is granted, but not {} port {}",
                word(protocol),
                peer.port()
            );
        }
        if self.rules.iter().any(|rule| rule.peer_name().is_some()) {
            return "no grant reaches it; a host name's grant reaches only addresses this call looked up".to_owned();
        }
        "no grant reaches it".to_owned()
    }

    fn refuse(&self, peer: SocketAddr, protocol: NetProtocol, reason: String) -> Refusal {
        let skill = policy_key(&self.skill);
        let (ip, port, word) = (peer.ip(), peer.port(), word(protocol));
        Refusal {
            capability: "net",
            target: format!("{word} {peer}"),
            reason,
            missing_grant: format!(
                "[[skills.{skill}.net]]\nto = \"{ip}\"\nports = [\"{port}\"]\nprotocols = [\"{word}\"]"
            ),
        }
    }
}

impl Rule {
    fn read(grant: &NetGrant) -> Result<Self, String> {
        Ok(Self {
            peer: Peer::read(&grant.to)?,
            ports: grant.ports.iter().map(|text| ports(text)).collect::<Result<_, _>>()?,
            protocols: grant.protocols.clone(),
        })
    }

    fn fits(&self, port: u16, protocol: NetProtocol) -> bool {
        self.protocols.contains(&protocol) && self.ports.iter().any(|range| range.contains(&port))
    }

    fn reaches(&self, ip: IpAddr, names: &[String]) -> bool {
        match &self.peer {
            Peer::Any => true,
            Peer::Range(range) => range.contains(&ip),
            Peer::Name(pattern) => names.iter().any(|name| pattern.matches(name)),
        }
    }

    /// Whether it names an address or range within this one.
    fn is_inside(&self, special: IpNet) -> bool {
        matches!(self.peer, Peer::Range(range) if special.contains(&range))
    }

    fn peer_name(&self) -> Option<&NamePattern> {
        match &self.peer {
            Peer::Name(pattern) => Some(pattern),
            Peer::Any => Some(&NamePattern::Any),
            Peer::Range(_) => None,
        }
    }
}

impl Peer {
    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Range(IpNet::from(ip.to_canonical())));
        }
        if let Ok(range) = text.parse::<IpNet>() {
            return Ok(Self::Range(range.trunc()));
        }
        NamePattern::parse(text).map(Self::Name)
    }
}

/// `22`, `8000-9000` or `*`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(1..=u16::MAX);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
        (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(first..=last),
        _ => Err(format!("port `{text}` is none (write 22, 8000-9000 or *)")),
    }
}

fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

fn special_reason(special: Special) -> String {
    format!(
        "{} are reached only by a grant whose `to` is an address or range inside {}",
        special.what, special.range
    )
}

const fn word(protocol: NetProtocol) -> &'static str {
    match protocol {
        NetProtocol::Tcp => "tcp",
        NetProtocol::Udp => "udp",
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
