//! `provision` over a real sshd. The program that is sent is a script that keeps house like an agent, where nothing depends on
//! the agent itself; the nexus is one that answers what these tests need and writes down what it was asked.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::home::{Home, Said, until};
use crate::ssh_server::{SshServer, Wire, write_program};

const TOKEN: &str = "enrol-T0KEN-0123456789";

/// A nexus that knows one agent: online while the file says that it runs.
struct Nexus {
    url: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Nexus {
    fn new(running: PathBuf) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (own, notes) = (url.clone(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (own, notes, running) = (own.clone(), Arc::clone(&notes), running.clone());
                std::thread::spawn(move || serve(stream, &own, &notes, &running));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests that changed something.
    fn changes(&self) -> Vec<String> {
        let asked = self.asked().into_iter().map(|(line, _)| line);
        asked.filter(|line| !line.starts_with("GET")).collect()
    }
}

fn serve(mut stream: TcpStream, url: &str, asked: &Mutex<Vec<(String, Value)>>, running: &std::path::Path) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let fields = head.iter().filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned())
    };
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let line = head[0].trim_end_matches(" HTTP/1.1").to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let enrolment = json!({"id": "e-1", "name": "n", "site_name": "s", "location": null, "tags": [], "uses": 1, "used": 0,
        "created_at": "2026-01-01T00:00:00Z", "created_by": "t", "expires_at": "2026-01-01T00:15:00Z", "revoked_at": null,
        "approval": false});
    // what each start of the agent writes counts as a heartbeat
    let beats = fs::read_to_string(running).ok();
    let answer = match line.as_str() {
        "POST /api/v1/enrolments" => {
            let enrol = format!("{}/?token={TOKEN}", url.replace("http://", "venom://"));
            json!({"token": TOKEN, "enrol": enrol, "enrolment": enrolment})
        }
        "DELETE /api/v1/enrolments/e-1" => enrolment,
        "DELETE /api/agents/agent-1" => json!({"status": "ok"}),
        // the first look at what was started meets a proxy whose nexus is just away
        "GET /api/agents/agent-1" if beats.is_some() && running.with_file_name("hiccup").exists() => {
            fs::remove_file(running.with_file_name("hiccup")).unwrap();
            json!({"detail": "bad gateway", "status": 502})
        }
        "GET /api/agents/agent-1" => {
            json!({"id": "agent-1", "name": "n", "site_name": "s", "location": null, "is_active": true,
            "registered_at": "2026-01-01T00:00:00Z",
            "last_seen": beats.as_ref().map(|beats| format!("2026-01-01T00:00:{:02}Z", beats.lines().count())),
            "status": if beats.is_some() { "online" } else { "pending" }, "version": null, "subnets": [],
            "current_network": null, "approved": true})
        }
        other => json!({"detail": format!("not here: {other}")}),
    };
    asked.lock().unwrap().push((line, body));
    let status = if answer["status"] == 502 {
        "502 Bad Gateway"
    } else if answer.get("detail").is_some() {
        "404 Not Found"
    } else {
        "200 OK"
    };
    let text = answer.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
}

/// A machine, a nexus, and who provisions the one for the other.
struct Setting {
    home: Home,
    machine: SshServer,
    nexus: Nexus,
}

impl Setting {
    fn new() -> Self {
        let machine = SshServer::new();
        let nexus = Nexus::new(machine.path("running"));
        let home = Home::new();
        home.write("operator.token", "operator\n");
        Self { home, machine, nexus }
    }

    /// A program that behaves like an agent of a version; `start` is what starting it does.
    fn program(&self, version: &str, start: &str) -> String {
        let path = self.machine.path(&format!("program-{version}"));
        let script = r#"#!/bin/sh
echo "VERSION $*" >> DIR/calls
case "$*" in
  --version) echo "venom-host VERSION" ;;
  *"agent register --enrol - --json")
    read -r enrol
    echo "$enrol" >> DIR/enrolled
    env >> DIR/environment
    echo 'agent_id = "agent-1"' > "$2/agent.toml"
    [ -e DIR/slow ] && { echo > DIR/asking; sleep 2; }
    [ -e DIR/refused ] && { echo no >&2; exit 1; }
    echo secret > "$2/agent.token"
    echo '{"agent_id": "agent-1"}' ;;
  *"agent start") START ;;
  *"agent stop") rm -f DIR/running ;;
  *"agent status"*) [ -e DIR/running ] ;;
  *) echo "what is $*?" >&2; exit 2 ;;
esac
"#;
        let start = if start.is_empty() {
            "echo beat >> DIR/beats; cp DIR/beats DIR/running"
        } else {
            start
        };
        let script = script.replace("START", start).replace("VERSION", version);
        write_program(
            &path,
            &script.replace("DIR", self.machine.path("").to_str().unwrap().trim_end_matches('/')),
        );
        path.to_str().unwrap().to_owned()
    }

    fn words(&self, port: u16, more: &[&str]) -> Vec<String> {
        let mut words = vec!["provision".to_owned(), format!("{}@127.0.0.1", login())];
        words.extend(self.machine.reached_at(port));
        let remote = [
            ("--prefix", self.machine.path("bin")),
            ("--remote-data-dir", self.machine.path("data")),
        ];
        for (flag, path) in remote {
            words.extend([flag.to_owned(), path.to_str().unwrap().to_owned()]);
        }
        words.extend(["--nexus".to_owned(), self.nexus.url.clone()]);
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    }

    fn command(&self, program: &str) -> Command {
        let words = self.words(
            self.machine.port(),
            &["--no-service", "--user", &login(), "--program", program],
        );
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.home.command(&words)
    }

    /// Provisions with this program, and does not wait for the end.
    fn begin(&self, program: &str) -> Child {
        let mut command = self.command(program);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn provision(&self, more: &[&str]) -> Said {
        self.provision_by(self.machine.port(), more)
    }

    /// Without a service, as the one who logs in: nothing of this machine is touched.
    fn provision_by(&self, port: u16, more: &[&str]) -> Said {
        let words = self.words(port, &[&["--no-service", "--user", &login()], more].concat());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.home.run(&words)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.machine.path(name)).unwrap_or_default()
    }

    /// All that is where the program goes.
    fn installed(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.machine.path("bin")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn is_untouched(&self) -> bool {
        self.installed().is_empty() && !self.machine.path("bin").exists() && !self.machine.path("data").exists()
    }
}

fn login() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// `STEP OUTCOME` of each step of a report.
fn steps(report: &Value) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap().iter();
    steps
        .map(|line| {
            format!(
                "{} {}",
                line["step"].as_str().unwrap(),
                line["outcome"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn a_bare_machine_becomes_an_agent_and_the_same_again_upgrades_it() {
    let setting = Setting::new();
    let one = setting.program("1.0.0", "");
    let first = setting.provision(&["--program", &one, "--site", "Berlin", "--tag", "rack:7", "--json"]);
    assert_eq!(first.code, 0, "{}{}\n{}", first.out, first.err, setting.machine.log());
    let report = first.json();
    let all = [
        "connect", "look", "enrol", "upload", "install", "register", "start", "online",
    ];
    assert_eq!(steps(&report), all.map(|step| format!("{step} done")));
    assert_eq!(
        (&report["ok"], &report["agent_id"], &report["version"]),
        (&json!(true), &json!("agent-1"), &json!("1.0.0"))
    );
    assert_eq!(setting.installed(), ["venom-host"]);
    assert_eq!(setting.read("bin/venom-host"), fs::read_to_string(&one).unwrap());
    let mode = |name: &str| setting.machine.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("bin/venom-host"), mode("data")), (0o755, 0o700));
    let (line, asked) = &setting.nexus.asked()[0];
    assert_eq!(line, "POST /api/v1/enrolments");
    assert_eq!(
        (&asked["site_name"], &asked["tags"], &asked["uses"]),
        (&json!("Berlin"), &json!(["rack:7"]), &json!(1))
    );

    let again = setting.provision(&["--program", &one, "--json"]);
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
    let expected = [
        "connect done",
        "look done",
        "enrol unchanged",
        "upload unchanged",
        "install unchanged",
        "register unchanged",
        "start unchanged",
        "online done",
    ];
    assert_eq!(steps(&again.json()), expected);
    assert_eq!(
        setting.read("calls").matches("agent start").count(),
        1,
        "nothing is started anew for nothing"
    );

    let two = setting.program("2.0.0", "");
    let upgraded = setting.provision(&["--program", &two, "--json"]);
    assert_eq!(upgraded.code, 0, "{}{}", upgraded.out, upgraded.err);
    let report = upgraded.json();
    assert_eq!(
        (&report["previous_version"], &report["version"]),
        (&json!("1.0.0"), &json!("2.0.0"))
    );
    assert_eq!(setting.installed(), ["venom-host", "venom-host.previous"]);
    assert_eq!(
        setting.read("bin/venom-host.previous"),
        fs::read_to_string(&one).unwrap()
    );
    assert_eq!(
        setting.nexus.changes(),
        ["POST /api/v1/enrolments"],
        "an agent enrols once"
    );
}

#[test]
fn the_enrol_string_is_seen_by_the_agent_and_by_nobody_else() {
    let setting = Setting::new();
    let program = setting.program("1.0.0", "");
    let mut command = setting.command(&program);
    // A configuration of ssh that sends the environment along, as the options of the test do.
    command
        .env("VENOM_TOKEN", "operator-S3CRET")
        .env("SPORE_SHARED_TOKEN", "shared-S3CRET")
        .env("VENOM_SENT", "harmless");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(setting.read("enrolled").trim().ends_with(&format!("/?token={TOKEN}")));
    let environment = setting.read("environment");
    assert!(environment.contains("VENOM_SENT=harmless"), "{environment}");
    for told in [&setting.read("calls"), &said, &environment, &setting.machine.log()] {
        assert!(!told.contains("T0KEN") && !told.contains("S3CRET"), "{told}");
    }
    for file in ["data/agent.toml", "data/agent.token"] {
        assert!(!setting.read(file).contains("T0KEN"), "{file}");
    }
}

#[test]
fn a_string_that_is_given_needs_no_operator() {
    let setting = Setting::new();
    fs::remove_file(setting.home.path().join("operator.token")).unwrap();
    let program = setting.program("1.0.0", "");
    let words = setting.words(
        setting.machine.port(),
        &[
            "--no-service",
            "--user",
            &login(),
            "--program",
            &program,
            "--enrol",
            "-",
        ],
    );
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = setting
        .home
        .run_with_stdin(&words, "venom://127.0.0.1:1/?token=GIVEN\n");
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(setting.read("enrolled"), "venom://127.0.0.1:1/?token=GIVEN\n");
    assert!(setting.nexus.asked().is_empty());
}

#[test]
fn a_dry_run_looks_and_changes_nothing() {
    let setting = Setting::new();
    let program = setting.program("1.0.0", "");
    let said = setting.provision(&["--program", &program, "--dry-run", "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let planned = [
        "connect done",
        "look done",
        "enrol planned",
        "upload planned",
        "install planned",
        "register planned",
        "start planned",
    ];
    assert_eq!(steps(&said.json()), planned);
    assert!(setting.is_untouched() && setting.nexus.asked().is_empty());
}

#[test]
fn a_host_key_that_is_not_known_or_not_the_known_one_ends_it() {
    let setting = Setting::new();
    let program = setting.program("1.0.0", "");
    setting.machine.know("other_key");
    let other = setting.provision(&["--program", &program]);
    setting.machine.know_nothing();
    let unknown = setting.provision(&["--program", &program]);
    for said in [other, unknown] {
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(
            said.err.contains("at `connect`") && said.err.contains("host key"),
            "{}",
            said.err
        );
    }
    assert!(setting.is_untouched() && setting.nexus.asked().is_empty());
    assert_eq!(setting.read("known_hosts"), "", "no key is taken in by itself");
}

#[test]
fn who_has_no_key_is_not_asked_for_a_password() {
    let setting = Setting::new();
    let program = setting.program("1.0.0", "");
    fs::write(setting.machine.path("authorized_keys"), "").unwrap();
    let said = setting.provision(&["--program", &program]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("Permission denied") && said.err.contains("ssh-copy-id"),
        "{}",
        said.err
    );
}

#[test]
fn a_machine_of_another_kind_is_left_alone() {
    let setting = Setting::new();
    setting.machine.tool(
        "uname",
        "#!/bin/sh\ncase $1 in -m) echo armv7l ;; *) echo Linux ;; esac\n",
    );
    let said = setting.provision(&["--json"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("Linux armv7l") && said.err.contains("--program"),
        "{}",
        said.err
    );
    let report = said.json();
    assert_eq!((&report["ok"], &report["failed_at"]), (&json!(false), &json!("look")));
    assert!(setting.is_untouched() && setting.nexus.asked().is_empty());
}

#[test]
fn too_little_room_is_seen_before_anything_is_sent() {
    let setting = Setting::new();
    setting.machine.tool(
        "df",
        "#!/bin/sh\necho Filesystem 1024-blocks Used Available Capacity Mounted\necho /dev/x 9 8 1024 99% /\n",
    );
    let said = setting.provision(&[]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("too little room") && said.err.contains("1 MiB are free"),
        "{}",
        said.err
    );
    assert!(setting.is_untouched());
}

#[test]
fn an_upload_that_is_cut_off_leaves_what_was_there() {
    let setting = Setting::new();
    fs::create_dir(setting.machine.path("bin")).unwrap();
    write_program(
        &setting.machine.path("bin/venom-host"),
        "#!/bin/sh\necho venom-host 0.0.9\n",
    );
    // The program of this build has far more bytes than that.
    let wire = Wire::cut_after(setting.machine.port(), 3 * 1024 * 1024);
    let said = setting.provision_by(wire.port, &["--json"]);
    assert_eq!(said.code, 1, "{}", said.err);
    let report = said.json();
    assert_eq!(report["failed_at"], "upload", "{report}");
    assert!(said.err.contains("broke off"), "{}", said.err);
    let undone = steps(&report);
    assert!(
        undone.contains(&"upload undone".to_owned()) && undone.contains(&"enrol undone".to_owned()),
        "{undone:?}"
    );
    assert!(!undone.iter().any(|step| step.ends_with("left")), "{report}");
    until("what was sent in part is gone", || {
        (setting.installed() == ["venom-host"]).then_some(())
    });
    assert!(setting.read("bin/venom-host").contains("0.0.9"));
    assert_eq!(
        setting.nexus.changes(),
        ["POST /api/v1/enrolments", "DELETE /api/v1/enrolments/e-1"]
    );
    assert!(!setting.machine.path("data").exists());
}

#[test]
fn the_program_of_this_build_arrives_whole() {
    let setting = Setting::new();
    // It has no nexus to register with there, which is where this ends.
    let said = setting.provision(&["--json", "--enrol", "venom://127.0.0.1:1/?token=NONE"]);
    assert_eq!(said.code, 1, "{}", said.err);
    let report = said.json();
    let done = steps(&report);
    assert!(
        done.contains(&"upload done".to_owned()) && done.contains(&"install done".to_owned()),
        "{report}"
    );
    assert_eq!(
        (&report["failed_at"], &report["version"]),
        (&json!("register"), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert!(!said.err.contains("NONE"), "{}", said.err);
    assert!(setting.is_untouched(), "{report}");
}

#[test]
fn a_program_that_does_not_start_there_is_not_installed() {
    let setting = Setting::new();
    let program = setting.machine.path("broken");
    write_program(&program, "#!/bin/sh\necho 'version GLIBC_9 not found' >&2\nexit 127\n");
    let said = setting.provision(&["--program", program.to_str().unwrap()]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("GLIBC_9") && said.err.contains("statically"),
        "{}",
        said.err
    );
    assert!(setting.is_untouched());
}

#[test]
fn an_upgrade_that_does_not_start_puts_the_old_agent_back() {
    let setting = Setting::new();
    let one = setting.program("1.0.0", "");
    setting.provision(&["--program", &one]).fine();
    fs::write(setting.machine.path("bin/venom-host.previous"), "older").unwrap();
    for (version, start, why) in [
        ("2.0.0", "echo it broke >&2; exit 1", "it broke"),
        // starts, and is never heard of
        ("3.0.0", "true", "did not come online within 1 s"),
    ] {
        let bad = setting.program(version, start);
        let said = setting.provision(&["--program", &bad, "--wait", "1s", "--json"]);
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(said.err.contains(why), "{}", said.err);
        let report = said.json();
        let left = steps(&report).into_iter().filter(|step| step.ends_with("left")).count();
        assert_eq!(left, 0, "{report}");
        assert_eq!(setting.installed(), ["venom-host", "venom-host.previous"]);
        assert_eq!(setting.read("bin/venom-host"), fs::read_to_string(&one).unwrap());
        assert_eq!(setting.read("bin/venom-host.previous"), "older");
        assert!(
            setting.machine.path("running").exists(),
            "the agent that ran before runs again"
        );
        assert!(
            setting.machine.path("data/agent.toml").exists(),
            "and is registered as it was"
        );
    }
    assert_eq!(setting.nexus.changes(), ["POST /api/v1/enrolments"]);
    let last = setting.read("calls");
    assert_eq!(
        last.lines().last().unwrap().split_whitespace().next(),
        Some("1.0.0"),
        "{last}"
    );
}

#[test]
fn a_first_agent_that_does_not_start_leaves_nothing_behind() {
    let setting = Setting::new();
    let bad = setting.program("1.0.0", "echo no >&2; exit 1");
    let said = setting.provision(&["--program", &bad]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("at `start`"), "{}", said.err);
    assert!(setting.is_untouched(), "{}", said.err);
    assert_eq!(
        setting.nexus.changes(),
        [
            "POST /api/v1/enrolments",
            "DELETE /api/agents/agent-1",
            "DELETE /api/v1/enrolments/e-1"
        ]
    );
}

#[test]
fn whoever_stops_it_half_way_finds_nothing_left() {
    let setting = Setting::new();
    let slow = setting.program("1.0.0", "echo $$ > DIR/starting; exec sleep 300");
    let mut child = setting.begin(&slow);
    let starting = until("the agent is being started", || {
        let pid = setting.read("starting");
        pid.ends_with('\n').then_some(pid)
    });
    let signal = |pid: &str, name: &str| {
        std::process::Command::new("kill")
            .args([name, pid.trim()])
            .status()
            .unwrap();
    };
    signal(&child.id().to_string(), "-INT");
    let status = until("it ends", || child.try_wait().unwrap());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    signal(&starting, "-KILL");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("told to stop") && said.contains("undo"), "{said}");
    assert!(setting.is_untouched(), "{said}");
}

#[test]
fn a_registration_that_is_broken_off_is_taken_back_at_the_nexus_too() {
    let setting = Setting::new();
    let program = setting.program("1.0.0", "");
    let all = [
        "POST /api/v1/enrolments",
        "DELETE /api/agents/agent-1",
        "DELETE /api/v1/enrolments/e-1",
    ];
    // its reply is lost: whether it is registered only the nexus knows
    fs::write(setting.machine.path("refused"), "").unwrap();
    let said = setting.provision(&["--program", &program]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(setting.is_untouched(), "{}", said.err);
    assert_eq!(setting.nexus.changes(), all);
    fs::remove_file(setting.machine.path("refused")).unwrap();

    // told to stop in the middle of it: what runs there ends first
    fs::write(setting.machine.path("slow"), "").unwrap();
    let mut child = setting.begin(&program);
    until("it registers", || setting.machine.path("asking").exists().then_some(()));
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
    let status = until("it ends", || child.try_wait().unwrap());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("told to stop"), "{said}");
    assert!(setting.is_untouched(), "{said}");
    assert_eq!(setting.nexus.changes(), [all, all].concat(), "{said}");
}

#[test]
fn a_registration_without_its_token_is_none() {
    let setting = Setting::new();
    let program = setting.program("1.0.0", "");
    fs::create_dir(setting.machine.path("data")).unwrap();
    let settings = "agent_id = \"agent-0\"\n";
    fs::write(setting.machine.path("data/agent.toml"), settings).unwrap();
    fs::write(setting.machine.path("data/agent.token"), "").unwrap();
    fs::write(setting.machine.path("refused"), "").unwrap();
    let failed = setting.provision(&["--program", &program]);
    assert_eq!(failed.code, 1, "{}", failed.err);
    assert_eq!(
        setting.read("data/agent.toml"),
        settings,
        "what was there is there again"
    );
    fs::remove_file(setting.machine.path("refused")).unwrap();
    // and a nexus that is away for a moment is asked again
    fs::write(setting.machine.path("hiccup"), "").unwrap();
    let said = setting.provision(&["--program", &program, "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        steps(&said.json()).contains(&"register done".to_owned()),
        "{}",
        said.out
    );
    assert_eq!(setting.read("data/agent.token"), "secret\n");
    assert!(!setting.machine.path("hiccup").exists());
    let mut names: Vec<_> = fs::read_dir(setting.machine.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["agent.token", "agent.toml"]);
}

#[test]
fn a_nexus_that_does_not_answer_is_found_out_before_anything_is_sent() {
    let setting = Setting::new();
    let program = setting.program("1.0.0", "");
    let words: Vec<String> = setting
        .words(
            setting.machine.port(),
            &["--no-service", "--user", &login(), "--program", &program],
        )
        .into_iter()
        .map(|word| {
            if word == setting.nexus.url {
                "http://127.0.0.1:1".to_owned()
            } else {
                word
            }
        })
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = setting.home.run(&words);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("at `enrol`") && said.err.contains("no nexus answers"),
        "{}",
        said.err
    );
    assert!(setting.is_untouched());
}

#[test]
fn words_that_would_be_more_than_words_are_refused_or_arrive_as_they_are() {
    let setting = Setting::new();
    let program = setting.program("1.0.0", "");
    let trap = setting.machine.path("trap");
    let evil = format!(
        "x'; touch {0}; $(touch {0}) `touch {0}` \"; touch {0} #",
        trap.display()
    );
    let refused: [&[&str]; 7] = [
        &["provision", "-oProxyCommand=touch"],
        &["provision", "--", "-oProxyCommand=touch"],
        &["provision", "root@-oProxyCommand=touch"],
        &["provision", "root@host;touch"],
        &["provision", "root@127.0.0.1", "--prefix", &evil],
        &["provision", "root@127.0.0.1", "--user", &evil],
        &[
            "provision",
            "root@127.0.0.1",
            "--ssh-option",
            "StrictHostKeyChecking=no",
        ],
    ];
    for words in refused {
        let said = setting.home.run(words);
        assert_eq!(said.code, 2, "{words:?}: {}", said.err);
    }
    let said = setting.provision(&["--program", &program, "--site", &evil, "--tag", &evil]);
    assert_eq!(said.code, 0, "{}", said.err);
    let (_, asked) = &setting.nexus.asked()[0];
    assert_eq!((&asked["site_name"], &asked["tags"]), (&json!(evil), &json!([evil])));
    assert!(!trap.exists());
}

#[test]
fn a_users_own_systemd_gets_a_unit_and_keeps_the_old_one_when_it_fails() {
    let setting = Setting::new();
    let dir = setting
        .machine
        .path("")
        .to_str()
        .unwrap()
        .trim_end_matches('/')
        .to_owned();
    // Starts what the unit says, as systemd would.
    let systemctl = "#!/bin/sh\necho \"$*\" >> DIR/systemctl\ncase \"$*\" in\n  *show-environment) exit 0 ;;\n  *is-active*) [ -e DIR/running ] ;;\n  \
                     *restart*) [ -e DIR/broken ] && exit 1; echo beat >> DIR/beats; cp DIR/beats DIR/running ;;\n  *stop*) rm -f DIR/running ;;\nesac\n";
    setting.machine.tool("systemctl", &systemctl.replace("DIR", &dir));
    setting.machine.tool("loginctl", "#!/bin/sh\nexit 0\n");
    setting
        .machine
        .tool("journalctl", "#!/bin/sh\necho last words of the agent\n");
    let provision = |version: &str| {
        let program = setting.program(version, "");
        let words = setting.words(
            setting.machine.port(),
            &["--user-service", "--program", &program, "--wait", "2s"],
        );
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        setting.home.run(&words)
    };
    let first = provision("1.0.0");
    assert_eq!(first.code, 0, "{}{}", first.err, setting.machine.log());
    let unit = "home/.config/systemd/user/venom-agent.service";
    let written = setting.read(unit);
    assert!(
        written.contains(&format!("ExecStart={dir}/bin/venom-host agent start --foreground")),
        "{written}"
    );
    let calls = setting.read("systemctl");
    assert!(
        calls.contains("--user enable venom-agent.service") && calls.contains("--user restart venom-agent.service"),
        "{calls}"
    );

    fs::write(setting.machine.path(unit), "an older unit").unwrap();
    fs::write(setting.machine.path("broken"), "").unwrap();
    let second = provision("2.0.0");
    assert_eq!(second.code, 1);
    assert!(second.err.contains("last words of the agent"), "{}", second.err);
    assert_eq!(setting.read(unit), "an older unit");
    assert!(setting.read("bin/venom-host").contains("1.0.0"));
    assert_eq!(setting.installed(), ["venom-host"]);
}
