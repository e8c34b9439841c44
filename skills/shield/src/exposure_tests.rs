//! Every service both ways, and that printers and strangers are left alone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::check::ids;
use crate::line::{Pace, gather};

fn whole(heard: &[u8]) -> Facts {
    Facts {
        heard: heard.to_vec(),
        half: None,
    }
}

fn fires(port: u16, heard: &[u8]) -> Vec<&'static str> {
    ids(&judge(port, &whole(heard)))
}

#[test]
fn no_port_is_listed_twice() {
    for port in 0..=u16::MAX {
        assert!(
            SERVICES.iter().filter(|service| service.ports.contains(&port)).count() <= 1,
            "{port}"
        );
    }
}

#[test]
fn services_that_are_found_by_their_port_alone() {
    for (port, id) in [
        (21, "exposure.ftp"),
        (23, "exposure.telnet"),
        (102, "exposure.control"),
        (111, "exposure.rpc"),
        (389, "exposure.ldap"),
        (445, "exposure.smb"),
        (513, "exposure.rlogin"),
        (873, "exposure.rsync"),
        (1433, "exposure.database"),
        (1883, "exposure.mqtt"),
        (2049, "exposure.nfs"),
        (2379, "exposure.etcd"),
        (3306, "exposure.database"),
        (3389, "exposure.rdp"),
        (5555, "exposure.adb"),
        (5901, "exposure.vnc"),
        (5985, "exposure.winrm"),
        (6000, "exposure.x11"),
        (9100, "exposure.printer"),
        (10255, "exposure.kubelet"),
        (27017, "exposure.database"),
    ] {
        assert_eq!(fires(port, b""), [id], "{port}");
        assert!(checks(port).iter().any(|check| check.id == id));
    }
    for harmless in [22, 80, 443, 25, 8080] {
        assert!(fires(harmless, b"hello").is_empty() && checks(harmless).is_empty());
    }
}

#[test]
fn services_that_answer_anybody() {
    assert_eq!(fires(6379, b"+PONG\r\n"), ["exposure.redis-open"]);
    for closed in [
        &b"-NOAUTH Authentication required.\r\n"[..],
        b"-DENIED Redis is running in protected mode",
        b"",
    ] {
        assert_eq!(fires(6379, closed), ["exposure.database"]);
    }
    assert_eq!(fires(11211, b"VERSION 1.6.18\r\n"), ["exposure.memcached-open"]);
    assert_eq!(fires(11211, b"ERROR\r\n"), [""; 0]);
    let docker = b"HTTP/1.1 200 OK\r\nApi-Version: 1.43\r\nDocker-Experimental: false\r\n\r\nOK";
    assert_eq!(fires(2375, docker), ["exposure.docker-open"]);
    assert_eq!(
        fires(2375, b"HTTP/1.1 403 Forbidden\r\nApi-Version: 1.43\r\n\r\n"),
        [""; 0]
    );
    assert_eq!(fires(2375, b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n"), [""; 0]);
    let elastic = b"HTTP/1.1 200 OK\r\n\r\n{\"name\":\"a\",\"cluster_name\" : \"b\"}";
    assert_eq!(fires(9200, elastic), ["exposure.elasticsearch-open"]);
    assert_eq!(
        fires(9200, b"HTTP/1.1 401 Unauthorized\r\n\r\n{\"cluster_name\""),
        ["exposure.database"]
    );
    assert_eq!(fires(5900, b"RFB 003.008\n\x02\x01\x02"), ["exposure.vnc-open"]);
    assert_eq!(fires(5900, b"RFB 003.008\n\x01\x02"), ["exposure.vnc"]);
    assert_eq!(fires(5900, b"RFB 003.008\n\x05\x02\x01"), ["exposure.vnc"]);
}

/// A server on a loopback port of its own choosing cannot be at a fixed port, so conversations are tested by themselves.
fn server(talk: impl FnOnce(std::net::TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    let served = thread::spawn(move || talk(listener.accept().unwrap().0));
    (place, served)
}

fn visiting<T>(place: SocketAddr, job: impl AsyncFnOnce(&Visit<'_>) -> T) -> T {
    visiting_for(place, Duration::from_secs(2), job)
}

fn visiting_for<T>(place: SocketAddr, timeout: Duration, job: impl AsyncFnOnce(&Visit<'_>) -> T) -> T {
    let pace = Pace::per_second(1000);
    let visit = Visit {
        place,
        hostname: None,
        pace: &pace,
        timeout,
    };
    gather([job(&visit)], 1, || None).into_iter().next().flatten().unwrap()
}

#[test]
fn vnc_is_told_a_version_and_never_a_choice() {
    let (place, served) = server(|mut stream| {
        stream.write_all(b"RFB 003.008\n").unwrap();
        let mut said = [0; 12];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"RFB 003.008\n");
        stream.write_all(&[1, 1]).unwrap();
        assert_eq!(stream.read(&mut said).unwrap(), 0, "it said more");
    });
    let heard = visiting(place, async |visit| talk(visit, vnc).await);
    served.join().unwrap();
    let facts = heard.unwrap();
    assert_eq!(ids(&judge(5900, &facts)), ["exposure.vnc-open"]);
    assert_eq!(facts.half, None);
}

#[test]
fn an_old_vnc_is_told_nothing() {
    let (place, served) = server(|mut stream| {
        stream.write_all(b"RFB 003.003\n").unwrap();
        assert_eq!(stream.read(&mut [0; 12]).unwrap(), 0);
    });
    let heard = visiting(place, async |visit| talk(visit, vnc).await);
    served.join().unwrap();
    let verdict = judge(5900, &heard.unwrap());
    assert_eq!(ids(&verdict), ["exposure.vnc"]);
    assert_eq!(verdict.open, [&VNC_OPEN], "nobody asked it");
}

/// What is judged at `port` of a server that says this when it is asked, and then hangs up or falls silent.
fn asked_line(port: u16, say: &'static str, answer: &'static [u8], hangs_up: bool) -> Verdict {
    let (place, served) = server(move |mut stream| {
        let mut said = vec![0; say.len()];
        stream.read_exact(&mut said).unwrap();
        stream.write_all(answer).unwrap();
        if !hangs_up {
            assert_eq!(stream.read(&mut said).unwrap(), 0);
        }
    });
    let facts = visiting_for(place, Duration::from_millis(300), async |visit| {
        talk(visit, async |visit, heard| ask_line(visit, say, heard).await).await
    });
    served.join().unwrap();
    judge(port, &facts.unwrap())
}

#[test]
fn half_an_answer_is_no_all_clear() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{\"name\"";
    const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n{\"cluster_name\":\"x\"}";
    for hangs_up in [true, false] {
        let redis = asked_line(6379, "PING\r\n", b"+PO", hangs_up);
        assert_eq!(
            (ids(&redis), redis.open),
            (vec!["exposure.database"], vec![&REDIS_OPEN])
        );
        let elastic = asked_line(9200, ROOT, HEAD, hangs_up);
        assert_eq!(
            (ids(&elastic), elastic.open),
            (vec!["exposure.database"], vec![&ELASTIC_OPEN])
        );
        let half_a_head = asked_line(2375, DOCKER_PING, b"HTTP/1.1 200 OK\r\nServ", hangs_up);
        assert_eq!((ids(&half_a_head), half_a_head.open), (vec![], vec![&DOCKER_OPEN]));
        // enough for a finding is enough
        assert_eq!(
            ids(&asked_line(9200, ROOT, OPEN, hangs_up)),
            ["exposure.elasticsearch-open"]
        );
    }
    for (port, say, answer) in [
        (6379, "PING\r\n", &b"-NOAUTH Authentication required.\r\n"[..]),
        (9200, ROOT, b"HTTP/1.1 401 Unauthorized\r\n\r\n"),
        (9200, ROOT, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"),
        (2375, DOCKER_PING, b"SSH-2.0-x\r\n"),
    ] {
        assert!(asked_line(port, say, answer, true).open.is_empty(), "{port}");
    }
}

#[test]
fn one_line_is_said_and_one_is_heard() {
    let (place, served) = server(|mut stream| {
        let mut said = [0; 6];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"PING\r\n");
        stream.write_all(b"+PONG\r\n").unwrap();
        assert_eq!(stream.read(&mut said).unwrap(), 0);
    });
    let heard = visiting(place, async |visit| {
        talk(visit, async |visit, heard| ask_line(visit, "PING\r\n", heard).await).await
    });
    served.join().unwrap();
    assert_eq!(heard.unwrap(), whole(b"+PONG\r\n"));
}

/// The whole look at a printer's port, on addresses where the real port is free.
#[test]
fn not_a_byte_goes_to_a_printer() {
    let printers: Vec<u16> = (0..=u16::MAX).filter(|port| is_printer(*port)).collect();
    assert_eq!(printers, [515, 9100, 9101, 9102, 9103, 9104, 9105, 9106, 9107]);
    for (port, address) in [(9100, "127.91.0.2"), (9107, "127.91.0.3")] {
        let place: SocketAddr = format!("{address}:{port}").parse().unwrap();
        let listener = TcpListener::bind(place).unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).unwrap();
            listener.set_nonblocking(true).unwrap();
            let more = listener.accept().is_ok();
            (said, more)
        });
        let seen = visiting(place, async |visit| {
            crate::port::look(visit, &crate::port::Module::ALL).await
        })
        .unwrap();
        assert_eq!(served.join().unwrap(), (Vec::new(), false), "{port}");
        assert_eq!(ids(&judge(port, seen.exposure.seen().unwrap())), ["exposure.printer"]);
        let others = crate::port::Module::ALL
            .into_iter()
            .filter(|module| module.name() != "exposure");
        let pace = Pace::per_second(1);
        let visit = Visit {
            place,
            hostname: None,
            pace: &pace,
            timeout: Duration::ZERO,
        };
        for module in others {
            assert_eq!(
                seen.judge(module, &visit, crate::report::Moment(0)),
                None,
                "nobody else has looked"
            );
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_heard_is_judged(port: u16, heard in prop::collection::vec(any::<u8>(), 0..100), listed in 0..SERVICES.len()) {
        for port in [port, *SERVICES[listed].ports.start()] {
            let verdict = judge(port, &whole(&heard));
            prop_assert!(verdict.issues.len() <= 1);
        }
    }
}
