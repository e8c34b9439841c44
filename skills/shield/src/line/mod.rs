//! TCP connections that many conversations share one thread for: each has a deadline and a bound on what it takes in,
//! whatever the other side does. It judges nothing and knows no protocol.

mod gather;
#[cfg(target_family = "wasm")]
#[path = "guest.rs"]
mod socket;
#[cfg(not(target_family = "wasm"))]
#[path = "native.rs"]
mod socket;

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::{Duration, Instant};

pub(crate) use gather::{Stop, gather};

/// Most bytes taken from a socket at once.
const CHUNK: usize = 4096;

/// Why there is no conversation, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody listens there.
    Refused,
    /// The deadline passed.
    TimedOut,
    /// The other side said more than it may.
    TooMuch,
    /// The other side went away in the middle.
    Ended,
    /// The sandbox does not let us go there.
    Denied(SocketAddr),
    /// Anything else, in the system's words.
    Broken(String),
}

impl Trouble {
    /// For people: `TARGET did …`.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Refused => "refused the connection".to_owned(),
            Self::TimedOut => "did not answer in time".to_owned(),
            Self::TooMuch => "said more than is listened to".to_owned(),
            Self::Ended => "hung up".to_owned(),
            Self::Denied(_) => "is not granted".to_owned(),
            Self::Broken(why) => format!("cannot be spoken to: {why}"),
        }
    }
}

/// Spreads connections over time.
#[derive(Debug)]
pub(crate) struct Pace {
    gap: Duration,
    next: Cell<Instant>,
}

impl Pace {
    /// At most so many a second.
    pub(crate) fn per_second(rate: u32) -> Self {
        Self {
            gap: Duration::from_secs(1) / rate.max(1),
            next: Cell::new(Instant::now()),
        }
    }

    /// When the next connection may be opened, given that one is asked for `now`.
    fn slot(&self, now: Instant) -> Instant {
        let slot = self.next.get().max(now);
        self.next.set(slot + self.gap);
        slot
    }

    /// Waits for its turn.
    pub(crate) async fn turn(&self) {
        let slot = self.slot(Instant::now());
        poll_fn(|_| {
            if Instant::now() >= slot {
                return Poll::Ready(());
            }
            socket::wake_at(slot);
            Poll::Pending
        })
        .await;
    }
}

/// One connection.
pub(crate) struct Line {
    socket: socket::Socket,
    until: Instant,
}

impl Line {
    /// Connects, and gives the whole conversation until then.
    pub(crate) async fn open(place: SocketAddr, until: Instant) -> Result<Self, Trouble> {
        let mut opening = socket::Opening::start(place, until)?;
        let socket = poll_fn(|_| timed(until, opening.poll())).await?;
        Ok(Self { socket, until })
    }

    /// Says all of it.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let mut left = bytes;
        poll_fn(|_| {
            loop {
                if left.is_empty() {
                    return timed(self.until, self.socket.poll_flush());
                }
                match timed(self.until, self.socket.poll_write(left)) {
                    Poll::Ready(Ok(written)) => left = left.get(written..).unwrap_or_default(),
                    Poll::Ready(Err(trouble)) => return Poll::Ready(Err(trouble)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Adds what comes next; false: nothing will.
    pub(crate) async fn hear(&mut self, heard: &mut Vec<u8>) -> Result<bool, Trouble> {
        poll_fn(|_| timed(self.until, self.socket.poll_read(heard, CHUNK))).await
    }

    /// Listens until `enough` finds what it looks for in all that was heard, at most `most` bytes of it. What was heard
    /// stays in `heard` whatever happens.
    pub(crate) async fn hear_until<T>(
        &mut self,
        heard: &mut Vec<u8>,
        most: usize,
        mut enough: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, Trouble> {
        loop {
            if let Some(found) = enough(heard) {
                return Ok(found);
            }
            if heard.len() >= most {
                return Err(Trouble::TooMuch);
            }
            if !self.hear(heard).await? {
                return Err(Trouble::Ended);
            }
        }
    }

    /// Gives the conversation no longer than until then.
    pub(crate) fn hurry(&mut self, until: Instant) {
        self.until = self.until.min(until);
    }
}

/// The deadline counts only while there is nothing: what came while others were busy is taken first.
fn timed<T>(until: Instant, poll: Poll<Result<T, Trouble>>) -> Poll<Result<T, Trouble>> {
    if poll.is_pending() {
        if Instant::now() >= until {
            return Poll::Ready(Err(Trouble::TimedOut));
        }
        socket::wake_at(until);
    }
    poll
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn alone<T>(job: impl Future<Output = T>) -> T {
        gather([job], 1, || None).into_iter().next().flatten().unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn connections_are_spread_over_time() {
        let pace = Pace::per_second(4);
        let now = Instant::now() + Duration::from_secs(1);
        let slots: Vec<_> = (0..3).map(|_| pace.slot(now) - now).collect();
        assert_eq!(slots, [0, 250, 500].map(Duration::from_millis));
        assert_eq!(pace.slot(now + Duration::from_secs(9)), now + Duration::from_secs(9));
    }

    #[test]
    fn who_says_too_much_or_too_slowly_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut endless, _) = listener.accept().unwrap();
            while endless.write_all(&[b'x'; 1024]).is_ok() {}
            let (mut slow, _) = listener.accept().unwrap();
            while slow.write_all(b".").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let mut heard = Vec::new();
        let endless = alone(async {
            let mut line = Line::open(place, soon()).await?;
            line.hear_until(&mut heard, 10_000, |_| None::<()>).await
        });
        assert_eq!(endless, Err(Trouble::TooMuch));
        assert!(heard.len() < 10_000 + CHUNK);
        let began = Instant::now();
        let slow = alone(async {
            let mut line = Line::open(place, Instant::now() + Duration::from_millis(200)).await?;
            line.hear_until(&mut Vec::new(), 10_000, |_| None::<()>).await
        });
        assert_eq!(slow, Err(Trouble::TimedOut));
        assert!(began.elapsed() < Duration::from_secs(3));
        server.join().unwrap();
    }

    #[test]
    fn refused_and_hung_up_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let server = thread::spawn(move || drop(listener.accept()));
        let ended = alone(async {
            let mut line = Line::open(place, soon()).await?;
            line.hear_until(&mut Vec::new(), 10, |_| None::<()>).await
        });
        server.join().unwrap();
        assert_eq!(ended, Err(Trouble::Ended));
        let refused = alone(async { Line::open(place, soon()).await.map(|_| ()) });
        assert_eq!(refused, Err(Trouble::Refused));
    }
}
