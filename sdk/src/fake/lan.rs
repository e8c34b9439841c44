//! The `lan` interface of the fake host: what a test says the network is, and what a skill asked of it.

use std::net::{IpAddr, SocketAddr};

use super::{Host, refused, with};
use crate::lan::{Device, Link, Neighbour, Page, Service, TlsSession};
use crate::{Error, Result};

impl Host {
    /// Grants the machine's addresses: these.
    pub fn links(mut self, links: impl IntoIterator<Item = Link>) -> Self {
        self.state.grants.lan.links = Some(links.into_iter().collect());
        self
    }

    /// Grants the table of neighbours: this one.
    pub fn neighbours(mut self, neighbours: impl IntoIterator<Item = Neighbour>) -> Self {
        self.state.grants.lan.neighbours = Some(neighbours.into_iter().collect());
        self
    }

    /// Grants names of addresses, and gives one its names; addresses without have none.
    pub fn reverse(mut self, address: IpAddr, names: &[&str]) -> Self {
        let known = self.state.grants.lan.names.get_or_insert_default();
        known.insert(address, names.iter().map(|&name| name.to_owned()).collect());
        self
    }

    /// Grants mDNS: these services are announced. A skill that names kinds gets those of these kinds.
    pub fn services(mut self, services: impl IntoIterator<Item = Service>) -> Self {
        self.state.grants.lan.services = Some(services.into_iter().collect());
        self
    }

    /// Grants SSDP: these devices answer.
    pub fn devices(mut self, devices: impl IntoIterator<Item = Device>) -> Self {
        self.state.grants.lan.devices = Some(devices.into_iter().collect());
        self
    }

    /// Grants a TLS handshake with one address and port, and says what comes of it.
    pub fn tls(mut self, peer: SocketAddr, session: Result<TlsSession>) -> Self {
        self.state.grants.lan.tls.insert(peer, session);
        self
    }

    /// Grants a `GET /` by HTTPS to one address and port, and says what comes of it.
    pub fn https(mut self, peer: SocketAddr, page: Result<Page>) -> Self {
        self.state.grants.lan.https.insert(peer, page);
        self
    }
}

pub(crate) fn links() -> Result<Vec<Link>> {
    with(|state| state.grants.lan.links.clone()).map_or_else(|| refused("lan", "links"), Ok)
}

pub(crate) fn neighbours() -> Result<Vec<Neighbour>> {
    with(|state| state.grants.lan.neighbours.clone()).map_or_else(|| refused("lan", "neighbours"), Ok)
}

pub(crate) fn reverse(address: &str) -> Result<Vec<String>> {
    let address: IpAddr = address.parse()?;
    let found = with(|state| {
        let names = state.grants.lan.names.as_ref()?;
        Some(names.get(&address).cloned().unwrap_or_default())
    });
    found.map_or_else(|| refused("lan", "reverse"), Ok)
}

pub(crate) fn browse(kinds: &[String], _milliseconds: u32) -> Result<Vec<Service>> {
    let Some(mut services) = with(|state| state.grants.lan.services.clone()) else {
        return refused("lan", "mdns");
    };
    services.retain(|service| kinds.is_empty() || kinds.contains(&service.kind));
    Ok(services)
}

pub(crate) fn discover(_milliseconds: u32) -> Result<Vec<Device>> {
    with(|state| state.grants.lan.devices.clone()).map_or_else(|| refused("lan", "ssdp"), Ok)
}

pub(crate) fn peek_tls(address: &str, port: u16, server_name: &str, _milliseconds: u32) -> Result<TlsSession> {
    let peer = peer(address, port)?;
    let answer = with(|state| {
        state.record.peeks.push((peer, server_name.to_owned()));
        state.grants.lan.tls.get(&peer).cloned()
    });
    answer.unwrap_or_else(|| refused("lan", &format!("tls {peer}")))
}

pub(crate) fn get_https(
    address: &str,
    port: u16,
    server_name: &str,
    most_body: u32,
    _milliseconds: u32,
) -> Result<Page> {
    let peer = peer(address, port)?;
    let answer = with(|state| {
        state.record.pages.push((peer, server_name.to_owned()));
        state.grants.lan.https.get(&peer).cloned()
    });
    let mut answer = answer.unwrap_or_else(|| refused("lan", "https"));
    if let Ok(page) = &mut answer {
        page.body.truncate(usize::try_from(most_body).unwrap_or(usize::MAX));
    }
    answer
}

fn peer(address: &str, port: u16) -> Result<SocketAddr> {
    let address: IpAddr = address
        .parse()
        .map_err(|_| Error::InvalidParams(format!("`{address}` is no address")))?;
    Ok(SocketAddr::new(address, port))
}
