//! What is asked of whom, against servers on loopback that say what they are told to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;
use crate::check::ids;
use crate::line::{Pace, gather};

/// A server that treats every connection alike until the test ends. It keeps what it was told, a connection each.
pub(crate) struct Server {
    pub(crate) place: std::net::SocketAddr,
    pub(crate) told: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    pub(crate) fn new(treat: impl Fn(&mut TcpStream) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let treat = Arc::new(treat);
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let (kept, treat) = (Arc::clone(&kept), Arc::clone(&treat));
                thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                    let said = treat(&mut stream);
                    kept.lock().unwrap().push(said);
                });
            }
        });
        Self { place, told }
    }

    /// Says this at once, then only listens.
    pub(crate) fn greeting(greeting: &'static [u8]) -> Self {
        Self::new(move |stream| {
            // who hangs up early is what some tests are about
            let _ = stream.write_all(greeting);
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            said
        })
    }

    /// Answers what it is told first, and hangs up.
    pub(crate) fn answering(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::new(move |stream| {
            let mut said = vec![0; 4096];
            let read = stream.read(&mut said).unwrap_or(0);
            said.truncate(read);
            let _ = stream.write_all(&answer(&said));
            said
        })
    }

    pub(crate) fn told(&self) -> Vec<Vec<u8>> {
        self.told.lock().unwrap().clone()
    }
}

pub(crate) const SSH: &[u8] = include_bytes!("recorded/sshd-old.bin");
pub(crate) const PAGE: &[u8] = include_bytes!("recorded/python-listing.bin");

/// Plain HTTP; whoever does not speak it is told so, like most servers do.
pub(crate) fn web() -> Server {
    Server::answering(|said| match said.starts_with(b"GET / HTTP/1.1\r\n") {
        true => PAGE.to_vec(),
        false => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec(),
    })
}

fn visiting<T>(place: std::net::SocketAddr, timeout_ms: u64, job: impl AsyncFnOnce(&Visit<'_>) -> T) -> T {
    let pace = Pace::per_second(1000);
    let visit = Visit {
        place,
        hostname: None,
        pace: &pace,
        timeout: Duration::from_millis(timeout_ms),
    };
    gather([job(&visit)], 1, || None).into_iter().next().flatten().unwrap()
}

fn looked(place: std::net::SocketAddr, modules: &[Module]) -> Seen {
    visiting(place, 2000, async |visit| look(visit, modules).await).unwrap()
}

fn verdict(seen: &Seen, module: Module, place: std::net::SocketAddr) -> Option<Verdict> {
    visiting(place, 1, async |visit| seen.judge(module, visit, Moment::now()))
}

#[test]
fn a_server_that_greets_is_asked_nothing_else() {
    let server = Server::greeting(SSH);
    let seen = looked(server.place, &Module::ALL);
    let ssh = verdict(&seen, Module::Ssh, server.place).unwrap();
    assert!(ids(&ssh).contains(&"ssh.weak-kex"));
    for nothing in [Module::Tls, Module::Http, Module::Dns, Module::Exposure] {
        assert_eq!(
            verdict(&seen, nothing, server.place),
            Some(Verdict::default()),
            "{nothing:?}"
        );
    }
    let versions = verdict(&seen, Module::Versions, server.place).unwrap();
    assert_eq!(ids(&versions), ["versions.end-of-life"]);
    let until = Instant::now() + Duration::from_secs(5);
    while server.told().len() < 2 && Instant::now() < until {
        thread::yield_now();
    }
    let mut told = server.told();
    told.sort();
    assert_eq!(told, [&b""[..], b"SSH-2.0-VenomShield\r\n"]);
}

#[test]
fn a_silent_one_is_asked_for_tls_then_for_http() {
    let server = web();
    let seen = looked(server.place, &Module::ALL);
    let http = verdict(&seen, Module::Http, server.place).unwrap();
    assert!(ids(&http).contains(&"http.directory-listing"), "{http:?}");
    assert_eq!(verdict(&seen, Module::Tls, server.place), Some(Verdict::default()));
    assert_eq!(verdict(&seen, Module::Ssh, server.place), Some(Verdict::default()));
    let told = server.told();
    assert!(
        told.iter().any(|said| said.starts_with(b"\x16\x03\x01"))
            && told.iter().any(|said| said.starts_with(b"GET / "))
    );
}

#[test]
fn modules_that_are_not_asked_ask_nothing() {
    let server = web();
    let seen = looked(server.place, &[Module::Ssh, Module::Exposure, Module::Dns]);
    assert!(server.told().iter().all(Vec::is_empty));
    // nobody knows what it is, so nothing is claimed of it
    let ssh = verdict(&seen, Module::Ssh, server.place).unwrap();
    assert_eq!((ssh.issues.len(), ssh.open.len()), (0, ssh::CHECKS.len()));
    assert_eq!(seen.reasons(&[Module::Ssh]), [(Module::Ssh, NOT_KNOWN)]);
}

#[test]
fn a_service_of_its_own_is_nothing_else() {
    let listener = TcpListener::bind("127.93.0.1:3389").unwrap();
    let place = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let said: Vec<Vec<u8>> = (0..2)
            .map(|_| {
                let mut said = Vec::new();
                listener.accept().unwrap().0.read_to_end(&mut said).unwrap();
                said
            })
            .collect();
        said
    });
    let seen = looked(place, &Module::ALL);
    assert_eq!(ids(&verdict(&seen, Module::Exposure, place).unwrap()), ["exposure.rdp"]);
    assert_eq!(verdict(&seen, Module::Tls, place), Some(Verdict::default()));
    assert!(seen.reasons(&Module::ALL).is_empty());
    assert_eq!(server.join().unwrap(), [b"", b""]);
}

#[test]
fn where_nobody_listens_everything_is_done_and_nothing_found() {
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let seen = looked(place, &Module::ALL);
    for module in Module::ALL {
        assert_eq!(verdict(&seen, module, place), Some(Verdict::default()), "{module:?}");
    }
    assert!(seen.reasons(&Module::ALL).is_empty());
}

#[test]
fn who_hangs_up_at_once_is_unknown() {
    let server = Server::new(|_| Vec::new());
    let seen = looked(server.place, &Module::ALL);
    let tls = verdict(&seen, Module::Tls, server.place).unwrap();
    assert_eq!(tls.open.len(), tls::CHECKS.len());
    assert_eq!(seen.reasons(&Module::ALL), [(Module::Tls, "hung up")]);
}

#[test]
fn who_never_speaks_or_never_stops_costs_bounded_time() {
    let silent = Server::greeting(b"");
    let endless = Server::new(|stream| {
        while stream.write_all(&[b'A'; 512]).is_ok() {}
        Vec::new()
    });
    let drip = Server::new(|stream| {
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
        Vec::new()
    });
    for server in [&silent, &endless, &drip] {
        let began = Instant::now();
        let seen = visiting(server.place, 300, async |visit| look(visit, &Module::ALL).await).unwrap();
        // greeting, TLS, HTTP: three conversations of 300 ms, and what a busy machine adds
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert!(seen.greeting.len() < 2 * 4096);
        for module in [Module::Tls, Module::Http, Module::Ssh] {
            assert!(verdict(&seen, module, server.place).unwrap().issues.is_empty());
        }
    }
}

#[test]
fn huge_and_endless_heads_are_left() {
    let server = Server::new(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream
            .write_all(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
            .is_ok()
        {}
        Vec::new()
    });
    let seen = visiting(server.place, 2000, async |visit| http::look(visit).await).unwrap();
    assert!(matches!(seen, Look::Unknown(_)), "{seen:?}");
}
