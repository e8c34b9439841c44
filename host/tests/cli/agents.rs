//! `agent register`, `start`, `status`, `stop` and `outbox`: real processes in the background, against a server that knows agents
//! and no links.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::fake_nexus::FakeNexus;
use crate::home::{Home, Said, until};

/// A data directory that is an agent; whatever runs in it ends with the test.
pub(crate) struct AgentHome(pub(crate) Home);

impl AgentHome {
    pub(crate) fn registered(nexus: &FakeNexus) -> Self {
        let home = Self(Home::new());
        home.0
            .run(&["agent", "register", "--enrol", &nexus.enrol(), "--name", "pi"])
            .fine();
        home
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.0.run(&[&["agent"], args].concat())
    }

    fn status(&self) -> serde_json::Value {
        self.run(&["status", "--json"]).json()
    }

    fn runs(&self) -> bool {
        self.run(&["status"]).code == 0
    }
}

impl Drop for AgentHome {
    fn drop(&mut self) {
        self.0.run(&["agent", "stop", "--timeout", "1s"]);
    }
}

#[test]
fn an_agent_is_registered_started_seen_and_stopped() {
    let nexus = FakeNexus::new();
    let home = AgentHome(Home::new());
    let register = [
        "register",
        "--enrol",
        &nexus.enrol(),
        "--name",
        "pi",
        "--site",
        "Berlin",
        "--subnet",
        "10.1.0.0/24",
        "--json",
    ];
    let first = home.run(&register).json();
    assert_eq!(first["status"], "registered");
    assert_eq!(first["agent_id"], home.0.read("node_id").trim());
    for name in ["agent.toml", "agent.token"] {
        let mode = home.0.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(nexus.world().registered[0]["subnets"][0], "10.1.0.0/24");

    let again = home.run(&register).json();
    assert_eq!(
        (&again["status"], &again["agent_id"]),
        (&"unchanged".into(), &first["agent_id"])
    );
    assert_eq!(nexus.world().registered.len(), 1, "nobody was asked again");
    let moved = home
        .run(&["register", "--nexus", &nexus.url(), "--site", "Bonn", "--json"])
        .json();
    assert_eq!(
        (&moved["status"], &moved["site_name"]),
        (&"updated".into(), &"Bonn".into())
    );
    assert_eq!(nexus.world().registered[1]["agent_id"], first["agent_id"]);

    assert_eq!(home.run(&["status"]).code, 1);
    let started = home.run(&["start"]).fine();
    assert!(started.contains("heard by"), "{started}");
    let status = home.status();
    assert_eq!(status["running"], true);
    assert_eq!(status["phase"], "online");
    assert_eq!(status["last_seen"], "2026-01-01T00:00:00.000000+00:00");
    assert_eq!(home.0.read("agent.pid").trim(), status["pid"].to_string());
    let text = home.run(&["status"]).fine();
    assert!(text.contains("Bonn") && text.contains("online"), "{text}");

    // an older server knows no links: that is said once, and the rest goes on
    let complaint = "no link to the nexus";
    until("the missing link is told", || {
        home.0.read("agent.log").contains(complaint).then_some(())
    });
    assert!(home.runs());

    let second = home.run(&["start"]);
    let pid = status["pid"].to_string();
    insta::assert_snapshot!("started_twice", second.failure().replace(&pid, "[pid]"));
    let beside = home
        .0
        .run(&["spore", "--nexus", &nexus.url(), "--token", "t", "--log", "error"]);
    assert!(beside.err.contains("another spore uses"), "{}", beside.err);

    assert_eq!(home.run(&["stop"]).fine(), format!("stopped (pid {pid})\n"));
    assert!(nexus.said_goodbye());
    assert!(!home.runs());
    assert_eq!(home.run(&["stop"]).code, 0, "what is stopped stays stopped");
    let log = home.0.read("agent.log");
    assert!(log.contains("settings of this agent"), "{log}");
    assert_eq!(log.matches(complaint).count(), 1, "{log}");
    for token in &nexus.world().tokens {
        assert!(!log.contains(token.as_str()), "{log}");
    }
}

#[test]
fn a_lost_reply_is_asked_for_again_as_the_same_agent() {
    let nexus = FakeNexus::new();
    nexus.world().lose_replies = 1;
    let home = AgentHome::registered(&nexus);
    {
        let world = nexus.world();
        assert_eq!(world.registered.len(), 2);
        assert_eq!(world.registered[0]["agent_id"], world.registered[1]["agent_id"]);
        assert_eq!(world.registered[0]["boot_id"], world.registered[1]["boot_id"]);
    }
    home.run(&["start"]).fine();
}

#[test]
fn another_registration_is_replaced_only_by_force() {
    let (nexus, other) = (FakeNexus::new(), FakeNexus::new());
    let home = AgentHome::registered(&nexus);
    let refused = home.run(&["register", "--enrol", &other.enrol()]);
    assert_eq!(refused.code, 1);
    let told = home.0.tidy(&refused.failure());
    let told = told.replace(&nexus.url(), "[nexus]").replace(&other.url(), "[other]");
    insta::assert_snapshot!("other_registration", told);
    assert!(other.world().registered.is_empty());
    home.run(&["register", "--enrol", &other.enrol(), "--force"]).fine();
    assert_eq!(other.world().registered.len(), 1);
    assert_eq!(home.status()["nexus"], other.url());
}

#[test]
fn a_try_that_failed_binds_nobody() {
    let nexus = FakeNexus::new();
    let home = AgentHome(Home::new());
    let wrong = home.run(&[
        "--log",
        "error",
        "register",
        "--nexus",
        "http://127.0.0.1:1",
        "--token",
        "t",
    ]);
    assert_eq!(wrong.code, 1, "{}", wrong.out);
    insta::assert_snapshot!("nobody_registers", wrong.failure());
    let wrong = home.run(&["register", "--nexus", &nexus.url(), "--token", "wrong"]);
    assert_eq!(wrong.code, 1);
    insta::assert_snapshot!(
        "wrong_registration_token",
        wrong.failure().replace(&nexus.url(), "[nexus]")
    );
    let none = home.run(&["register", "--nexus", &nexus.url()]);
    assert_eq!(none.code, 2);
    insta::assert_snapshot!("no_registration_token", none.failure());
    assert_eq!(home.run(&["start"]).code, 1, "it has no token");
    let mut command = home.0.command(&["agent", "register", "--enrol", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), nexus.enrol().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(nexus.world().registered.len(), 1);
}

#[test]
fn an_agent_that_was_killed_is_started_again() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    home.run(&["start"]).fine();
    let first = home.status()["pid"].clone();
    let killed = Command::new("kill")
        .args(["-KILL", &first.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    until("the agent is gone", || (!home.runs()).then_some(()));
    assert_eq!(
        home.0.read("agent.pid").trim(),
        first.to_string(),
        "its file is still there"
    );
    home.run(&["start"]).fine();
    assert_ne!(home.status()["pid"], first);
    assert_eq!(home.run(&["stop"]).code, 0);
}

#[test]
fn a_stranger_whose_number_is_in_the_file_is_left_alone() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    let mut stranger = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    home.0.write("agent.pid", &format!("{}\n", stranger.id()));
    assert!(!home.runs());
    let said = home.run(&["stop", "--timeout", "1s"]);
    assert_eq!(said.code, 0);
    assert!(said.err.contains("no agent runs"), "{}", said.err);
    assert!(stranger.try_wait().unwrap().is_none(), "it was signalled");
    home.run(&["start"]).fine();
    home.run(&["stop"]).fine();
    assert!(stranger.try_wait().unwrap().is_none(), "it was signalled");
    // it ends by itself, with its input
    drop(stranger.stdin.take());
    assert!(stranger.wait().unwrap().success());
}

#[test]
fn its_log_is_put_aside_when_it_is_full() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    home.0.write(
        "venom.toml",
        "[agent]\nlog_max_size = \"4 KiB\"\nlog_keep = 2\nlog_file = \"logs.txt\"\n",
    );
    home.run(&["start", "--log", "trace"]).fine();
    let size = |name: &str| std::fs::metadata(home.0.path().join(name)).map(|file| file.len()).ok();
    until("two logs are put aside", || size("logs.txt.2"));
    home.run(&["stop"]).fine();
    assert_eq!(size("logs.txt.3"), None);
    for name in ["logs.txt", "logs.txt.1", "logs.txt.2"] {
        let kept = home.0.read(name);
        // one line may be longer than a whole log
        let longest = kept.lines().map(str::len).max().unwrap_or_default();
        assert!(kept.len() <= 4_096.max(longest + 1), "{name}: {}", kept.len());
    }
    assert_eq!(size("agent.log"), None, "the log is where the settings say");
}

#[test]
fn a_nexus_that_does_not_answer_is_told_and_tried_on() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    let file = home.0.read("agent.toml").replace(&nexus.url(), "http://127.0.0.1:1");
    home.0.write("agent.toml", &file);
    let said = home.run(&["start", "--wait", "3s"]);
    assert_eq!(said.code, 1);
    let status = home.status();
    let told = home
        .0
        .tidy(&said.failure())
        .replace(&status["pid"].to_string(), "[pid]");
    insta::assert_snapshot!("nexus_away", told);
    assert_eq!(
        (&status["running"], &status["phase"]),
        (&true.into(), &"unreachable".into())
    );
    assert!(home.run(&["status"]).fine().contains("what it sees is kept"));
    home.run(&["stop"]).fine();
}

#[test]
fn a_revoked_agent_says_so_at_its_start_and_can_be_registered_again() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    nexus.world().tokens.clear();
    let said = home.run(&["start"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!("revoked", said.failure().replace(&nexus.url(), "[nexus]"));
    assert_eq!(home.status()["phase"], "revoked");
    let doctor = home.0.run(&["doctor", "--json"]);
    assert_eq!(check(&doctor, "agent's nexus"), "fail");
    home.run(&["stop"]).fine();
    let again = home.run(&["register", "--enrol", &nexus.enrol(), "--json"]).json();
    assert_eq!(again["status"], "registered");
    home.run(&["start"]).fine();
}

#[test]
fn settings_of_an_agent_that_cannot_be_are_named() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    let file = home.0.read("agent.toml");
    home.0.write("agent.toml", &format!("hartbeat = \"1s\"\n{file}"));
    let said = home.run(&["start"]);
    assert_eq!(said.code, 2);
    let told = home.0.tidy(&said.failure());
    assert!(told.contains("hartbeat") && told.contains("agent.toml"), "{told}");
    let refused = home.run(&["register", "--enrol", &nexus.enrol()]);
    assert!(refused.code == 1 && refused.err.contains("--force"), "{}", refused.err);
    home.run(&["register", "--enrol", &nexus.enrol(), "--force"]).fine();
    let stranger = Home::new();
    let none = stranger.run(&["agent", "start"]);
    assert_eq!(none.code, 1);
    insta::assert_snapshot!("no_agent", stranger.tidy(&none.failure()));
}

#[test]
fn root_leaves_the_directory_of_another_account_alone() {
    let home = AgentHome(Home::new());
    // nobody else can make it another account's
    if std::os::unix::fs::chown(home.0.path(), Some(12_345), None).is_err() {
        return;
    }
    let before = std::fs::read_dir(home.0.path()).unwrap().count();
    for words in [
        &["register", "--enrol", "venom://127.0.0.1:1/?token=T"][..],
        &["start"],
        &["start", "--foreground"],
        &["outbox", "list"],
    ] {
        let said = home.run(words);
        assert_eq!(said.code, 1, "{words:?}: {}", said.out);
        assert!(said.err.contains("sudo -u '#12345'"), "{words:?}: {}", said.err);
    }
    assert_eq!(std::fs::read_dir(home.0.path()).unwrap().count(), before);
    std::os::unix::fs::chown(home.0.path(), Some(0), None).unwrap();
}

#[test]
fn in_the_foreground_it_says_when_it_was_heard() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    let agent = home.0.start(&["agent", "start", "--foreground"], "agent ready ");
    assert_eq!(agent.ready, home.0.read("node_id").trim());
    assert!(home.runs());
    let (status, told) = agent.stop();
    assert!(status.success(), "{told}");
    assert!(nexus.said_goodbye());
}

#[test]
fn a_schedule_is_run_now() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    assert!(home.run(&["run-now", "lan"]).err.contains("no agent runs"));
    let file = home.0.read("agent.toml");
    // runs once when it is new, and is not due for a year then
    let schedule = "[[schedule]]\nname = \"lan\"\nevery = \"365d\"\nmissed = \"skip\"\n";
    home.0.write("agent.toml", &format!("{file}\n{schedule}"));
    home.run(&["start"]).fine();
    let lan = || home.status()["schedules"][0].clone();
    until("its first run is over", || (lan()["failed"] == 1).then_some(()));
    until("it is heard", || {
        (home.run(&["run-now", "lan"]).code == 0).then_some(())
    });
    until("it ran", || (lan()["failed"] == 2).then_some(()));
    assert!(
        lan()["error"].as_str().unwrap().contains("NetScanSkill"),
        "no such skill is here: {}",
        lan()
    );
    assert!(home.run(&["run-now", "wan"]).err.contains("known: lan"));
}

#[test]
fn refused_batches_are_listed_sent_again_or_deleted() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    let letter = |key: &str, body: &str| {
        let text = format!(
            r#"{{"key":"{key}","kind":"shield","put_at":"2026-01-01T00:00:00Z","refused_at":"2026-01-02T00:00:00Z","why":"too old","body":{body}}}"#
        );
        std::fs::create_dir_all(home.0.path().join("outbox/dead")).unwrap();
        home.0.write(&format!("outbox/dead/{key}.json"), &text);
    };
    assert_eq!(
        home.run(&["outbox", "list", "--json"]).json()["refused"],
        serde_json::json!([])
    );
    letter("a", "{}");
    letter("b", "{}");
    letter("c", "null");
    let listed = home.run(&["outbox", "list"]).fine();
    assert!(listed.contains("too old") && listed.contains("0 waiting"), "{listed}");
    assert!(home.run(&["outbox", "retry", "a"]).fine().starts_with("1 will be sent"));
    let now = home.run(&["outbox", "list", "--json"]).json();
    assert_eq!(
        (&now["outbox"]["waiting"], now["refused"].as_array().unwrap().len()),
        (&1.into(), 2)
    );
    assert_eq!(home.run(&["outbox", "retry", "nosuch"]).code, 1);
    assert!(home.run(&["outbox", "retry", "c"]).err.contains("no JSON"));
    home.run(&["start"]).fine();
    let busy = home.run(&["outbox", "drop-dead"]);
    assert!(busy.code == 1 && busy.err.contains("stop it first"), "{}", busy.err);
    home.run(&["outbox", "list"]).fine();
    home.run(&["stop"]).fine();
    assert_eq!(home.run(&["outbox", "drop-dead"]).fine(), "2 deleted\n");
}

/// Status of one check.
fn check(said: &Said, name: &str) -> String {
    let report = said.json();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no `{name}` in {report}"))["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_doctor_looks_at_an_agent() {
    let nexus = FakeNexus::new();
    let home = AgentHome::registered(&nexus);
    let doctor = || home.0.run(&["doctor", "--json"]);
    let said = doctor();
    assert_eq!(check(&said, "agent"), "warn", "it does not run: {}", said.out);
    assert_eq!(check(&said, "agent token"), "ok");
    assert_eq!(check(&said, "agent's nexus"), "ok");
    home.run(&["start"]).fine();
    assert_eq!(check(&doctor(), "agent"), "ok");
    let token = home.0.path().join("agent.token");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(check(&doctor(), "agent token"), "fail");
    home.0.write("agent.toml", "nexus = 1\n");
    assert_eq!(check(&doctor(), "agent"), "fail");
    assert_eq!(check(&Home::initialised().run(&["doctor", "--json"]), "agent"), "skip");
}

#[test]
fn a_nexus_and_a_spore_show_themselves_to_another_server() {
    let above = FakeNexus::new();
    let home = Home::initialised();
    let with = |args: &[&str]| {
        let url = above.url();
        let more = ["--hive-url", &url, "--hive-token", crate::fake_nexus::REGISTRATION];
        args.iter()
            .chain(&more)
            .map(|word| (*word).to_owned())
            .collect::<Vec<String>>()
    };
    let start = |args: &[&str], says: &str| {
        let args = with(args);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        home.start(&args, says)
    };
    let nexus = start(&["nexus", "--port", "0"], "nexus ready ");
    until("the nexus shows itself", || {
        (above.world().registered.len() == 1).then_some(())
    });
    let port = nexus.ready.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let node_id = home.read("node_id").trim().to_owned();
    {
        let world = above.world();
        assert_eq!(world.registered[0]["service_port"], port);
        assert_eq!(world.registered[0]["agent_id"], format!("nexus-{node_id}"));
    }
    let spore = start(&["spore", "--nexus", &nexus.ready, "--tag", "gpu"], "spore ready ");
    until("the spore shows itself", || {
        (above.world().registered.len() == 2).then_some(())
    });
    {
        let world = above.world();
        let shown = &world.registered[1];
        assert_eq!(
            (&shown["agent_id"], &shown["status"]),
            (&node_id.into(), &"online".into())
        );
        assert_eq!((&shown["kind"], &shown["tags"][0]), (&"spore".into(), &"gpu".into()));
        assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    }
    for process in [spore, nexus] {
        let before = above.world().beats.len();
        let (status, told) = process.stop();
        assert!(status.success(), "{told}");
        assert_eq!(above.world().beats.len(), before + 1, "{told}");
        assert!(above.said_goodbye());
    }
}

#[test]
fn a_hive_that_gives_no_tokens_is_enough() {
    let above = FakeNexus::new();
    above.world().gives_no_tokens = true;
    let home = Home::initialised();
    let url = above.url();
    let token = crate::fake_nexus::REGISTRATION;
    let nexus = home.start(
        &["nexus", "--port", "0", "--hive-url", &url, "--hive-token", token],
        "nexus ready ",
    );
    until("it shows itself", || {
        (!above.world().registered.is_empty()).then_some(())
    });
    home.run(&["nodes", "list", "--nexus", &nexus.ready]).fine();
    let (status, told) = nexus.stop();
    assert!(status.success() && !told.contains("not shown to the server"), "{told}");
    assert_eq!(above.world().registered.len(), 1, "{told}");
    // the goodbye is heard by the token it registered with
    assert!(above.said_goodbye(), "{told}");
}

#[test]
fn trouble_with_that_server_stays_there() {
    let home = Home::initialised();
    let nexus = home.start(
        &[
            "nexus",
            "--port",
            "0",
            "--hive-url",
            "http://127.0.0.1:1",
            "--hive-token",
            "t",
        ],
        "nexus ready ",
    );
    let spore = home.start(
        &["spore", "--nexus", &nexus.ready, "--hive-url", "http://127.0.0.1:1"],
        "spore ready ",
    );
    home.run(&["nodes", "list", "--nexus", &nexus.ready]).fine();
    let (status, told) = spore.stop();
    assert!(
        status.success() && told.contains("no HIVE_REGISTRATION_TOKEN"),
        "{told}"
    );
    let (status, told) = nexus.stop();
    assert!(status.success() && told.contains("not shown to the server"), "{told}");
}
