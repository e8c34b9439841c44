//! The sweep in networks that a test describes, on their own clock.

use std::net::SocketAddr;

use venom_sdk::fake::Host as Fake;

use super::script::{Answer, Network, install};
use super::*;

const MANNER: Manner = Manner {
    rate: 500,
    concurrency: 128,
    timeout: Duration::from_millis(800),
    banners: true,
};
const LONG: Duration = Duration::from_secs(3_600);

fn sweep(manner: &Manner, hosts: &[IpAddr], ports: &[u16], time: Duration) -> Result<Swept> {
    Sweep::new(manner, &mut Road::new(manner.rate), "x").run(hosts, ports, time)
}

fn hosts(count: u8) -> Vec<IpAddr> {
    (1..=count).map(|last| IpAddr::from([10, 0, 0, last])).collect()
}

fn peer(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], port))
}

fn open(greeting: &[u8], answer: &[u8]) -> Answer {
    Answer::Open(greeting.to_vec(), answer.to_vec())
}

fn network(answers: impl IntoIterator<Item = (SocketAddr, Answer)>) -> Network {
    Network {
        answers: answers.into_iter().collect(),
        delay: Duration::from_millis(3),
        ..Network::default()
    }
}

#[test]
fn who_answers_is_found_and_who_is_silent_is_not() {
    let network = install(network([
        (peer(1, 22), open(b"SSH-2.0-x\r\n", b"")),
        (peer(1, 23), Answer::Refuse),
        (peer(2, 23), Answer::Refuse),
        (peer(3, 23), Answer::Lose),
        (peer(4, 80), open(b"", b"HTTP/1.1 200 OK\r\nServer: y\r\n\r\n")),
    ]));
    let swept = sweep(&MANNER, &hosts(4), &[22, 23, 80], LONG).unwrap();
    assert!(swept.complete);
    assert_eq!(swept.tried, 12);
    let found: Vec<(IpAddr, Vec<u16>, u32)> = swept
        .hosts
        .iter()
        .map(|(ip, host)| (*ip, host.open.keys().copied().collect(), host.refused))
        .collect();
    let ip = |last| IpAddr::from([10, 0, 0, last]);
    assert_eq!(found, [(ip(1), vec![22], 1), (ip(2), vec![], 1), (ip(4), vec![80], 0)]);
    assert_eq!(swept.hosts[&ip(1)].open[&22], b"SSH-2.0-x\r\n");
    assert!(swept.hosts[&ip(4)].open[&80].ends_with(b"Server: y\r\n\r\n"));
    let network = network.borrow();
    let mut tried: Vec<SocketAddr> = network.tried.iter().map(|(_, peer)| *peer).collect();
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried.len(), 12, "each once");
    assert_eq!(
        network.sent.keys().copied().collect::<Vec<_>>(),
        [peer(4, 80)],
        "only HTTP is asked"
    );
}

#[test]
fn printers_are_sent_nothing_even_where_they_would_answer() {
    let ports: Vec<u16> = [515].into_iter().chain(9100..=9107).collect();
    let answers = ports
        .iter()
        .map(|port| (peer(1, *port), open(b"", b"HTTP/1.1 200 OK\r\n\r\n")));
    let network = install(network(answers));
    let swept = sweep(&MANNER, &hosts(1), &ports, LONG).unwrap();
    assert_eq!(
        swept.hosts[&IpAddr::from([10, 0, 0, 1])].open.len(),
        9,
        "they are found all the same"
    );
    assert!(network.borrow().sent.is_empty());
}

#[test]
fn without_banners_nobody_is_spoken_to() {
    let network = install(network([(peer(1, 80), open(b"", b"HTTP/1.1 200 OK\r\n\r\n"))]));
    let manner = Manner {
        banners: false,
        ..MANNER
    };
    let swept = sweep(&manner, &hosts(1), &[80], LONG).unwrap();
    assert_eq!(swept.hosts[&IpAddr::from([10, 0, 0, 1])].open[&80], b"");
    assert!(network.borrow().sent.is_empty());
}

#[test]
fn rate_and_concurrency_hold() {
    // all silent: each connection takes the whole time
    let network = install(Network::default());
    let manner = Manner {
        rate: 100,
        concurrency: 16,
        ..MANNER
    };
    let swept = sweep(&manner, &hosts(100), &[22, 80], LONG).unwrap();
    assert!(swept.complete && swept.hosts.is_empty());
    assert_eq!(network.borrow().most, 16);
    drop(swept);

    let network = install(self::network(
        hosts(250).iter().map(|ip| (SocketAddr::new(*ip, 22), Answer::Refuse)),
    ));
    sweep(&manner, &hosts(250), &[22], LONG).unwrap();
    let tried: Vec<Duration> = network.borrow().tried.iter().map(|(at, _)| *at).collect();
    let most = tried
        .iter()
        .map(|start| {
            tried
                .iter()
                .copied()
                .filter(|at| (*start..*start + Duration::from_secs(1)).contains(at))
                .count()
        })
        .max();
    assert!(most <= Some(103), "{most:?} connections in one second");
    let whole = *tried.last().unwrap();
    assert!(
        (2_400..2_600).contains(&whole.as_millis()),
        "250 at 100 a second took {whole:?}"
    );
}

#[test]
fn what_is_not_granted_ends_the_sweep_and_shows_early() {
    // a port, and the other half of the target
    let port = |host: &IpAddr| SocketAddr::new(*host, 80);
    let network = install(network(hosts(254).iter().map(port).map(|peer| (peer, Answer::Deny))));
    let error = sweep(&MANNER, &hosts(254), &[22, 80], LONG).unwrap_err();
    let Error::Denied(refusal) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (refusal.capability.as_str(), refusal.target.as_str()),
        ("net", "tcp 10.0.0.1:80")
    );
    assert!(network.borrow().tried.len() < 10, "{}", network.borrow().tried.len());
    let half = hosts(254).split_off(127);
    let network = install(self::network(
        half.iter().map(|host| (SocketAddr::new(*host, 22), Answer::Deny)),
    ));
    let error = sweep(&MANNER, &hosts(254), &[22, 80], LONG).unwrap_err();
    assert!(error.to_string().contains("tcp 10.0.0.128:22"), "{error}");
    assert!(network.borrow().tried.len() < 300, "{}", network.borrow().tried.len());
    // a host of which nothing is left, and one that is alone
    install(self::network([
        (peer(254, 22), Answer::Deny),
        (peer(254, 80), Answer::Deny),
    ]));
    sweep(&MANNER, &hosts(254), &[22, 80], LONG).unwrap_err();
    install(self::network([(peer(1, 80), Answer::Deny)]));
    sweep(&MANNER, &hosts(1), &[22, 80], LONG).unwrap_err();
}

#[test]
fn a_port_that_one_host_alone_has_denied_is_left_out_and_told() {
    for last in [1, 7, 254] {
        let network = install(network([
            (peer(last, 22), open(b"SSH-2.0-x\r\n", b"")),
            (peer(last, 80), Answer::Deny),
            (peer(3, 80), Answer::Refuse),
        ]));
        let swept = sweep(&MANNER, &hosts(254), &[22, 80, 443], LONG).unwrap();
        assert!(swept.complete);
        assert_eq!(swept.left_out.iter().collect::<Vec<_>>(), [&peer(last, 80)]);
        let found: Vec<&IpAddr> = swept.hosts.keys().collect();
        assert_eq!(found.len(), 2, "{found:?}");
        // each once, and one host once more
        assert_eq!(network.borrow().tried.len(), 254 * 3 + 1);
    }
}

#[test]
fn what_was_let_and_is_let_no_more_is_a_budget_that_is_used_up() {
    let first = [(peer(1, 22), Answer::Refuse), (peer(1, 80), Answer::Refuse)];
    // the very last connections of all
    let network = install(network(first));
    network.borrow_mut().budget = Some(7);
    let error = sweep(&MANNER, &hosts(4), &[22, 80], LONG).unwrap_err();
    assert!(error.to_string().contains("tcp 10.0.0.4:80"), "{error}");
}

#[test]
fn cut_short_it_answers_what_it_has() {
    install(network([(peer(1, 22), open(b"SSH-2.0-x\r\n", b""))]));
    let swept = sweep(&MANNER, &hosts(254), &[22, 80], Duration::from_millis(300)).unwrap();
    assert!(
        !swept.complete && swept.tried < 254 && swept.hosts.len() == 1,
        "{swept:?}"
    );
    let _caller = Fake::new().cancel_after(3).install();
    let swept = sweep(&MANNER, &hosts(254), &[22, 80], LONG).unwrap();
    assert!(!swept.complete && swept.tried < 254, "cancelled: {swept:?}");
}

#[test]
fn progress_is_reported() {
    let fake = Fake::new().install();
    install(Network::default());
    Sweep::new(&MANNER, &mut Road::new(500), "10.0.0.0/24")
        .run(&hosts(254), &[22, 80], LONG)
        .unwrap();
    let reports = fake.reports();
    assert!(reports.len() >= 4, "{}", reports.len());
    assert!(reports.windows(2).all(|pair| pair[0].done <= pair[1].done));
    assert!(
        reports
            .iter()
            .all(|report| report.total == 508 && report.note.starts_with("10.0.0.0/24: "))
    );
}

#[test]
fn a_port_that_never_stops_talking_holds_nothing_up() {
    install(network([(peer(1, 21), open(&[b'x'; 9_000], b""))]));
    let swept = sweep(&MANNER, &hosts(1), &[21], LONG).unwrap();
    assert_eq!(swept.hosts[&IpAddr::from([10, 0, 0, 1])].open[&21].len(), 2_048);
}

#[test]
fn a_port_that_drips_holds_nothing_up_either() {
    // one that is listened to, and one that is asked; each byte comes before the wait for the next is over
    let ports = [21, 80];
    let drips = ports.map(|port| (peer(1, port), Answer::Drip(Duration::from_millis(90))));
    install(network(drips));
    let swept = sweep(&MANNER, &hosts(1), &ports, Duration::from_secs(4)).unwrap();
    assert!(swept.complete);
    let heard = swept.hosts[&IpAddr::from([10, 0, 0, 1])].open[&21].len();
    assert!((10..=17).contains(&heard), "{heard} bytes of 1.5 seconds are kept");
}

#[test]
fn an_answer_that_drips_is_left_when_its_time_is_over() {
    install(network([(peer(1, 80), Answer::Drip(Duration::from_millis(500)))]));
    let swept = sweep(&MANNER, &hosts(1), &[80], Duration::from_secs(4)).unwrap();
    assert!(swept.complete, "two seconds from the question");
}

#[test]
fn a_machine_without_a_network_has_seen_nothing() {
    let all: Vec<IpAddr> = hosts(20);
    let lost = || {
        all.iter()
            .map(|ip| (SocketAddr::new(*ip, 22), Answer::Lose))
            .collect::<Vec<_>>()
    };
    install(network(lost()));
    let none = sweep(&MANNER, &all, &[22], LONG).unwrap();
    assert!(!none.complete && none.tried == 20 && none.hosts.is_empty(), "{none:?}");
    // a single one that was waited for, or that answered, was on a network
    for sign in [None, Some(Answer::Refuse), Some(Answer::Open(Vec::new(), Vec::new()))] {
        let mut answers = lost();
        answers.pop();
        answers.extend(sign.map(|sign| (peer(20, 22), sign)));
        install(network(answers));
        assert!(sweep(&MANNER, &all, &[22], LONG).unwrap().complete);
    }
    // as neighbours that do not answer are given up by the system, after a while
    install(Network {
        delay: Duration::from_millis(700),
        ..network(lost())
    });
    assert!(sweep(&MANNER, &all, &[22], LONG).unwrap().complete);
}

#[test]
fn a_machine_without_sockets_ends_the_sweep() {
    install(network([(peer(1, 22), Answer::Refuse), (peer(1, 80), Answer::Break)]));
    let error = sweep(&MANNER, &hosts(1), &[22, 80], LONG).unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable(why) if why.contains("10.0.0.1:80: address-not-bindable")),
        "{error}"
    );
}

#[test]
fn sweeps_on_one_road_keep_one_rate_together_and_leave_nothing_behind() {
    let network = install(network([(peer(1, 22), Answer::Refuse)]));
    let manner = Manner { rate: 10, ..MANNER };
    let mut road = Road::new(manner.rate);
    for _ in 0..5 {
        Sweep::new(&manner, &mut road, "x").run(&hosts(1), &[22], LONG).unwrap();
        assert!(road.turn(LONG), "a handshake counts as one too");
    }
    let at = network.borrow().tried.last().unwrap().0;
    assert!(at >= Duration::from_millis(780), "nine turns in {at:?}");
    assert!(!road.turn(Duration::from_millis(1)), "its turn comes later");
    // broken off with connections open
    let short = Duration::from_millis(400);
    Sweep::new(&manner, &mut road, "x")
        .run(&hosts(9), &[23], short)
        .unwrap();
    network.borrow_mut().most = 0;
    Sweep::new(&manner, &mut road, "x").run(&hosts(1), &[22], LONG).unwrap();
    assert_eq!(network.borrow().most, 1);
}
