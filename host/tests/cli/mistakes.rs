//! What people read when they got something wrong: what, why, what to do; 2 for wrong use, 1 for what failed.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use crate::home::Home;

/// A port nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn wrong_use_is_exit_code_2() {
    let home = Home::initialised();
    for (name, text) in [
        ("broken.jsonl", "{\"skill_name\": \"EchoSkill\"}\n"),
        ("no_list.json", "{\n  \"items\": [1, 2]\n}\n"),
        ("no_array.json", "[1, 2,\n"),
        ("list.json", "[]"),
    ] {
        home.write_beside(name, text);
    }
    let mut all = String::new();
    let cases: &[&[&str]] = &[
        &[],
        &["nosuch"],
        &["nexus", "--port", "70000"],
        &["nexus", "--dev", "--bind", "0.0.0.0"],
        &["nexus", "--tls-cert", "cert.pem"],
        &["nexus", "--heartbeat-timeout", "0"],
        &["spore", "--dev", "--nexus", "https://nexus.example"],
        &["spore", "--concurrency", "0"],
        &["run", "EchoSkill"],
        &["run", "EchoSkill.say", "text"],
        &["run", "EchoSkill.say", "[1]"],
        &["run", "EchoSkill.say", "n:=x"],
        &["exec", "EchoSkill.say", "--node", "a", "--tag", "b"],
        &["exec", "EchoSkill.say", "--nexus", "127.0.0.1:8000"],
        &["exec", "EchoSkill.say", "--timeout", "-1"],
        &["skill", "new", "not a name"],
        &["skill", "build", "nowhere"],
        &["doctor", "--log", "=!"],
        &["nexus", "--no-hive", "--redis-url", "redis://h"],
        &["nexus", "--hive-durability", "always"],
        &["task", "submit"],
        &["task", "submit", "EchoSkill"],
        &["task", "submit", "EchoSkill.say", "--file", "tasks.json"],
        &["task", "submit", "--file", "tasks.json", "--priority", "3"],
        &["task", "submit", "--file", "nowhere.json"],
        &["task", "submit", "--file", "broken.jsonl"],
        &["task", "submit", "EchoSkill.say", "--priority", "urgent"],
        &["task", "submit", "EchoSkill.say", "--priority", "11"],
        &["task", "submit", "EchoSkill.say", "--strategy", "luck"],
        &["task", "submit", "EchoSkill.say", "--depends-on", "the-first"],
        &["task", "get", "01a1fcc5"],
        &["task", "list", "--status", "lost"],
        &["task", "list", "--limit", "1001"],
        &["task", "cancel"],
        &["task", "requeue"],
        &["task", "requeue", "01a1fcc5-3083-71f1-a054-7839538b3f63", "--all-dead"],
        &["task", "group", "nightly", "--rate", "0"],
        &["task", "group", "nightly", "--remove", "--concurrency", "1"],
        &["map", "EchoSkill.say"],
        &["map", "EchoSkill.say", "--items", "nowhere.json"],
        &["map", "EchoSkill.say", "--items", "no_list.json"],
        &["map", "EchoSkill.say", "--items", "no_array.json"],
        &["map", "EchoSkill.say", "--items", "list.json", "--reduce", "EchoSkill"],
        &[
            "map",
            "EchoSkill.say",
            "--items",
            "list.json",
            "--reduce-param",
            "results",
        ],
    ];
    for args in cases {
        let said = home.run(args);
        assert_eq!(said.code, 2, "{args:?}: {}", said.err);
        all.push_str(&format!(
            "==== venom-host {}\n{}\n",
            args.join(" "),
            home.tidy(&said.failure())
        ));
    }
    insta::assert_snapshot!("wrong_use", all);
}

#[test]
fn what_failed_is_exit_code_1() {
    let home = Home::initialised();
    home.write("text.venom", "no bundle");
    let mut all = String::new();
    home.write("items", "one");
    let text = home.path().join("text.venom").display().to_string();
    let items = home.path().join("items").display().to_string();
    let cases: &[&[&str]] = &[
        &["run", "EchoSkill.say"],
        &["bundle", "verify", &text],
        &["bundle", "inspect", "nowhere.venom"],
        &["skill", "inspect", "EchoSkill"],
        &["nodes", "list", "--nexus", "http://127.0.0.1:1"],
        &["exec", "EchoSkill.say", "--nexus", "http://127.0.0.1:1"],
        &["task", "submit", "EchoSkill.say", "--nexus", "http://127.0.0.1:1"],
        &["task", "queues", "--nexus", "http://127.0.0.1:1"],
        &[
            "task",
            "watch",
            "01a1fcc5-3083-71f1-a054-7839538b3f63",
            "--nexus",
            "http://127.0.0.1:1",
        ],
        &[
            "map",
            "EchoSkill.say",
            "--items",
            &items,
            "--nexus",
            "http://127.0.0.1:1",
        ],
    ];
    for args in cases {
        let said = home.run(args);
        assert_eq!(said.code, 1, "{args:?}: {}", said.err);
        all.push_str(&format!(
            "==== venom-host {}\n{}\n",
            home.tidy(&args.join(" ")),
            home.tidy(&said.failure())
        ));
    }
    insta::assert_snapshot!("failed", all);
}

#[test]
fn a_directory_without_init_is_explained() {
    let home = Home::new();
    let mut all = String::new();
    let url = format!("http://127.0.0.1:{}", free_port());
    for args in [
        &["nexus", "--port", "0"][..],
        &["spore", "--nexus", &url],
        &["key", "show"],
        &["skill", "list"],
    ] {
        let said = home.run(args);
        assert_eq!(said.code, 1, "{args:?}: {}", said.err);
        let told: Vec<&str> = said
            .err
            .lines()
            .filter(|line| !line.contains(" INFO ") && !line.contains(" WARN "))
            .collect();
        all.push_str(&format!(
            "==== venom-host {}\n{}\n\n",
            args.join(" ").replace(&url, "[url]"),
            home.tidy(&told.join("\n"))
        ));
    }
    insta::assert_snapshot!("without_init", all);
}

#[test]
fn a_settings_file_with_an_unknown_key_names_it() {
    let home = Home::initialised();
    home.write("venom.toml", "[nexus]\nport = 0\nprot = 8000\n");
    let said = home.run(&["nexus"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!("unknown_key", home.tidy(&said.failure()));
}

#[test]
fn a_port_in_use_says_which_flag() {
    let home = Home::initialised();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = home.run(&["nexus", "--port", &port, "--log", "error"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!("port_in_use", said.failure().replace(&port, "[port]"));
}

#[test]
fn a_key_others_can_read_is_refused() {
    let home = Home::initialised();
    let key = home.path().join("keys/publisher.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = home.run(&["key", "show"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!("exposed_key", home.tidy(&said.failure()));
}

#[test]
fn precedence_holds_in_the_real_binary() {
    let home = Home::initialised();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    // Whichever place wins is the one that fails, as its port is taken.
    let refused = |flag: bool, env: bool| {
        home.write("venom.toml", &format!("[nexus]\nport = {port}\n"));
        let mut command = home.command(&["nexus", "--log", "error"]);
        if flag {
            command.args(["--bind", "203.0.113.1"]);
        }
        if env {
            command.env("NEXUS_BIND", "203.0.113.2");
        }
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    assert!(refused(false, false).contains(&format!("127.0.0.1:{port}")));
    assert!(refused(false, true).contains("203.0.113.2"));
    assert!(refused(true, true).contains("203.0.113.1"));
}
