//! SSDP: one search on each link that the skill's grants touch, and the answers to it. No description is fetched.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::{MOST_FOUND, links, text};
use crate::bindings::GuestError;
use crate::bindings::venom::skill::lan::Device;
use crate::capability::net::AddressPolicy;

/// Where SSDP listens (UPnP Device Architecture 2.0, section 1.3.2).
const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 1900);
/// As that document has it: a search is not for networks behind the next router but one.
const TTL: u32 = 2;
/// Longest answer.
const LONGEST: usize = 4_096;
/// Most answers of one device: each of its services is one.
const MOST_OF_ONE: usize = 32;

/// By address, target and unique name: the same answer may come more than once.
type Found = BTreeMap<(IpAddr, String, String), Device>;

/// Searches, and answers who is within the skill's grants.
pub(super) async fn discover(time: Duration, policy: &AddressPolicy) -> Result<Vec<Device>, GuestError> {
    let end = Instant::now() + time;
    let touched = links::read()
        .await?
        .into_iter()
        .filter(|link| policy.touches(link.network));
    let own: Vec<Ipv4Addr> = touched
        .filter_map(|link| match link.network.addr() {
            IpAddr::V4(own) => Some(own),
            IpAddr::V6(_) => None,
        })
        .collect();
    let searches = own.iter().map(|own| search(*own, time, end, policy));
    let mut all = Vec::new();
    let mut problem = None;
    for outcome in join_all(searches).await {
        match outcome {
            Ok(found) => all.extend(found.into_values()),
            Err(error) => problem = Some(error),
        }
    }
    if let Some(error) = problem.filter(|_| all.is_empty()) {
        return Err(GuestError::Unavailable(format!("SSDP: {error}")));
    }
    all.truncate(MOST_FOUND);
    Ok(all)
}

async fn search(own: Ipv4Addr, time: Duration, end: Instant, policy: &AddressPolicy) -> io::Result<Found> {
    let socket = UdpSocket::bind((own, 0)).await?;
    let options = SockRef::from(&socket);
    options.set_multicast_if_v4(&own)?;
    options.set_multicast_ttl_v4(TTL)?;
    let request = request(time);
    // twice, as datagrams get lost: now, and when a third of the time is over
    let again = Instant::now() + time / 3;
    socket.send_to(request.as_bytes(), GROUP).await?;
    let mut found = Found::new();
    listen(&socket, again, policy, &mut found).await?;
    socket.send_to(request.as_bytes(), GROUP).await?;
    listen(&socket, end, policy, &mut found).await?;
    Ok(found)
}

async fn listen(socket: &UdpSocket, end: Instant, policy: &AddressPolicy, found: &mut Found) -> io::Result<()> {
    let mut bytes = vec![0; LONGEST];
    while let Ok(received) = timeout_at(end, socket.recv_from(&mut bytes)).await {
        let (length, peer) = received?;
        let address = peer.ip().to_canonical();
        if !policy.knows(address) {
            continue;
        }
        let Some(device) = bytes.get(..length).and_then(|bytes| read(address, bytes)) else {
            continue;
        };
        let of_it = found.keys().filter(|(known, _, _)| *known == address).count();
        if found.len() < MOST_FOUND && of_it < MOST_OF_ONE {
            found.insert((address, device.target.clone(), device.unique_name.clone()), device);
        }
    }
    Ok(())
}

/// `MX`: over how many seconds devices spread their answers, 1 to 5; they must be in before the time is over.
fn request(time: Duration) -> String {
    let spread = time.as_secs().saturating_sub(1).clamp(1, 5);
    format!("M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}\r\nMAN: \"ssdp:discover\"\r\nMX: {spread}\r\nST: ssdp:all\r\n\r\n")
}

/// An answer: a status line and headers, like HTTP's.
fn read(address: IpAddr, bytes: &[u8]) -> Option<Device> {
    let answer = String::from_utf8_lossy(bytes);
    let mut lines = answer.lines();
    let status = lines.next()?;
    if !status.starts_with("HTTP/1.") || status.split_whitespace().nth(1) != Some("200") {
        return None;
    }
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |name: &str| {
        let mut named = headers.iter().filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| text::tame(value)).unwrap_or_default()
    };
    Some(Device {
        address: address.to_string(),
        location: header("location"),
        server: header("server"),
        target: header("st"),
        unique_name: header("usn"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whatever_their_case() {
        let address = "10.0.0.9".parse().unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nLocation: http://10.0.0.9:49152/desc.xml\r\nSERVER:Linux/6 UPnP/1.0 x/1\r\nst: upnp:rootdevice\r\nUSN: uuid:1::upnp:rootdevice\r\nno header\r\n\r\n";
        let device = read(address, answer).unwrap();
        assert_eq!(device.address, "10.0.0.9");
        assert_eq!(device.location, "http://10.0.0.9:49152/desc.xml");
        assert_eq!(device.server, "Linux/6 UPnP/1.0 x/1");
        assert_eq!(
            (device.target.as_str(), device.unique_name.as_str()),
            ("upnp:rootdevice", "uuid:1::upnp:rootdevice")
        );
        for odd in [
            &b""[..],
            b"NOTIFY * HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 404 Not found\r\n\r\n",
            b"\xff\xfe",
        ] {
            assert!(read(address, odd).is_none());
        }
    }

    #[test]
    fn answers_are_asked_for_within_the_time() {
        assert!(request(Duration::from_secs(2)).contains("\r\nMX: 1\r\n"));
        assert!(request(Duration::from_secs(10)).contains("\r\nMX: 5\r\n"));
        assert!(request(Duration::ZERO).contains("HOST: 239.255.255.250:1900\r\n"));
    }
}
