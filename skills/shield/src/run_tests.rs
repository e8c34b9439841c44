//! Whole calls, over real sockets, with a host that is scripted.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use venom_sdk::fake::Host;
use venom_sdk::lan::TlsSession;

use super::*;
use crate::port::tests::{SSH, Server, web};
use crate::{ShieldSkill, Target};

fn call(params: Value) -> Result<Value> {
    venom_sdk::call::<ShieldSkill>("check", params)
}

fn target(ports: &[u16]) -> Value {
    json!({ "ip": "127.0.0.1", "ports": ports })
}

fn report(params: Value) -> Value {
    let answer = call(params).unwrap();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["reports"]);
    answer["reports"][0].clone()
}

fn ids(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["check_id"].as_str().unwrap())
        .collect()
}

#[test]
fn a_host_with_two_services_and_one_closed_port() {
    let _host = Host::new().install();
    let (ssh, web) = (Server::greeting(SSH), web());
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let ports = [ssh.place.port(), web.place.port(), closed, ssh.place.port()];
    let report = report(json!({ "targets": [target(&ports)] }));
    let found = ids(&report);
    for expected in [
        "ssh.weak-kex",
        "http.plain",
        "http.directory-listing",
        "versions.end-of-life",
    ] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
    assert_eq!(
        report["modules_run"],
        json!(["tls", "exposure", "http", "ssh", "dns", "versions"])
    );
    assert!(
        report["completed_at"].is_string() && report.get("notes").is_none(),
        "{report}"
    );
    let run: Vec<&str> = report["checks_run"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    for port in [ssh.place.port(), web.place.port(), closed] {
        assert!(
            run.contains(&format!("tls.expired@127.0.0.1:{port}").as_str()),
            "{port}"
        );
    }
    for finding in report["findings"].as_array().unwrap() {
        let name = format!(
            "{}@127.0.0.1:{}",
            finding["check_id"].as_str().unwrap(),
            finding["port"]
        );
        assert!(run.contains(&name.as_str()), "{name}");
        for field in ["module", "severity", "title", "detail", "remediation"] {
            assert!(finding[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
        }
        assert_eq!(finding["target_ip"], "127.0.0.1");
    }
    // by port, then module, then check: the same however the answers came in
    let order: Vec<(u64, &str)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["port"].as_u64().unwrap(), it["module"].as_str().unwrap()))
        .collect();
    let mut sorted = order.clone();
    let place = |module: &str| Module::ALL.iter().position(|known| known.name() == module);
    sorted.sort_by_key(|(port, module)| (*port, place(module)));
    assert_eq!(order, sorted);
}

/// Speaks TLS 1.0 with RC4 only, by hand: enough of it to be asked.
fn old_tls() -> Server {
    Server::answering(|said| {
        let version = said.get(9..11).unwrap_or_default();
        let offers = |suite: [u8; 2]| said[46..].chunks(2).any(|pair| pair == suite);
        let alert = b"\x15\x03\x01\x00\x02\x02\x28".to_vec();
        if version < &[3, 1][..] || !said.starts_with(&[22, 3]) || !offers([0, 5]) {
            return alert;
        }
        let mut hello = b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01".to_vec();
        hello.extend_from_slice(&[7; 32]);
        hello.extend_from_slice(&[0, 0, 5, 0]);
        hello
    })
}

#[test]
fn an_old_tls_server_and_its_certificate() {
    let server = old_tls();
    let session = TlsSession {
        version: "TLSv1.2".to_owned(),
        chain: vec![include_bytes!("tls/recorded/rsa1024-sha1.der").to_vec()],
        ..TlsSession::default()
    };
    let host = Host::new().tls(server.place, Ok(session)).install();
    let target = json!({ "ip": "127.0.0.1", "ports": [server.place.port()], "hostname": "new.example" });
    let report = report(json!({ "targets": [target], "modules": ["tls"] }));
    let expected = [
        "tls.expired",
        "tls.self-signed",
        "tls.name-mismatch",
        "tls.weak-key",
        "tls.weak-signature",
        "tls.no-tls13",
        "tls.tls10",
        "tls.no-tls12",
        "tls.cipher-rc4",
    ];
    assert_eq!(ids(&report), expected);
    assert_eq!(report["certificates"][0]["key"], "rsa 1024");
    assert_eq!(report["certificates"][0]["not_after"], "2016-01-01T00:00:00Z");
    assert_eq!(report["checks_run"].as_array().unwrap().len(), crate::tls::CHECKS.len());
    assert_eq!(report["modules_run"], json!(["tls"]));
    drop(host);
}

#[test]
fn a_handshake_that_fails_leaves_the_certificate_open() {
    let server = old_tls();
    let _host = Host::new()
        .tls(
            server.place,
            Err(Error::Unavailable("it speaks too old a TLS".to_owned())),
        )
        .install();
    let report = report(json!({ "targets": [target(&[server.place.port()])] }));
    assert!(ids(&report).contains(&"tls.tls10"));
    let run = report["checks_run"].to_string();
    assert!(!run.contains("tls.expired@") && run.contains("tls.tls10@"), "{run}");
    // no answer by HTTPS was read, so no version was heard
    assert!(!run.contains("versions.end-of-life@"), "{run}");
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("too old a TLS") && notes.contains("does not grant"),
        "{notes}"
    );
}

#[test]
fn a_handshake_that_is_not_granted_is_an_error() {
    let server = old_tls();
    let _host = Host::new().install();
    let refused = call(json!({ "targets": [target(&[server.place.port()])] }));
    assert!(
        matches!(&refused, Err(Error::Denied(refusal)) if refusal.capability == "lan"),
        "{refused:?}"
    );
    // and it is not asked for where it is not needed
    report(json!({ "targets": [target(&[server.place.port()])], "modules": ["ssh", "exposure"] }));
}

#[test]
fn what_there_was_no_time_for_is_not_claimed() {
    let silent = Server::greeting(b"");
    let quick = Server::greeting(SSH);
    let _host = Host::new().remaining(Duration::from_millis(1500)).install();
    let ports = [target(&[quick.place.port()]), target(&[silent.place.port()])];
    let began = Instant::now();
    let answer = call(json!({ "targets": ports, "timeout_ms": 30_000 })).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    let (done, cut) = (&answer["reports"][0], &answer["reports"][1]);
    assert!(done["completed_at"].is_string() && !done["modules_run"].as_array().unwrap().is_empty());
    assert!(cut.get("completed_at").is_none(), "{cut}");
    assert_eq!(
        (&cut["modules_run"], &cut["checks_run"], &cut["findings"]),
        (&json!([]), &json!([]), &json!([]))
    );
    assert!(cut["notes"].to_string().contains("no time"));
}

#[test]
fn a_caller_that_goes_away_ends_it() {
    let silent = Server::greeting(b"");
    let _host = Host::new().cancel_after(2).install();
    let began = Instant::now();
    let answer = call(json!({ "targets": [target(&[silent.place.port()])], "timeout_ms": 30_000 }));
    assert_eq!(answer, Err(Error::Cancelled));
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Ports served by one server that counts who is there at one time.
fn counting(hold: Duration) -> (Vec<Server>, Arc<AtomicUsize>) {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let servers = (0..6).map(|_| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        Server::new(move |stream| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(hold);
            now.fetch_sub(1, Ordering::SeqCst);
            let _ = std::io::Write::write_all(stream, b"hello\n");
            let _ = stream.read(&mut [0; 16]);
            Vec::new()
        })
    });
    (servers.collect(), most)
}

#[test]
fn no_more_ports_are_looked_at_at_one_time_than_asked() {
    for (concurrency, least) in [(1, 1), (3, 2)] {
        let _host = Host::new().install();
        let (servers, most) = counting(Duration::from_millis(100));
        let ports: Vec<u16> = servers.iter().map(|server| server.place.port()).collect();
        report(json!({ "targets": [target(&ports)], "concurrency": concurrency, "rate": 1000 }));
        let most = most.load(Ordering::SeqCst);
        assert!((least..=concurrency).contains(&most), "{most} of {concurrency}");
    }
}

#[test]
fn no_more_connections_are_opened_a_second_than_asked() {
    let _host = Host::new().install();
    let (servers, _) = counting(Duration::ZERO);
    let ports: Vec<u16> = servers.iter().map(|server| server.place.port()).collect();
    let began = Instant::now();
    report(json!({ "targets": [target(&ports)], "rate": 5, "concurrency": 6, "modules": ["exposure"] }));
    // six connections, five gaps of 200 ms
    assert!(began.elapsed() >= Duration::from_millis(995), "{:?}", began.elapsed());
}

#[test]
fn a_conversation_takes_no_longer_than_asked() {
    let _host = Host::new().install();
    let silent = Server::greeting(b"");
    let began = Instant::now();
    let answer = report(json!({ "targets": [target(&[silent.place.port()])], "timeout_ms": 200 }));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(
        answer["notes"].to_string().contains("did not answer in time"),
        "{answer}"
    );
    assert!(!answer["checks_run"].to_string().contains("tls."));
}

#[test]
fn the_first_ports_of_all_hosts_come_first() {
    let targets = vec![
        Target {
            ip: [192, 0, 2, 1].into(),
            ports: vec![1, 2, 3],
            hostname: None,
        },
        Target {
            ip: [192, 0, 2, 2].into(),
            ports: (1..=400).collect(),
            hostname: None,
        },
    ];
    let request = Request::new(targets, None, 100, 1, 1).unwrap();
    let none = || RefCell::new(Vec::new());
    let run = Run {
        request: &request,
        until: Instant::now(),
        pace: Pace::per_second(1),
        began_at: none(),
        ended_at: none(),
    };
    let jobs = run.jobs();
    let places: Vec<(usize, u16)> = jobs.iter().take(7).map(|job| (job.target, job.place.port())).collect();
    assert_eq!(places, [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3), (1, 4)]);
    assert_eq!(jobs.len(), 3 + PORTS);
}

#[test]
fn a_refusal_of_the_sandbox_leaves_the_policy_entry_to_the_host() {
    let Error::Denied(refusal) = refused("192.0.2.7:22".parse().unwrap()) else {
        panic!()
    };
    assert_eq!(
        (refusal.target.as_str(), refusal.missing_grant.as_str()),
        ("tcp 192.0.2.7:22", "")
    );
    assert!(refusal.reason.contains("`connections`"));
}

#[test]
fn an_answer_that_would_be_too_large_is_cut_by_targets() {
    let _host = Host::new().install();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let ports: Vec<u16> = (1..=250)
        .map(|offset| closed.port().wrapping_add(offset).max(1))
        .collect();
    let targets: Vec<Target> = (0..16)
        .map(|_| Target {
            ip: closed.ip(),
            ports: ports.clone(),
            hostname: None,
        })
        .collect();
    let request = Request::new(targets, None, 100, 1, 1).unwrap();
    let times = || RefCell::new(vec![None; 16]);
    let run = Run {
        request: &request,
        until: Instant::now(),
        pace: Pace::per_second(1),
        began_at: times(),
        ended_at: times(),
    };
    let jobs = run.jobs();
    let judged = jobs.iter().map(|job| {
        let seen = Seen {
            ssh: Look::Absent,
            tls: Look::Absent,
            http: Look::Absent,
            ..Seen::default()
        };
        Some(run.judge(job, &seen))
    });
    let reports = run.write(&jobs, judged.collect());
    let size = serde_json::to_string(&reports).unwrap().len();
    assert!(size < ANSWER + 100_000, "{size}");
    assert!(reports[0].completed_at.is_some());
    let last = reports.last().unwrap();
    assert!(last.completed_at.is_none() && last.checks_run.is_empty() && last.notes[0].contains("fewer targets"));
}

#[test]
fn what_the_host_connects_to_takes_turns_and_ends_in_time() {
    let host = Host::new().install();
    let request = Request::new(Vec::new(), None, 30_000, 5, 1).unwrap();
    let run = |until: Instant| Run {
        request: &request,
        until,
        pace: Pace::per_second(request.rate),
        began_at: RefCell::default(),
        ended_at: RefCell::default(),
    };
    let began = Instant::now();
    let patient = run(began + Duration::from_secs(20));
    for _ in 0..3 {
        let time = patient.turn().unwrap().unwrap();
        assert!(
            time > Duration::from_secs(10) && time <= Duration::from_secs(20),
            "{time:?}"
        );
    }
    // three connections, two gaps of 200 ms
    assert!(began.elapsed() >= Duration::from_millis(395), "{:?}", began.elapsed());
    let hurried = run(Instant::now() + Duration::from_millis(100));
    assert!(hurried.turn().unwrap().is_some());
    assert_eq!(hurried.turn(), Ok(None), "its next turn is too late");
    assert_eq!(run(Instant::now()).turn(), Ok(None));
    drop(host);
    let _gone = Host::new().cancel_after(0).install();
    assert_eq!(patient.turn(), Err(Error::Cancelled));
}

#[test]
fn certificates_take_no_more_room_than_there_is() {
    let facts = tls::certificate::read(include_bytes!("tls/recorded/p256-leaf.der")).unwrap();
    let certificate = |place: SocketAddr, text: usize| Certificate {
        names: vec!["x".repeat(text)],
        ..certificate(place, 0, &facts)
    };
    let job = |target: usize| Job {
        target,
        place: SocketAddr::from(([192, 0, 2, 1], 443)),
    };
    let mut room = Room::of(100);
    let mut kept = |target: usize, text: usize| {
        let mut judged = Judged {
            verdicts: Vec::new(),
            notes: Vec::new(),
            certificates: vec![certificate(job(target).place, text)],
        };
        room.keep(&job(target), &mut judged);
        assert_eq!(judged.certificates.is_empty(), judged.notes.len() == 1);
        !judged.certificates.is_empty()
    };
    assert!(kept(0, 100_000) && kept(0, 100_000));
    assert!(!kept(0, 100_000), "of one target");
    assert!(kept(0, 1_000), "what is small still fits");
    let others = (1..100).filter(|target| kept(*target, 200_000)).count();
    assert!((13..=15).contains(&others), "{others}: of all together");
}
