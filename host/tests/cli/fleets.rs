//! A nexus, agents in the background, and the operator's commands: enrolment, approval, scans, sites, revocation.

use crate::agents::AgentHome;
use crate::home::{Home, Running, Said, until};

/// A nexus, and who operates it.
struct Site {
    operator: Home,
    nexus: Running,
}

impl Site {
    fn new() -> Self {
        let operator = Home::initialised();
        let nexus = operator.start(&["nexus", "--port", "0", "--local-fallback", "off"], "nexus ready ");
        Self { operator, nexus }
    }

    fn run(&self, args: &[&str]) -> Said {
        self.operator.run(&[args, &["--nexus", &self.nexus.ready]].concat())
    }

    /// The enrol string of a new enrolment.
    fn enrol(&self, args: &[&str]) -> String {
        let made = self.run(&[&["enrol", "create", "--site", "Berlin", "--quiet"], args].concat());
        made.fine().trim().to_owned()
    }

    /// A machine that enrols with it.
    fn agent(&self, enrol: &str, name: &str) -> AgentHome {
        let home = AgentHome(Home::new());
        home.run(&["register", "--enrol", enrol, "--name", name]).fine();
        quick(&home);
        home
    }
}

/// Heartbeats each second, so that nobody waits for the next.
fn quick(home: &AgentHome) {
    let file = home.0.read("agent.toml");
    let lines = file.lines().filter(|line| !line.starts_with("heartbeat"));
    let others: Vec<&str> = lines.collect();
    home.0
        .write("agent.toml", &format!("heartbeat = \"1s\"\n{}\n", others.join("\n")));
}

#[test]
fn an_agent_enrols_works_and_is_removed() {
    let site = Site::new();
    let created = site.run(&[
        "enrol", "create", "--site", "Berlin", "--tag", "blue", "--name", "one pi", "--uses", "1",
    ]);
    let command = created.out.trim().to_owned();
    assert!(created.err.contains("one agent of site Berlin"), "{}", created.err);
    let enrol = command
        .strip_prefix("venom-host agent register --enrol '")
        .unwrap()
        .trim_end_matches('\'');
    let home = site.agent(enrol, "pi");
    let used = Home::new().run(&["agent", "register", "--enrol", enrol]);
    assert_eq!(used.code, 1, "a token for one agent lets one in: {}", used.out);
    let listed = site.run(&["enrol", "list"]).fine();
    assert!(
        listed.contains("one pi") && listed.contains("used up") && listed.contains("1/1"),
        "{listed}"
    );

    home.run(&["start"]).fine();
    let agents = site.run(&["agent", "list", "--json"]).json();
    assert_eq!(agents["agents"][0]["site_name"], "Berlin");
    assert_eq!(agents["agents"][0]["status"], "online");
    assert!(
        site.run(&["agent", "list", "--site", "Bonn", "--json"]).json()["agents"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let shown = site.run(&["agent", "show", "pi"]).fine();
    assert!(
        shown.contains("Berlin") && shown.contains("online") && shown.contains("blue"),
        "{shown}"
    );
    let sites = site.run(&["sites"]).fine();
    assert!(sites.contains("Berlin") && sites.contains("1/1"), "{sites}");
    let wrong = site.run(&["agent", "show", "pii"]);
    assert!(wrong.err.contains("did you mean pi?"), "{}", wrong.err);

    // the same process is a spore of that nexus, with the agent's id and its enrolment's tags
    let node = until("the agent links", || {
        let nodes = site.run(&["nodes", "list", "--online", "--json"]).json();
        nodes["nodes"].as_array().unwrap().first().cloned()
    });
    assert_eq!(node["node_id"], agents["agents"][0]["id"]);
    assert!(node["capabilities"]["tags"].to_string().contains("blue"), "{node}");

    // no skill is there that could scan: the command comes to an end that says so
    let scan = site.run(&["agent", "scan", "pi", "--target", "10.1.0.0/24", "--wait", "--json"]);
    assert_eq!(
        (scan.code, &scan.json()["status"]),
        (1, &"failed".into()),
        "{}",
        scan.err
    );

    site.run(&["agent", "remove", "pi"]).fine();
    until("the agent learns it", || {
        let status = home.run(&["status", "--json"]).json();
        (status["phase"] == "revoked").then_some(())
    });
    home.run(&["stop"]).fine();
    assert!(site.run(&["agent", "list"]).fine().contains("deregistered"));
    for (command, name) in [("sites", "sites"), ("assets", "assets"), ("findings", "findings")] {
        site.run(&[command]).fine();
        let json = site.run(&[command, "--json"]);
        assert_eq!(json.code, 0, "{name}: {}", json.err);
        json.json();
    }
    assert!(site.run(&["assets", "--csv"]).fine().contains("ip"));
    assert_eq!(
        site.run(&["findings", "--sarif", "--severity", "high"]).json()["version"],
        "2.1.0"
    );
    site.run(&["findings", "--ocsf", "--site", "Berlin"]).fine();
    assert_eq!(site.run(&["findings", "accept", "nosuch", "--reason", "r"]).code, 1);
}

#[test]
fn an_agent_that_must_be_approved_waits() {
    let site = Site::new();
    let home = site.agent(&site.enrol(&["--approval", "--uses", "2"]), "pi");
    let started = home.run(&["start"]);
    assert_eq!(started.code, 0, "{}", started.err);
    let phase = |wanted: &str| {
        let status = home.run(&["status", "--json"]).json();
        (status["phase"] == wanted).then_some(())
    };
    until("it waits", || phase("unapproved"));
    assert!(site.run(&["agent", "list"]).fine().contains("waits for approval"));
    site.run(&["agent", "approve", "pi"]).fine();
    until("it is in", || phase("online"));
    let list = site.run(&["enrol", "list", "--json"]).json();
    let id = list["enrolments"][0]["id"].as_str().unwrap();
    assert!(site.run(&["enrol", "revoke", id]).fine().contains("1 agent(s)"));
    assert!(site.run(&["enrol", "list"]).fine().contains("revoked"));
}

#[test]
fn a_nexus_is_trusted_by_its_pin_and_by_no_other() {
    let operator = Home::initialised();
    let made = rcgen::generate_simple_self_signed(vec!["elsewhere.example".to_owned()]).unwrap();
    operator.write("nexus.crt", &made.cert.pem());
    operator.write("nexus.key", &made.signing_key.serialize_pem());
    let file = |name: &str| operator.path().join(name).display().to_string();
    let (cert, key) = (file("nexus.crt"), file("nexus.key"));
    let tls = ["nexus", "--port", "0", "--tls-cert", &cert, "--tls-key", &key];
    let nexus = operator.start(&tls, "nexus ready ");
    // the operator's own commands know no pin: the token comes by another nexus of the same data directory
    let port = nexus.ready.rsplit(':').next().unwrap().to_owned();
    let plain = operator.start(
        &[
            "nexus",
            "--port",
            "0",
            "--no-hive",
            "--public-url",
            &format!("https://127.0.0.1:{port}"),
        ],
        "nexus ready ",
    );
    let enrol = operator.run(&[
        "enrol",
        "create",
        "--site",
        "Berlin",
        "--uses",
        "3",
        "--quiet",
        "--nexus",
        &plain.ready,
    ]);
    let enrol = enrol.fine().trim().to_owned();
    let token = enrol.split("token=").nth(1).unwrap().split('&').next().unwrap();
    let pin = venom_agent::Pin::of_certificate(made.cert.der()).unwrap().to_string();
    let home = AgentHome(Home::new());
    let register = |pin: &[&str]| home.run(&[&["register", "--nexus", &nexus.ready, "--token", token], pin].concat());
    assert_eq!(register(&[]).code, 1, "nobody vouches for it");
    let other = format!("sha256:{}", "00".repeat(32));
    let refused = register(&["--pin", &other]);
    assert!(
        refused.code == 1 && refused.err.contains("another key"),
        "{}",
        refused.err
    );
    assert_eq!(register(&["--pin", "sha256:12"]).code, 2);
    register(&["--pin", &pin]).fine();
    home.run(&["start"]).fine();
    until("the link trusts the pin, too", || {
        home.0
            .read("agent.log")
            .contains("linked: the nexus may call")
            .then_some(())
    });
}
