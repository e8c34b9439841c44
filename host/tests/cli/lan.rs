//! A nexus and spores that find each other in a LAN of their own: two network namespaces joined by a cable, real multicast.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use crate::home::{Home, PATIENCE, Running, Said, said, start, until};

/// Two machines; `a` has 10.88.0.1 and `b` 10.88.0.2.
struct Lan {
    a: String,
    b: String,
}

fn ip(words: &str) -> String {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .unwrap_or_else(|error| panic!("this test needs ip (iproute2) in PATH: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words} (this test needs root): {told}");
    String::from_utf8(output.stdout).unwrap()
}

impl Lan {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let [a, b] = ["a", "b"].map(|end| format!("venom-cli-{}-{number}{end}", std::process::id()));
        let lan = Self { a, b };
        let (a, b) = (&lan.a, &lan.b);
        for machine in [a, b] {
            ip(&format!("netns add {machine}"));
            ip(&format!("-n {machine} link set lo up"));
        }
        lan.join();
        lan
    }

    /// Joins both machines by a cable, and waits until it carries.
    fn join(&self) {
        let (a, b) = (&self.a, &self.b);
        ip(&format!("-n {a} link add lan0 type veth peer name lan0 netns {b}"));
        for (machine, last) in [(a, 1), (b, 2)] {
            ip(&format!("-n {machine} addr add 10.88.0.{last}/24 dev lan0"));
            ip(&format!("-n {machine} link set lan0 up"));
        }
        for machine in [a, b] {
            until("the cable carries", || {
                ip(&format!("-n {machine} link show lan0"))
                    .contains("state UP")
                    .then_some(())
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

/// The binary on one of the machines, allowed to speak in its network.
fn at(machine: &str, home: &Home, args: &[&str]) -> Command {
    let plain = home.command(args);
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", machine])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear()
        .stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env("VENOM_MDNS", "on");
    command
}

fn run(machine: &str, home: &Home, args: &[&str]) -> Said {
    said(at(machine, home, args).output().unwrap())
}

/// Who announces itself, as a machine sees it.
fn found(machine: &str, role: &str) -> Vec<Value> {
    let answer = run(machine, &Home::new(), &["discover", "--json", "--timeout", "2s"]).json();
    let found = answer["found"].as_array().unwrap().clone();
    found.into_iter().filter(|found| found["role"] == role).collect()
}

/// A spore whose words are read while it runs.
struct Spore {
    child: Child,
    told: Arc<Mutex<String>>,
}

impl Spore {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let told = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let told = Arc::clone(&told);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut told = told.lock().unwrap();
                    told.push_str(&line);
                    told.push('\n');
                }
            });
        }
        Self { child, told }
    }

    fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    fn says(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.told();
            if told.contains(words) {
                return told;
            }
            assert!(Instant::now() < deadline, "never said `{words}`, but:\n{told}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stop(mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        until("the spore ends", || self.child.try_wait().unwrap());
    }
}

impl Drop for Spore {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nexus(lan: &Lan, home: &Home, more: &[&str]) -> Running {
    let args = [
        &["nexus", "--bind", "0.0.0.0", "--port", "0", "--local-fallback", "off"],
        more,
    ]
    .concat();
    start(at(&lan.a, home, &args), "nexus ready ")
}

/// A home that has the token of the nexus, as a machine of its own would.
fn member_of(home: &Home) -> Home {
    let own = Home::initialised();
    own.write("node.token", &home.read("node.token"));
    own
}

fn nodes(lan: &Lan, home: &Home, url: &str) -> usize {
    let list = run(&lan.a, home, &["nodes", "list", "--json", "--nexus", url]).json();
    list["nodes"].as_array().unwrap().len()
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn a_nexus_in_the_lan_is_found_but_gets_the_token_only_when_the_operator_says_so() {
    let (lan, home) = (Lan::new(), Home::initialised());
    let nexus = nexus(&lan, &home, &[]);
    let port = nexus.ready.rsplit(':').next().unwrap().to_owned();
    let seen = until("the nexus is seen", || found(&lan.b, "nexus").pop());
    assert_eq!(seen["urls"][0], format!("http://10.88.0.1:{port}"));
    assert_eq!(seen["id"], home.read("node_id").trim());
    let text = run(&lan.b, &Home::new(), &["discover", "--timeout", "2s"]).fine();
    assert!(
        text.contains("nexus") && text.contains(&format!("http://10.88.0.1:{port}")),
        "{text}"
    );

    let member = member_of(&home);
    let wary = Spore::start(at(&lan.b, &member, &["spore"]));
    let told = wary.says("looking on");
    assert!(
        told.contains("looking in the LAN for 3 s") && told.contains("--trust-lan"),
        "{told}"
    );
    assert!(
        told.contains(&format!("at http://10.88.0.1:{port}, but it is not used")),
        "{told}"
    );
    assert_eq!(nodes(&lan, &home, &nexus.ready), 0, "nobody showed it a token");
    wary.stop();

    let trusting = Spore::start(at(&lan.b, &member, &["spore", "--trust-lan"]));
    let told = trusting.says("spore ready ");
    assert!(told.contains(&format!("trying http://10.88.0.1:{port}")), "{told}");
    assert_eq!(nodes(&lan, &home, &nexus.ready), 1);
    let spore = until("the spore is seen", || found(&lan.a, "spore").pop());
    assert_eq!(
        (&spore["id"], &spore["port"]),
        (&member.read("node_id").trim().into(), &0.into())
    );
    trusting.stop();
    assert_eq!(found(&lan.a, "spore"), [""; 0].map(Value::from), "it said goodbye");
    let (status, told) = nexus.stop();
    assert!(status.success(), "{told}");
    assert_eq!(found(&lan.b, "nexus"), [""; 0].map(Value::from), "so did the nexus");
    for secret in ["operator.token", "node.token"] {
        assert!(!seen.to_string().contains(home.read(secret).trim()), "{secret}");
    }
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn a_nexus_whose_certificate_an_own_authority_signed_is_used_at_once() {
    let (lan, home) = (Lan::new(), Home::initialised());
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, other) = (authority("ours"), authority("other"));
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["10.88.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ours).unwrap();
    for (name, text) in [
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
        ("ca.pem", ours.pem()),
        ("other.pem", other.pem()),
    ] {
        home.write(name, &text);
    }
    let file = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let nexus = nexus(
        &lan,
        &home,
        &["--tls-cert", &file("cert.pem"), "--tls-key", &file("key.pem")],
    );
    let member = member_of(&home);

    let unsure = Spore::start(at(&lan.b, &member, &["spore"]));
    let told = unsure.says("looking on");
    assert!(
        told.contains("https://10.88.0.1") && told.contains("--ca-file"),
        "{told}"
    );
    unsure.stop();

    // Dialled, but whoever another authority signed gets no further than the handshake of TLS.
    let mistaken = Spore::start(at(&lan.b, &member, &["spore", "--ca-file", &file("other.pem")]));
    let told = mistaken.says("no link to the nexus");
    assert!(!told.contains("spore ready"), "{told}");
    mistaken.stop();

    let sure = Spore::start(at(&lan.b, &member, &["spore", "--ca-file", &file("ca.pem")]));
    sure.says("spore ready ");
    drop(sure);
    drop(nexus);
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn what_listens_on_loopback_or_is_told_to_be_silent_is_not_announced() {
    let (lan, home) = (Lan::new(), Home::initialised());
    let loopback = start(at(&lan.a, &home, &["nexus", "--port", "0"]), "nexus ready ");
    let silent_home = Home::initialised();
    let silent = nexus(&lan, &silent_home, &["--no-mdns"]);
    let elsewhere_home = Home::initialised();
    let elsewhere = nexus(&lan, &elsewhere_home, &["--mdns-interface", "!lan0"]);
    // One that is heard shows that the others could have been.
    let heard_home = Home::initialised();
    let _heard = nexus(&lan, &heard_home, &["--mdns-interface", "lan0"]);
    until("one is seen", || found(&lan.b, "nexus").pop());
    let seen = found(&lan.b, "nexus");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["id"], heard_home.read("node_id").trim());
    drop((loopback, silent, elsewhere));
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn a_spore_that_finds_nobody_looks_on_until_a_nexus_is_there() {
    let (lan, home) = (Lan::new(), Home::initialised());
    let member = member_of(&home);
    let spore = Spore::start(at(&lan.b, &member, &["spore"]));
    spore.says("http://127.0.0.1:8000 does not answer: looking on");
    let _nexus = start(at(&lan.b, &home, &["nexus", "--local-fallback", "off"]), "nexus ready ");
    spore.says("spore ready ");
    assert_eq!(
        found(&lan.a, "spore"),
        [""; 0].map(Value::from),
        "both are on one machine: nobody else is told"
    );
}

#[test]
#[cfg_attr(not(own_networks), ignore = "needs root and ip (iproute2)")]
fn a_machine_without_a_network_says_so_and_goes_on_when_it_has_one() {
    let (lan, home) = (Lan::new(), Home::initialised());
    ip(&format!("-n {} link del lan0", lan.b));
    let said = run(&lan.b, &home, &["discover"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("no network interface to look on"), "{}", said.err);
    let doctor = run(&lan.b, &home, &["doctor", "--json"]).json();
    let row = doctor["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "mdns")
        .unwrap()
        .clone();
    assert_eq!(row["status"], "warn", "{row}");
    let member = member_of(&home);
    let spore = Spore::start(at(&lan.b, &member, &["spore", "--trust-lan"]));
    spore.says("no network interface can be asked yet");
    spore.says("http://127.0.0.1:8000 does not answer: looking on");
    let listening = start(
        at(
            &lan.b,
            &Home::initialised(),
            &["nexus", "--bind", "0.0.0.0", "--port", "0"],
        ),
        "nexus ready ",
    );
    let (_, told) = listening.stop();
    assert_eq!(told.matches("no network interface to announce on").count(), 1, "{told}");
    lan.join();
    let _nexus = nexus(&lan, &home, &[]);
    spore.says("spore ready ");
}
