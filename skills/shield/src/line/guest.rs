//! Sockets of the sandbox (`wasi:sockets`). The host asks the operator's grants at each connect.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Instant;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use super::Trouble;

thread_local! {
    static WAKE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Weak: a conversation that ended must be able to drop its streams, which their pollables have to precede.
    static READY: RefCell<Vec<Weak<Pollable>>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn forget_wakes() {
    WAKE.set(None);
    READY.with_borrow_mut(Vec::clear);
}

pub(super) fn wake_at(when: Instant) {
    WAKE.set(Some(WAKE.get().map_or(when, |before| before.min(when))));
}

fn wake_when(ready: &Rc<Pollable>) {
    READY.with_borrow_mut(|all| all.push(Rc::downgrade(ready)));
}

pub(super) fn wait(latest: Instant) {
    let until = WAKE.get().unwrap_or(latest).min(latest);
    let left = until.saturating_duration_since(Instant::now());
    let timer = subscribe_duration(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
    let ready: Vec<Rc<Pollable>> = READY.with_borrow(|all| all.iter().filter_map(Weak::upgrade).collect());
    let mut all: Vec<&Pollable> = ready.iter().map(AsRef::as_ref).collect();
    all.push(&timer);
    poll(&all);
}

/// Fields are dropped in this order: children before parents.
pub(super) struct Opening {
    ready: Rc<Pollable>,
    socket: Option<TcpSocket>,
    place: SocketAddr,
}

impl Opening {
    pub(super) fn start(place: SocketAddr, _: Instant) -> Result<Self, Trouble> {
        let (family, address) = address(place);
        let socket = create_tcp_socket(family).map_err(|code| trouble(code, place))?;
        socket
            .start_connect(&instance_network(), address)
            .map_err(|code| trouble(code, place))?;
        Ok(Self {
            ready: Rc::new(socket.subscribe()),
            socket: Some(socket),
            place,
        })
    }

    pub(super) fn poll(&mut self) -> Poll<Result<Socket, Trouble>> {
        let Some(socket) = self.socket.as_ref() else {
            return Poll::Pending;
        };
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => {
                wake_when(&self.ready);
                Poll::Pending
            }
            Err(code) => Poll::Ready(Err(trouble(code, self.place))),
            Ok((input, output)) => {
                let socket = self.socket.take();
                Poll::Ready(Ok(Socket {
                    readable: Rc::new(input.subscribe()),
                    writable: Rc::new(output.subscribe()),
                    input,
                    output,
                    _ready: Rc::clone(&self.ready),
                    _socket: socket,
                }))
            }
        }
    }
}

/// Fields are dropped in this order: children before parents.
pub(super) struct Socket {
    readable: Rc<Pollable>,
    writable: Rc<Pollable>,
    input: InputStream,
    output: OutputStream,
    _ready: Rc<Pollable>,
    _socket: Option<TcpSocket>,
}

impl Socket {
    pub(super) fn poll_read(&mut self, into: &mut Vec<u8>, most: usize) -> Poll<Result<bool, Trouble>> {
        match self.input.read(most as u64) {
            Ok(bytes) if bytes.is_empty() => {
                wake_when(&self.readable);
                Poll::Pending
            }
            Ok(bytes) => {
                into.extend_from_slice(&bytes);
                Poll::Ready(Ok(true))
            }
            // a connection that was reset has ended too
            Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => Poll::Ready(Ok(false)),
        }
    }

    pub(super) fn poll_write(&mut self, bytes: &[u8]) -> Poll<Result<usize, Trouble>> {
        let Ok(room) = self.output.check_write() else {
            return Poll::Ready(Err(Trouble::Ended));
        };
        if room == 0 {
            wake_when(&self.writable);
            return Poll::Pending;
        }
        let some = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        match self.output.write(bytes.get(..some).unwrap_or_default()) {
            Ok(()) => Poll::Ready(Ok(some)),
            Err(_) => Poll::Ready(Err(Trouble::Ended)),
        }
    }

    /// What was written is on its way as soon as there is room again.
    pub(super) fn poll_flush(&mut self) -> Poll<Result<(), Trouble>> {
        match self.output.check_write() {
            Ok(0) => {
                wake_when(&self.writable);
                Poll::Pending
            }
            Ok(_) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(Trouble::Ended)),
        }
    }
}

fn trouble(code: ErrorCode, place: SocketAddr) -> Trouble {
    match code {
        ErrorCode::AccessDenied => Trouble::Denied(place),
        ErrorCode::ConnectionRefused => Trouble::Refused,
        ErrorCode::Timeout => Trouble::TimedOut,
        ErrorCode::ConnectionReset | ErrorCode::ConnectionAborted => Trouble::Ended,
        other => Trouble::Broken(other.name().to_owned()),
    }
}

fn address(place: SocketAddr) -> (IpAddressFamily, IpSocketAddress) {
    match place {
        SocketAddr::V4(place) => {
            let address = place.ip().octets().into();
            let port = place.port();
            (
                IpAddressFamily::Ipv4,
                IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
            )
        }
        SocketAddr::V6(place) => {
            let address = place.ip().segments().into();
            let (port, flow_info, scope_id) = (place.port(), place.flowinfo(), place.scope_id());
            let address = Ipv6SocketAddress {
                port,
                flow_info,
                address,
                scope_id,
            };
            (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(address))
        }
    }
}
