//! Links and neighbours from the kernel's routing socket. It only dumps tables, which needs no rights.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::links::{FoundLink, FoundNeighbour};
use super::text;

/// Most messages read of one table.
const MOST_MESSAGES: usize = 65_536;

/// A link without its addresses.
struct Card {
    name: String,
    mac: String,
    up: bool,
}

/// This machine's addresses on links that are up.
pub(super) fn links() -> io::Result<Vec<FoundLink>> {
    let cards = cards()?;
    let gateways = gateways()?;
    let macs: HashMap<(u32, IpAddr), String> = entries()?
        .into_iter()
        .map(|(index, address, mac)| ((index, address), mac))
        .collect();
    let asked = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let mut found = Vec::new();
    dump(asked, |message| {
        if let RouteNetlinkMessage::NewAddress(message) = message
            && let Some(card) = cards.get(&message.header.index).filter(|card| card.up)
            && let Some(network) = network(&message)
        {
            let index = message.header.index;
            let gateway = gateways
                .get(&(index, network.addr().is_ipv4()))
                .map(|(_, gateway)| *gateway);
            found.push(FoundLink {
                name: card.name.clone(),
                network,
                mac: card.mac.clone(),
                gateway_mac: gateway
                    .and_then(|gateway| macs.get(&(index, gateway)).cloned())
                    .unwrap_or_default(),
                gateway,
            });
        }
    })?;
    Ok(found)
}

/// The neighbours that hold a MAC.
pub(super) fn neighbours() -> io::Result<Vec<FoundNeighbour>> {
    let cards = cards()?;
    let named = entries()?.into_iter().filter_map(|(index, address, mac)| {
        let link = cards.get(&index)?.name.clone();
        Some(FoundNeighbour { address, mac, link })
    });
    Ok(named.collect())
}

fn cards() -> io::Result<HashMap<u32, Card>> {
    let mut cards = HashMap::new();
    dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| {
        if let RouteNetlinkMessage::NewLink(message) = message {
            let mut card = Card {
                name: String::new(),
                mac: String::new(),
                up: message.header.flags.contains(LinkFlags::Up),
            };
            for attribute in &message.attributes {
                match attribute {
                    LinkAttribute::IfName(name) => card.name = text::tame(name),
                    LinkAttribute::Address(bytes) => card.mac = text::mac(bytes),
                    _ => {}
                }
            }
            cards.insert(message.header.index, card);
        }
    })?;
    Ok(cards)
}

/// The best default route of each link and family, by its metric.
fn gateways() -> io::Result<HashMap<(u32, bool), (u32, IpAddr)>> {
    let mut best: HashMap<(u32, bool), (u32, IpAddr)> = HashMap::new();
    dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()), |message| {
        if let RouteNetlinkMessage::NewRoute(message) = message
            && let Some((index, metric, gateway)) = default_route(&message)
        {
            let place = best.entry((index, gateway.is_ipv4())).or_insert((metric, gateway));
            if metric < place.0 {
                *place = (metric, gateway);
            }
        }
    })?;
    Ok(best)
}

fn default_route(message: &RouteMessage) -> Option<(u32, u32, IpAddr)> {
    let header = &message.header;
    let main = header.table == RouteHeader::RT_TABLE_MAIN && header.kind == RouteType::Unicast;
    if !main || header.destination_prefix_length != 0 {
        return None;
    }
    let (mut index, mut metric, mut gateway) = (None, 0, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(link) => index = Some(*link),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(IpAddr::V4(*address)),
            RouteAttribute::Gateway(RouteAddress::Inet6(address)) => gateway = Some(IpAddr::V6(*address)),
            _ => {}
        }
    }
    Some((index?, metric, gateway?))
}

/// The machine's own address: of a point-to-point link that is `Local`, and `Address` the other end.
fn network(message: &AddressMessage) -> Option<IpNet> {
    let (mut own, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => own = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            _ => {}
        }
    }
    IpNet::new(own.or(address)?, message.header.prefix_len).ok()
}

/// Index of the link, address and MAC of each neighbour that answered.
fn entries() -> io::Result<Vec<(u32, IpAddr, String)>> {
    let mut found = Vec::new();
    dump(
        RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()),
        |message| {
            if let RouteNetlinkMessage::NewNeighbour(message) = message
                && let Some((address, mac)) = entry(&message)
            {
                found.push((message.header.ifindex, address, mac));
            }
        },
    )?;
    Ok(found)
}

fn entry(message: &NeighbourMessage) -> Option<(IpAddr, String)> {
    let header = &message.header;
    let of_ip = matches!(header.family, AddressFamily::Inet | AddressFamily::Inet6);
    let silent = matches!(
        header.state,
        NeighbourState::Failed | NeighbourState::Incomplete | NeighbourState::Noarp
    );
    if !of_ip || silent {
        return None;
    }
    let (mut address, mut mac) = (None, String::new());
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(IpAddr::V4(*ip)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(IpAddr::V6(*ip)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = text::mac(bytes),
            _ => {}
        }
    }
    address.filter(|_| !mac.is_empty()).map(|address| (address, mac))
}

/// Asks for one table and hands over each of its messages. What cannot be read is passed over: newer kernels say more.
fn dump(asked: RouteNetlinkMessage, mut take: impl FnMut(RouteNetlinkMessage)) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_DUMP | NLM_F_REQUEST;
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(asked));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut read = 0;
    while read < MOST_MESSAGES {
        let (packet, _) = socket.recv_from_full()?;
        let mut rest = packet.as_slice();
        while let Some(length) = message_length(rest) {
            let (message, after) = rest.split_at(length);
            // messages are laid out at multiples of four bytes
            rest = after.get(length.next_multiple_of(4) - length..).unwrap_or_default();
            read += 1;
            let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) else {
                continue;
            };
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(inner) => take(inner),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Length of the message that begins here, by its first four bytes; none when it is not whole.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    (16..=bytes.len()).contains(&length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_loopback_and_every_table_can_be_read() {
        let links = links().unwrap();
        let loopback = links.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!(loopback.network.to_string(), "127.0.0.1/8");
        assert_eq!((loopback.mac.as_str(), loopback.gateway), ("", None));
        for neighbour in neighbours().unwrap() {
            assert_eq!(neighbour.mac.len(), 17, "{neighbour:?}");
        }
    }

    #[test]
    fn broken_messages_end_the_reading() {
        assert_eq!(message_length(&[]), None);
        assert_eq!(message_length(&15_u32.to_ne_bytes()), None);
        assert_eq!(message_length(&[20_u32.to_ne_bytes(); 4].concat()), None);
        assert_eq!(message_length(&[16_u32.to_ne_bytes(); 4].concat()), Some(16));
    }
}
