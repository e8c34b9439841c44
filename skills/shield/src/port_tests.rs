//! What is asked of whom, against servers on loopback that say what they are told to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
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
        Self::at("127.0.0.1:0", treat)
    }

    pub(crate) fn at(place: &str, treat: impl Fn(&mut TcpStream) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(place).unwrap();
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
        Self::answering_at("127.0.0.1:0", answer)
    }

    pub(crate) fn answering_at(place: &str, answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::at(place, move |stream| {
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
    assert_eq!(
        seen.reasons(server.place.port(), &[Module::Ssh]),
        [(Module::Ssh, NOT_KNOWN)]
    );
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
    assert!(seen.reasons(place.port(), &Module::ALL).is_empty());
    assert_eq!(server.join().unwrap(), [b"", b""]);
}

#[test]
fn where_nobody_listens_everything_is_done_and_nothing_found() {
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let seen = looked(place, &Module::ALL);
    for module in Module::ALL {
        assert_eq!(verdict(&seen, module, place), Some(Verdict::default()), "{module:?}");
    }
    assert!(seen.reasons(place.port(), &Module::ALL).is_empty());
}

#[test]
fn who_hangs_up_at_once_is_unknown() {
    let server = Server::new(|_| Vec::new());
    let seen = looked(server.place, &Module::ALL);
    let tls = verdict(&seen, Module::Tls, server.place).unwrap();
    assert_eq!(tls.open.len(), tls::CHECKS.len());
    assert_eq!(
        seen.reasons(server.place.port(), &Module::ALL),
        [(Module::Tls, "hung up")]
    );
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

#[test]
fn a_second_look_that_failed_closes_nothing() {
    let calls = AtomicUsize::new(0);
    let server = Server::new(move |stream| {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = stream.write_all(SSH);
            let _ = stream.read(&mut [0; 16]);
        }
        Vec::new()
    });
    let seen = looked(server.place, &Module::ALL);
    let ssh = verdict(&seen, Module::Ssh, server.place).unwrap();
    assert_eq!((ssh.issues.len(), ssh.open.len()), (0, ssh::CHECKS.len()));
    assert_eq!(
        seen.reasons(server.place.port(), &Module::ALL),
        [(Module::Ssh, "hung up")]
    );
    // it is known for SSH all the same, so nobody else had to look
    assert_eq!(verdict(&seen, Module::Tls, server.place), Some(Verdict::default()));
    let versions = verdict(&seen, Module::Versions, server.place).unwrap();
    assert_eq!(ids(&versions), ["versions.end-of-life"]);
}

/// Hangs up where it is asked for TLS, and answers this to `GET /`.
fn hangs_up_on_tls(answer: &'static [u8]) -> Server {
    Server::answering(move |said| match said.starts_with(b"GET / ") {
        true => answer.to_vec(),
        false => Vec::new(),
    })
}

#[test]
fn plain_http_that_answers_is_no_tls_unless_it_complains() {
    let plain = hangs_up_on_tls(PAGE);
    let seen = looked(plain.place, &Module::ALL);
    assert_eq!(verdict(&seen, Module::Tls, plain.place), Some(Verdict::default()));
    assert!(ids(&verdict(&seen, Module::Http, plain.place).unwrap()).contains(&"http.plain"));
    // it may be a server of HTTPS whose TLS we did not get to see
    let complains = hangs_up_on_tls(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n");
    let seen = looked(complains.place, &Module::ALL);
    for (module, checks) in [(Module::Tls, tls::CHECKS.len()), (Module::Http, http::CHECKS.len())] {
        let verdict = verdict(&seen, module, complains.place).unwrap();
        assert_eq!((verdict.issues.len(), verdict.open.len()), (0, checks), "{module:?}");
    }
}

#[test]
fn a_version_that_was_not_heard_is_unknown() {
    let redis = |place: &str, info: &'static [u8]| {
        Server::answering_at(place, move |said| match said {
            b"PING\r\n" => b"+PONG\r\n".to_vec(),
            b"INFO server\r\n" => info.to_vec(),
            _ => Vec::new(),
        })
    };
    let silent = redis("127.93.0.2:6379", b"");
    let seen = looked(silent.place, &Module::ALL);
    let exposure = verdict(&seen, Module::Exposure, silent.place).unwrap();
    assert_eq!(ids(&exposure), ["exposure.redis-open"]);
    let versions = verdict(&seen, Module::Versions, silent.place).unwrap();
    assert_eq!((versions.issues.len(), versions.open.len()), (0, 1));
    assert_eq!(seen.reasons(6379, &Module::ALL), [(Module::Versions, NO_VERSION)]);
    let tells = redis("127.93.0.3:6379", b"$99\r\nredis_version:99.1.0\r\n");
    let seen = looked(tells.place, &Module::ALL);
    assert_eq!(verdict(&seen, Module::Versions, tells.place), Some(Verdict::default()));
}

/// A ServerHello of TLS 1.2 with an ordinary suite.
fn server_hello() -> Vec<u8> {
    let mut hello = b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03".to_vec();
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0xc0, 0x2f, 0]);
    hello
}

#[test]
fn who_hangs_up_means_no_only_while_it_still_answers() {
    // the control question comes with every suite there is, that for weak ones without the ordinary
    let is_control = |said: &[u8]| said.get(9..11) == Some(&[3, 3]) && said.windows(2).any(|two| two == [0xc0, 0x2f]);
    let steady = Server::answering(move |said| match is_control(said) {
        true => server_hello(),
        false => Vec::new(),
    });
    let calls = AtomicUsize::new(0);
    let weary = Server::answering(
        move |said| match is_control(said) && calls.fetch_add(1, Ordering::SeqCst) == 0 {
            true => server_hello(),
            false => Vec::new(),
        },
    );
    // it has no such name, whatever else it is asked
    let nameless = Server::answering(|_| b"\x15\x03\x01\x00\x02\x02\x70".to_vec());
    for (server, told) in [(steady, Some(false)), (weary, None), (nameless, None)] {
        let facts = visiting(server.place, 2000, async |visit| {
            let Look::Seen(best) = tls::gather::first(visit).await? else {
                panic!("it speaks TLS")
            };
            tls::gather::look(visit, best).await
        });
        let facts = facts.unwrap();
        assert_eq!([facts.ssl3, facts.tls10, facts.tls11], [told; 3]);
        assert_eq!(facts.weak_done, told.is_some());
    }
}
