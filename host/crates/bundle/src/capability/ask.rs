//! What "the asked part of an offer" means for each capability. Every `cut` gives back the offer or something
//! narrower, and nothing that the operator did not write or clearly include.

use std::marker::PhantomData;

use super::peer::{Peer, PortRange, ranges};
use super::settle::Ask;
use super::{
    CacheGrant, CommandGrant, FsGrant, FsRequest, HttpGrant, HttpHost, Lan, NetGrant, NetRequest, SecretGrant, pattern,
    pattern_matches,
};

impl Ask for FsRequest {
    type Offer = FsGrant;

    fn cut(&self, offer: &FsGrant) -> Option<FsGrant> {
        let mine = self.guest == "*" || self.guest == offer.guest;
        mine.then(|| FsGrant {
            access: self.access.min(offer.access),
            ..offer.clone()
        })
    }

    fn satisfied_by(&self, granted: &FsGrant) -> bool {
        granted.access >= self.access || self.guest == "*"
    }

    fn redundant(wide: &FsGrant, narrow: &FsGrant) -> bool {
        wide.guest == narrow.guest && wide.access >= narrow.access
    }

    fn describe(&self) -> String {
        format!("{} {}", self.guest, access(self.access))
    }

    fn describe_offer(offer: &FsGrant) -> String {
        format!("{} {}", offer.guest, access(offer.access))
    }
}

pub(super) fn access(access: super::Access) -> &'static str {
    match access {
        super::Access::Ro => "ro",
        super::Access::Rw => "rw",
    }
}

impl Ask for NetRequest {
    type Offer = NetGrant;

    /// `to` is taken whole or not at all: cut down to an address the manifest chose, `*` would come to name
    /// loopback, which an operator has to write out. Ports and protocols only shrink.
    fn cut(&self, offer: &NetGrant) -> Option<NetGrant> {
        let mine = Peer::parse(&self.to)?.covers(&Peer::parse(&offer.to)?);
        let both = |port: PortRange| ranges(&self.ports).filter_map(move |asked| asked.intersection(port));
        let ports: Vec<_> = ranges(&offer.ports)
            .flat_map(both)
            .map(|port| port.to_string())
            .collect();
        let protocols: Vec<_> = offer
            .protocols
            .iter()
            .filter(|it| self.protocols.contains(it))
            .copied()
            .collect();
        let some = mine && !ports.is_empty() && !protocols.is_empty();
        some.then(|| NetGrant {
            to: offer.to.clone(),
            ports,
            protocols,
        })
    }

    fn satisfied_by(&self, granted: &NetGrant) -> bool {
        let whom = Peer::parse(&granted.to)
            .zip(Peer::parse(&self.to))
            .is_some_and(|(granted, asked)| granted.covers(&asked));
        let has = |asked: PortRange| ranges(&granted.ports).any(|port| port.intersection(asked) == Some(asked));
        whom && ranges(&self.ports).all(has) && self.protocols.iter().all(|it| granted.protocols.contains(it))
    }

    fn describe(&self) -> String {
        net(&self.to, &self.ports, &self.protocols)
    }

    fn describe_offer(offer: &NetGrant) -> String {
        net(&offer.to, &offer.ports, &offer.protocols)
    }
}

fn net(to: &str, ports: &[String], protocols: &[super::NetProtocol]) -> String {
    let protocols: Vec<_> = protocols
        .iter()
        .map(|it| if *it == super::NetProtocol::Tcp { "tcp" } else { "udp" })
        .collect();
    format!("{to} {} {}", protocols.join("+"), ports.join(","))
}

/// An offer with a name, asked for by a pattern of names.
pub(super) trait Named: Clone + PartialEq {
    fn name(&self) -> &str;
}

impl Named for CommandGrant {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for (String, String) {
    fn name(&self) -> &str {
        &self.0
    }
}

impl Named for (String, SecretGrant) {
    fn name(&self) -> &str {
        &self.0
    }
}

/// A pattern of names: commands, environment and configuration keys, secrets.
pub(super) struct NameAsk<T>(String, PhantomData<T>);

impl<T> NameAsk<T> {
    pub(super) fn all(patterns: &[String]) -> Vec<Self> {
        patterns
            .iter()
            .map(|pattern| Self(pattern.clone(), PhantomData))
            .collect()
    }
}

impl<T: Named> Ask for NameAsk<T> {
    type Offer = T;

    fn cut(&self, offer: &T) -> Option<T> {
        pattern_matches(&self.0, offer.name()).then(|| offer.clone())
    }

    fn satisfied_by(&self, granted: &T) -> bool {
        pattern_matches(&self.0, granted.name())
    }

    fn describe(&self) -> String {
        self.0.clone()
    }

    fn describe_offer(offer: &T) -> String {
        offer.name().to_owned()
    }
}

/// Each part of `lan` is a right of its own.
impl Ask for Lan {
    type Offer = Self;

    fn cut(&self, offer: &Self) -> Option<Self> {
        (self == offer).then_some(*offer)
    }

    fn satisfied_by(&self, granted: &Self) -> bool {
        self == granted
    }

    fn describe(&self) -> String {
        self.to_string()
    }

    fn describe_offer(offer: &Self) -> String {
        offer.to_string()
    }
}

/// A pattern offered as a pattern: names to look up, tasks to submit.
pub(super) struct PatternAsk(String);

impl PatternAsk {
    pub(super) fn all(patterns: &[String]) -> Vec<Self> {
        patterns.iter().cloned().map(Self).collect()
    }
}

impl Ask for PatternAsk {
    type Offer = String;

    fn cut(&self, offer: &String) -> Option<String> {
        if pattern::pattern_covers(&self.0, offer) {
            Some(offer.clone())
        } else {
            pattern::pattern_covers(offer, &self.0).then(|| self.0.clone())
        }
    }

    fn satisfied_by(&self, granted: &String) -> bool {
        pattern::pattern_covers(granted, &self.0)
    }

    fn redundant(wide: &String, narrow: &String) -> bool {
        pattern::pattern_covers(wide, narrow)
    }

    fn describe(&self) -> String {
        self.0.clone()
    }

    fn describe_offer(offer: &String) -> String {
        offer.clone()
    }
}

/// An HTTP host.
pub(super) struct HttpAsk(String);

impl HttpAsk {
    pub(super) fn all(hosts: &[String]) -> Vec<Self> {
        hosts.iter().cloned().map(Self).collect()
    }
}

impl Ask for HttpAsk {
    type Offer = HttpGrant;

    fn cut(&self, offer: &HttpGrant) -> Option<HttpGrant> {
        let (asked, offered) = (HttpHost::parse(&self.0)?, HttpHost::parse(&offer.host)?);
        if asked.includes(&offered) {
            return Some(offer.clone());
        }
        offered.holds(&asked).then(|| HttpGrant {
            host: self.0.clone(),
            ..offer.clone()
        })
    }

    fn satisfied_by(&self, granted: &HttpGrant) -> bool {
        let hosts = HttpHost::parse(&granted.host).zip(HttpHost::parse(&self.0));
        self.0 == granted.host || hosts.is_some_and(|(granted, asked)| granted.holds(&asked))
    }

    fn describe(&self) -> String {
        self.0.clone()
    }

    fn describe_offer(offer: &HttpGrant) -> String {
        offer.host.clone()
    }
}

/// The cache: asked for or not.
pub(super) struct CacheAsk;

impl CacheAsk {
    pub(super) fn all(asked: bool) -> Vec<Self> {
        if asked { vec![Self] } else { Vec::new() }
    }
}

impl Ask for CacheAsk {
    type Offer = CacheGrant;

    fn cut(&self, offer: &CacheGrant) -> Option<CacheGrant> {
        Some(offer.clone())
    }

    fn satisfied_by(&self, _: &CacheGrant) -> bool {
        true
    }

    fn describe(&self) -> String {
        "cache".to_owned()
    }

    fn describe_offer(offer: &CacheGrant) -> String {
        format!("cache of {}", offer.quota)
    }
}
