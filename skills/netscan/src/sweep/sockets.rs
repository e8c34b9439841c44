//! The wire of a sandbox: non-blocking sockets of WASI, and one poll over all of them. What a socket may reach, the host
//! decides. A place is free again as soon as its connection is over.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use venom_sdk::{Error, Result};
use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use super::{Event, Shut};

/// Most bytes read at one time.
const PIECE: u64 = 2_048;

pub(crate) struct Wire {
    network: Network,
    started: Instant,
    places: Vec<Option<Connection>>,
    free: Vec<usize>,
}

/// Fields go in this order: a pollable before what it polls, streams before their socket.
struct Connection {
    /// What it waits for; none: nothing.
    ready: Option<Pollable>,
    streams: Option<(InputStream, OutputStream)>,
    socket: TcpSocket,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            network: instance_network(),
            started: Instant::now(),
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Begins to connect; what becomes of it is an event.
    pub(crate) fn connect(&mut self, peer: SocketAddr) -> Result<usize> {
        let family = match peer {
            SocketAddr::V4(_) => IpAddressFamily::Ipv4,
            SocketAddr::V6(_) => IpAddressFamily::Ipv6,
        };
        let socket = create_tcp_socket(family).map_err(|code| failed(peer, code))?;
        socket
            .start_connect(&self.network, address(peer))
            .map_err(|code| failed(peer, code))?;
        let connection = Connection {
            ready: Some(socket.subscribe()),
            streams: None,
            socket,
        };
        if let Some(place) = self.free.pop()
            && let Some(free) = self.places.get_mut(place)
        {
            *free = Some(connection);
            return Ok(place);
        }
        self.places.push(Some(connection));
        Ok(self.places.len() - 1)
    }

    /// Waits until something happens, at most so long.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Vec<Event> {
        let timer = monotonic_clock::subscribe_duration(u64::try_from(at_most.as_nanos()).unwrap_or(u64::MAX));
        let mut waiting = Vec::with_capacity(self.places.len() + 1);
        let mut of = Vec::with_capacity(self.places.len());
        for (place, connection) in self.places.iter().enumerate() {
            if let Some(Connection { ready: Some(ready), .. }) = connection {
                waiting.push(ready);
                of.push(place);
            }
        }
        waiting.push(&timer);
        let ready = poll(&waiting);
        let places: Vec<usize> = ready
            .into_iter()
            .filter_map(|at| of.get(usize::try_from(at).ok()?).copied())
            .collect();
        places.into_iter().filter_map(|place| self.look(place)).collect()
    }

    /// From now on what comes is an event.
    pub(crate) fn listen(&mut self, place: usize) {
        if let Some(Some(connection)) = self.places.get_mut(place)
            && let Some((input, _)) = &connection.streams
        {
            connection.ready = Some(input.subscribe());
        }
    }

    /// Sends a few bytes; what does not fit is not worth waiting for.
    pub(crate) fn say(&mut self, place: usize, bytes: &[u8]) {
        let Some(Some(Connection {
            streams: Some((_, output)),
            ..
        })) = self.places.get_mut(place)
        else {
            return;
        };
        let room = output.check_write().unwrap_or(0);
        if usize::try_from(room).is_ok_and(|room| room >= bytes.len()) && output.write(bytes).is_ok() {
            // a connection that broke shows when it is read from
            let _ = output.flush();
        }
    }

    /// Frees a place and its socket.
    pub(crate) fn close(&mut self, place: usize) {
        if let Some(connection) = self.places.get_mut(place)
            && connection.take().is_some()
        {
            self.free.push(place);
        }
    }

    fn look(&mut self, place: usize) -> Option<Event> {
        let connection = self.places.get_mut(place)?.as_mut()?;
        let Some((input, _)) = &connection.streams else {
            return match connection.socket.finish_connect() {
                Ok(streams) => {
                    connection.ready = None;
                    connection.streams = Some(streams);
                    Some(Event::Open(place))
                }
                Err(ErrorCode::WouldBlock) => None,
                Err(code) => {
                    self.close(place);
                    Some(Event::Shut(place, shut(code)))
                }
            };
        };
        match input.read(PIECE) {
            Ok(bytes) if bytes.is_empty() => None,
            Ok(bytes) => Some(Event::Heard(place, bytes)),
            Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => Some(Event::Ended(place)),
        }
    }
}

fn shut(code: ErrorCode) -> Shut {
    match code {
        ErrorCode::ConnectionRefused | ErrorCode::ConnectionReset | ErrorCode::ConnectionAborted => Shut::Refused,
        ErrorCode::AccessDenied => Shut::Denied,
        // only what no answer from the network can be the cause of: it must not be able to end a scan
        ErrorCode::NewSocketLimit
        | ErrorCode::OutOfMemory
        | ErrorCode::AddressNotBindable
        | ErrorCode::AddressInUse => Shut::Broken(code.name()),
        _ => Shut::Lost,
    }
}

/// A socket that cannot even begin: the machine or the sandbox has no more of them, or the address is none to connect to.
fn failed(peer: SocketAddr, code: ErrorCode) -> Error {
    match code {
        ErrorCode::AccessDenied => super::denied(peer),
        ErrorCode::NewSocketLimit | ErrorCode::OutOfMemory => Error::Unavailable(format!(
            "no socket for {peer}: the machine has none left; try a lower `concurrency`"
        )),
        ErrorCode::InvalidArgument => Error::invalid_params(format!("{} is no address of a host", peer.ip())),
        other => Error::Failed(format!("no socket for {peer}: {other:?}")),
    }
}

fn address(peer: SocketAddr) -> IpSocketAddress {
    let port = peer.port();
    match peer.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port,
                address: (a, b, c, d),
            })
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h] = ip.segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port,
                flow_info: 0,
                address: (a, b, c, d, e, f, g, h),
                scope_id: 0,
            })
        }
    }
}
