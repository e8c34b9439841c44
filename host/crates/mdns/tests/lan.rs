//! Two machines in a LAN of their own (network namespaces joined by a cable), with real multicast.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test that fails is a test that fails"
)]

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mdns_sd::{ServiceDaemon, ServiceInfo};
use tokio::time::{Instant, timeout_at};
use venom_mdns::{Announcement, Browser, Found, Interfaces, Role, SERVICE, Selector, Sighting, announce, browse, look};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two machines, `a` and `b`. Their cable is called `lan0` at both ends and has 10.77.0.1 and .2.
struct Lan {
    a: String,
    b: String,
}

fn ip(words: &str) {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .unwrap_or_else(|error| panic!("this test needs ip (iproute2) in PATH: {error}"));
    assert!(
        output.status.success(),
        "ip {words} (this test needs root): {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Lan {
    /// Two machines without a cable.
    fn apart() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let [a, b] = ["a", "b"].map(|end| format!("venom-mdns-{}-{number}{end}", std::process::id()));
        let lan = Self { a, b };
        for machine in [&lan.a, &lan.b] {
            ip(&format!("netns add {machine}"));
            ip(&format!("-n {machine} link set lo up"));
        }
        lan
    }

    fn new() -> Self {
        let lan = Self::apart();
        lan.join("lan0", "10.77.0");
        lan
    }

    /// Joins both by a cable.
    fn join(&self, name: &str, net: &str) {
        let Self { a, b } = self;
        ip(&format!("-n {a} link add {name} type veth peer name {name} netns {b}"));
        for (machine, last) in [(a, 1), (b, 2)] {
            ip(&format!("-n {machine} addr add {net}.{last}/24 dev {name}"));
            ip(&format!("-n {machine} addr add fd77::{last}/64 dev {name} nodad"));
            ip(&format!("-n {machine} link set {name} up"));
        }
        for machine in [a, b] {
            let is_up = || only(&[name]).usable().len() >= 2;
            at(machine, async || {
                let deadline = Instant::now() + PATIENCE;
                while !is_up() {
                    assert!(Instant::now() < deadline, "{name} never came up");
                    tokio::task::yield_now().await;
                }
            });
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for machine in [&self.a, &self.b] {
            // Best effort: a namespace that is left over holds nothing.
            let _ = Command::new("ip").args(["netns", "del", machine]).status();
        }
    }
}

/// Runs `work` on a machine of the LAN: threads it starts are there too.
fn at<T: Send>(machine: &str, work: impl AsyncFnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let run = || {
            let place = File::open(format!("/run/netns/{machine}")).unwrap();
            let network = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(place.as_fd(), network).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(work())
        };
        scope.spawn(run).join().unwrap()
    })
}

fn told(role: Role, hostname: &str) -> Announcement {
    Announcement {
        role,
        hostname: hostname.to_owned(),
        address: "::".parse().unwrap(),
        port: if role == Role::Nexus { 8000 } else { 0 },
        id: Some("6fa459ea-ee8a-4ca4-894e-db77e160355e".parse().unwrap()),
        path: "/".to_owned(),
        version: "0.1.0".to_owned(),
        tls: false,
    }
}

fn only(selectors: &[&str]) -> Interfaces {
    let selectors: Vec<Selector> = selectors.iter().map(|text| text.parse().unwrap()).collect();
    selectors.into()
}

/// Looks until what is there is right.
async fn until(browser: &mut Browser, what: &str, mut is_right: impl FnMut(&[Found]) -> bool) -> Vec<Found> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = browser.found();
        if is_right(&found) {
            return found;
        }
        match timeout_at(deadline, browser.next()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("{what}: the browser ended"),
            Err(_) => panic!("{what}: there is {found:?}"),
        }
    }
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn a_nexus_and_a_spore_find_each_other_and_goodbye_is_heard() {
    let lan = Lan::new();
    let nexus = at(&lan.a, async || {
        announce(told(Role::Nexus, "hub.example"), Interfaces::default()).unwrap()
    });
    let spore = at(&lan.b, async || {
        announce(told(Role::Spore, "pi"), Interfaces::default()).unwrap()
    });
    at(&lan.b, async || {
        let mut browser = browse(&Interfaces::default()).unwrap();
        let whole = |found: &[Found]| {
            found
                .iter()
                .any(|found| found.role == Role::Nexus && found.addresses.len() >= 2)
        };
        let found = until(&mut browser, "the spore's machine sees the nexus", whole).await;
        let hub = &found[0];
        assert_eq!(
            (hub.instance.as_str(), hub.host.as_str()),
            ("venom-hub", "venom-hub.local")
        );
        assert_eq!((hub.port, hub.version.as_deref()), (8000, Some("0.1.0")));
        assert_eq!(hub.hostname.as_deref(), Some("hub"));
        assert_eq!(
            hub.id.as_ref().unwrap().as_str(),
            "6fa459ea-ee8a-4ca4-894e-db77e160355e"
        );
        let urls = hub.urls();
        assert_eq!(urls[0], "http://10.77.0.1:8000");
        assert!(urls.contains(&"http://[fd77::1]:8000".to_owned()), "{urls:?}");
        // Dropped at home: the goodbye goes out before the drop ends, or the process could end without.
        drop(nexus);
        let gone = |found: &[Found]| found.iter().all(|found| found.role != Role::Nexus);
        until(&mut browser, "the nexus said goodbye", gone).await;
    });
    at(&lan.a, async || {
        let mut browser = browse(&Interfaces::default()).unwrap();
        let found = until(&mut browser, "the nexus's machine sees the spore", |found| {
            found.len() == 1
        })
        .await;
        assert_eq!(
            (found[0].role, found[0].port, found[0].instance.as_str()),
            (Role::Spore, 0, "venom-pi")
        );
        spore.stop().await;
        let deadline = Instant::now() + PATIENCE;
        let said = timeout_at(deadline, async {
            loop {
                if let Some(Sighting::Gone(found)) = browser.next().await {
                    break found;
                }
            }
        });
        assert_eq!(said.await.unwrap().instance, "venom-pi");
        let there = look(&Interfaces::default(), Duration::from_millis(300)).await.unwrap();
        assert_eq!(there, []);
    });
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn two_machines_of_one_name_do_not_collide() {
    let lan = Lan::new();
    let first = at(&lan.a, async || {
        announce(told(Role::Nexus, "pi"), Interfaces::default()).unwrap()
    });
    at(&lan.b, async || {
        let mut browser = browse(&Interfaces::default()).unwrap();
        until(&mut browser, "the first is there", |found| found.len() == 1).await;
        let second = announce(told(Role::Spore, "pi"), Interfaces::default()).unwrap();
        let both = |found: &[Found]| {
            let names: Vec<&str> = found.iter().map(|found| found.instance.as_str()).collect();
            names == ["venom-pi", "venom-pi-2"]
        };
        let found = until(&mut browser, "both are there, each with a name of its own", both).await;
        assert_eq!((found[0].role, found[1].role), (Role::Nexus, Role::Spore));
        assert_eq!(
            (found[0].host.as_str(), found[1].host.as_str()),
            ("venom-pi.local", "venom-pi-2.local")
        );
        assert_eq!(second.instance(), "venom-pi-2");
        assert_eq!(first.instance(), "venom-pi");
        second.stop().await;
        until(&mut browser, "the second said goodbye", |found| found.len() == 1).await;
    });
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn links_to_containers_are_left_out_unless_named() {
    let lan = Lan::new();
    lan.join("docker0", "10.78.0");
    let everywhere = at(&lan.a, async || {
        announce(told(Role::Nexus, "hub"), Interfaces::default()).unwrap()
    });
    at(&lan.b, async || {
        let mut browser = browse(&only(&["lan0", "docker0"])).unwrap();
        let found = until(&mut browser, "the nexus is there", |found| !found.is_empty()).await;
        let addresses = format!("{:?}", found[0].addresses);
        assert!(
            addresses.contains("10.77.0.1") && !addresses.contains("10.78"),
            "{addresses}"
        );
        // Nobody is asked there, so nobody answers: the whole time is the proof.
        let there = look(&only(&["docker0"]), Duration::from_secs(2)).await.unwrap();
        assert_eq!(there, []);
    });
    drop(everywhere);
    let _named = at(&lan.a, async || {
        announce(told(Role::Nexus, "hub"), only(&["docker0"])).unwrap()
    });
    at(&lan.b, async || {
        let mut browser = browse(&only(&["lan0", "docker0"])).unwrap();
        let by_docker = |found: &[Found]| {
            found
                .iter()
                .any(|found| format!("{:?}", found.addresses).contains("10.78.0.1"))
        };
        let found = until(&mut browser, "the nexus is there", by_docker).await;
        assert!(!format!("{:?}", found[0].addresses).contains("10.77"), "{found:?}");
    });
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn a_nexus_that_listens_on_one_address_announces_that_one() {
    let lan = Lan::new();
    let one = Announcement {
        address: "10.77.0.1".parse().unwrap(),
        ..told(Role::Nexus, "hub")
    };
    let _nexus = at(&lan.a, async || announce(one, Interfaces::default()).unwrap());
    at(&lan.b, async || {
        let mut browser = browse(&Interfaces::default()).unwrap();
        let found = until(&mut browser, "the nexus is there", |found| !found.is_empty()).await;
        assert_eq!(
            found[0].urls(),
            ["http://10.77.0.1:8000", "http://venom-hub.local:8000"]
        );
    });
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn a_machine_without_a_network_goes_on_and_is_heard_once_it_has_one() {
    let lan = Lan::apart();
    let _nexus = at(&lan.a, async || {
        assert_eq!(Interfaces::default().usable(), []);
        let there = look(&Interfaces::default(), Duration::from_millis(100)).await.unwrap();
        assert_eq!(there, []);
        announce(told(Role::Nexus, "hub"), Interfaces::default()).unwrap()
    });
    at(&lan.b, async || {
        let mut browser = browse(&Interfaces::default()).unwrap();
        lan.join("lan0", "10.77.0");
        until(&mut browser, "the nexus is there", |found| !found.is_empty()).await;
    });
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn whatever_a_hostile_machine_says_only_what_is_right_is_found() {
    let lan = Lan::new();
    let (good, hostile) = at(&lan.a, async || {
        let daemon = ServiceDaemon::new().unwrap();
        let fine = ("role".to_owned(), b"nexus".to_vec());
        type Entry = (String, Vec<u8>);
        let records: [(&str, u16, Entry); 5] = [
            ("binary", 8000, ("version".to_owned(), b"\xff\0\x1b[2J".to_vec())),
            ("endless", 8000, ("path".to_owned(), [b'/'; 200].to_vec())),
            ("nowhere", 0, fine.clone()),
            ("king", 8000, ("role".to_owned(), b"king".to_vec())),
            ("wide", 8000, ("pad0".to_owned(), vec![b'x'; 240])),
        ];
        for (name, port, property) in records {
            let mut properties = vec![property];
            if name == "wide" {
                properties.extend((1..12).map(|number| (format!("pad{number}"), vec![b'x'; 240])));
            }
            let properties: Vec<mdns_sd::TxtProperty> = properties
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice()).into())
                .collect();
            let host = format!("venom-{name}.local.");
            let info = ServiceInfo::new(SERVICE, name, &host, "10.77.0.1", port, properties).unwrap();
            daemon.register(info).unwrap();
        }
        let socket = UdpSocket::bind("10.77.0.1:0").unwrap();
        for length in [0_usize, 1, 11, 12, 13, 100, 1400] {
            for filler in [0_u8, 0xc0, 0xff, 0x84] {
                socket.send_to(&vec![filler; length], "224.0.0.251:5353").unwrap();
            }
        }
        (
            announce(told(Role::Nexus, "hub"), Interfaces::default()).unwrap(),
            daemon,
        )
    });
    at(&lan.b, async || {
        // All five have announced themselves well before that is over.
        let there = look(&Interfaces::default(), Duration::from_secs(5)).await.unwrap();
        let names: Vec<&str> = there.iter().map(|found| found.instance.as_str()).collect();
        assert_eq!(names, ["venom-hub"]);
        // They can be heard: the library alone finds them.
        let daemon = ServiceDaemon::new().unwrap();
        let events = daemon.browse(SERVICE).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut heard = std::collections::BTreeSet::new();
        while heard.len() < 6 {
            let event = timeout_at(deadline, events.recv_async())
                .await
                .expect("all six are heard")
                .unwrap();
            if let mdns_sd::ServiceEvent::ServiceResolved(resolved) = event {
                heard.insert(resolved.fullname.clone());
            }
        }
        daemon.shutdown().unwrap();
    });
    drop(good);
    hostile.shutdown().unwrap();
}
