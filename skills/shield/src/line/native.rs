//! Sockets of `std`, so that tests outside the sandbox speak to real servers. Connecting blocks; nothing ships this.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use super::Trouble;

/// Longest nap before all are asked again.
const NAP: Duration = Duration::from_millis(1);

thread_local! {
    static WAKE: Cell<Option<Instant>> = const { Cell::new(None) };
}

pub(super) fn forget_wakes() {
    WAKE.set(None);
}

pub(super) fn wake_at(when: Instant) {
    WAKE.set(Some(WAKE.get().map_or(when, |before| before.min(when))));
}

pub(super) fn wait(latest: Instant) {
    let until = WAKE.get().unwrap_or(latest).min(latest);
    thread::sleep(until.saturating_duration_since(Instant::now()).min(NAP));
}

pub(super) struct Opening(Option<Result<TcpStream, Trouble>>);

impl Opening {
    pub(super) fn start(place: SocketAddr, until: Instant) -> Result<Self, Trouble> {
        let left = until.saturating_duration_since(Instant::now()).max(NAP);
        let stream = TcpStream::connect_timeout(&place, left).map_err(|error| match error.kind() {
            // as to a broadcast address
            ErrorKind::PermissionDenied => Trouble::Denied(place),
            _ => trouble(&error),
        });
        Ok(Self(Some(stream)))
    }

    pub(super) fn poll(&mut self) -> Poll<Result<Socket, Trouble>> {
        let Some(opened) = self.0.take() else {
            return Poll::Pending;
        };
        Poll::Ready(opened.and_then(|stream| {
            stream.set_nonblocking(true).map_err(|error| trouble(&error))?;
            Ok(Socket(stream))
        }))
    }
}

pub(super) struct Socket(TcpStream);

impl Socket {
    pub(super) fn poll_read(&mut self, into: &mut Vec<u8>, most: usize) -> Poll<Result<bool, Trouble>> {
        let mut chunk = vec![0; most];
        settle(self.0.read(&mut chunk).map(|read| {
            into.extend_from_slice(chunk.get(..read).unwrap_or_default());
            read > 0
        }))
    }

    pub(super) fn poll_write(&mut self, bytes: &[u8]) -> Poll<Result<usize, Trouble>> {
        settle(self.0.write(bytes))
    }

    pub(super) fn poll_flush(&mut self) -> Poll<Result<(), Trouble>> {
        settle(self.0.flush())
    }
}

fn settle<T>(done: std::io::Result<T>) -> Poll<Result<T, Trouble>> {
    match done {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Poll::Pending,
        done => Poll::Ready(done.map_err(|error| trouble(&error))),
    }
}

fn trouble(error: &std::io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::ConnectionRefused => Trouble::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Trouble::TimedOut,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Trouble::Ended,
        _ => Trouble::Broken(error.to_string()),
    }
}
