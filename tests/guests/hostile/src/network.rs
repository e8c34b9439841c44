//! Attempts on the network, through the standard library and the SDK's HTTP client.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use crate::attempt::{Attempt, shown};

/// Longest wait for a peer's greeting; a silent peer is a peer all the same.
const GREETING_WAIT: Duration = Duration::from_millis(200);

pub(crate) fn tcp(address: &str) -> Attempt {
    let connected = TcpStream::connect(address).map(|mut stream| {
        let peer = stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        let mut greeting = [0; 64];
        let _ = stream.set_read_timeout(Some(GREETING_WAIT));
        let length = stream.read(&mut greeting).unwrap_or(0);
        format!(
            "{peer}, greeted with {}",
            shown(greeting.get(..length).unwrap_or_default())
        )
    });
    Attempt::of("connected to", connected)
}

pub(crate) fn tcp_flood(address: &str, count: u32) -> Attempt {
    let mut kept = Vec::new();
    for had in 0..count {
        match TcpStream::connect(address) {
            Ok(stream) => kept.push(stream),
            Err(error) => return Attempt::counted(had, count, "connections", Some(error)),
        }
    }
    Attempt::counted(count, count, "connections", None::<String>)
}

pub(crate) fn udp(address: &str) -> Attempt {
    let any = if address.starts_with('[') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    Attempt::of(
        "sent",
        UdpSocket::bind(any).and_then(|socket| socket.send_to(b"hostile", address)),
    )
}

pub(crate) fn lookup(name: &str) -> Attempt {
    let found = (name, 80_u16)
        .to_socket_addrs()
        .map(|addresses| addresses.map(|address| address.ip().to_string()).collect::<Vec<_>>());
    Attempt::of("found", found)
}

pub(crate) fn listen(address: &str) -> Attempt {
    let bound = TcpListener::bind(address).and_then(|listener| listener.local_addr());
    Attempt::of("listening on", bound)
}

pub(crate) fn bind_udp(address: &str) -> Attempt {
    let bound = UdpSocket::bind(address).and_then(|socket| socket.local_addr());
    Attempt::of("bound to", bound)
}

pub(crate) fn http(url: &str, method: &str, headers: BTreeMap<String, String>) -> Attempt {
    let mut request = venom_sdk::http::Request::new(method, url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answered = request.send().map(|response| {
        let location = response.header("location").unwrap_or("none");
        format!(
            "status {}, location {location}, body {}",
            response.status,
            shown(&response.body)
        )
    });
    Attempt::of("answered", answered)
}
