//! What the machine knows of the networks it is in, and what answers there. Every function is a grant of its own, and
//! every answer is cut to addresses within the skill's net grants.

use std::net::IpAddr;
use std::time::Duration;

use crate::{Result, host};

/// One address of this machine. What is empty is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// `eth0`.
    pub name: String,
    /// The machine's own address.
    pub address: String,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// The link's MAC, `02:00:5e:10:00:01`.
    pub mac: String,
    /// Where its default route leads.
    pub gateway: String,
    /// The gateway's MAC.
    pub gateway_mac: String,
}

/// One entry of the machine's table of neighbours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: String,
    /// Its MAC.
    pub mac: String,
    /// Name of the link it is on.
    pub link: String,
}

/// One service announced by mDNS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// `Printer in the hall`.
    pub instance: String,
    /// `_ipp._tcp`.
    pub kind: String,
    /// `printer.local`.
    pub host: String,
    /// Where it is.
    pub addresses: Vec<String>,
    /// Its port.
    pub port: u16,
    /// Pairs of its TXT record.
    pub properties: Vec<(String, String)>,
}

/// One answer to an SSDP search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Who answered.
    pub address: String,
    /// URL of its description.
    pub location: String,
    /// What it says it runs.
    pub server: String,
    /// What it is.
    pub target: String,
    /// Its name in the network.
    pub unique_name: String,
}

/// What a TLS server showed of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSession {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// `TLS13_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// The protocol it chose of `h2` and `http/1.1`; empty: none.
    pub alpn: String,
    /// DER, its own certificate first. No one has judged them.
    pub chain: Vec<Vec<u8>>,
}

/// What an HTTPS server answered to `GET /`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// `200`.
    pub status: u16,
    /// Names in lower case; those of one name are in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its beginning, as far as it came.
    pub body: Vec<u8>,
}

/// The machine's own addresses.
pub fn links() -> Result<Vec<Link>> {
    host::links()
}

/// The machine's table of neighbours as it is now: nothing is sent.
pub fn neighbours() -> Result<Vec<Neighbour>> {
    host::neighbours()
}

/// Names of an address, by the machine's own resolver; it counts as a connection.
pub fn reverse(address: IpAddr) -> Result<Vec<String>> {
    host::reverse(&address.to_string())
}

/// Listens for services of these kinds (`_http._tcp`), or of every kind announced when empty; at most 10 seconds.
pub fn browse(kinds: &[&str], time: Duration) -> Result<Vec<Service>> {
    let kinds: Vec<String> = kinds.iter().map(|&kind| kind.to_owned()).collect();
    host::browse(&kinds, milliseconds(time))
}

/// Asks all SSDP devices to answer; at most 10 seconds.
pub fn discover(time: Duration) -> Result<Vec<Device>> {
    host::discover(milliseconds(time))
}

/// A TLS handshake and nothing more: no certificate is judged, nothing is sent after it. It needs the net grant of that
/// address and port too, and counts as a connection. Printers' ports (515, 9100 to 9107) are refused whatever is granted.
pub fn peek_tls(address: IpAddr, port: u16, server_name: &str, time: Duration) -> Result<TlsSession> {
    host::peek_tls(&address.to_string(), port, server_name, milliseconds(time))
}

/// One `GET /` by HTTPS that judges no certificate: what answers may be anybody, and of the skill's words only the server name
/// is sent. It needs the net grant of that address and port too, and counts as a connection. `most_body` is the most of a body
/// that is waited for, at most 64 KiB; printers' ports are refused as by [`peek_tls`].
pub fn get_https(address: IpAddr, port: u16, server_name: &str, most_body: u32, time: Duration) -> Result<Page> {
    host::get_https(&address.to_string(), port, server_name, most_body, milliseconds(time))
}

/// 0 means the default to the host, so no time at all is the shortest there is.
fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().max(1)).unwrap_or(u32::MAX)
}
