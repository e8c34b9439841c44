//! `nexus`, `spore`, `exec` and `nodes` with real processes on ports of their own.

use crate::home::{Home, until};

const NEXUS: &str = "nexus ready ";
const SPORE: &str = "spore ready ";

#[test]
fn a_call_goes_to_a_spore_and_back() {
    let home = Home::initialised();
    home.install_skill("echo");
    let nexus = home.start(&["nexus", "--port", "0", "--local-fallback", "off"], NEXUS);
    let url = nexus.ready.clone();
    let spore = home.start(&["spore", "--nexus", &url, "--name", "worker", "--tag", "blue"], SPORE);
    assert_eq!(spore.ready, home.read("node_id").trim());

    assert_eq!(
        home.run(&["exec", "EchoSkill.say", "text=hi", "--nexus", &url]).fine(),
        "hi\n"
    );
    let answer = home
        .run(&[
            "exec",
            "EchoSkill.say",
            "text=hi",
            "--nexus",
            &url,
            "--tag",
            "blue",
            "--json",
        ])
        .json();
    assert_eq!(
        (&answer["success"], &answer["node_id"]),
        (&true.into(), &spore.ready.as_str().into())
    );
    assert_eq!(
        home.run(&["exec", "EchoSkill.say", "text=hi", "--nexus", &url, "--tag", "red"])
            .code,
        1
    );
    assert_eq!(
        home.run(&[
            "exec",
            "EchoSkill.say",
            "text=by name",
            "--nexus",
            &url,
            "--node",
            "worker"
        ])
        .fine(),
        "by name\n"
    );
    assert_eq!(home.run(&["exec", "EchoSkill.nosuch", "--nexus", &url]).code, 1);

    let nodes = home.run(&["nodes", "list", "--nexus", &url, "--json"]).json();
    assert_eq!(nodes["nodes"][0]["node_name"], "worker");
    assert!(
        home.run(&["nodes", "show", "worker", "--nexus", &url])
            .fine()
            .contains("EchoSkill")
    );
    home.run(&["nodes", "drain", "worker", "--nexus", &url]).fine();
    let refused = home.run(&["exec", "EchoSkill.say", "text=hi", "--nexus", &url, "--node", "worker"]);
    assert_eq!(refused.code, 1, "a drained node takes no calls");
    home.run(&["nodes", "drain", "worker", "--undo", "--nexus", &url])
        .fine();
    assert_eq!(
        home.run(&["exec", "EchoSkill.say", "text=back", "--nexus", &url])
            .fine(),
        "back\n"
    );

    let (status, told) = spore.stop();
    assert!(status.success(), "{told}");
    let (status, told) = nexus.stop();
    assert!(status.success(), "{told}");
    for secret in ["operator.token", "node.token"] {
        assert!(!told.contains(home.read(secret).trim()), "{secret} is in the log");
    }
    assert!(told.contains("settings of this nexus"), "{told}");
}

#[test]
fn tokens_are_asked_for_and_where_they_come_from_is_told() {
    let home = Home::initialised();
    let nexus = home.start(&["nexus", "--port", "0"], NEXUS);
    let url = nexus.ready.clone();
    home.run(&["nodes", "list", "--nexus", &url]).fine();
    let wrong = home.run(&["nodes", "list", "--nexus", &url, "--token", "wrong"]);
    assert_eq!(wrong.code, 1);
    let stranger = Home::new();
    let none = stranger.run(&["nodes", "list", "--nexus", &url]);
    assert_eq!(none.code, 1);
    let task = home.run(&["task", "list", "--nexus", &url, "--token", "wrong"]);
    assert_eq!(
        (task.code, task.failure()),
        (1, wrong.failure()),
        "tasks are for those with a token too"
    );
    let told = format!("{}\n{}", wrong.failure(), stranger.tidy(&none.failure()));
    insta::assert_snapshot!("tokens", told.replace(&url, "[url]"));
}

#[test]
fn dev_asks_no_token_and_grants_the_workspace_and_harmless_commands() {
    let (home, other) = (Home::initialised(), Home::new());
    home.install_skill("file");
    home.install_skill("shell");
    let nexus = other.start(&["nexus", "--dev", "--port", "0"], NEXUS);
    let url = nexus.ready.clone();
    let spore = home.start(&["spore", "--dev", "--nexus", &url], SPORE);
    let exec = |args: &[&str]| Home::new().run(&[&["exec"], args, &["--nexus", &url]].concat());

    exec(&["FileSkill.write_file", "path=/work/note.txt", "content=noted"]).fine();
    assert_eq!(home.read("workspace/note.txt"), "noted");
    assert_eq!(exec(&["ShellSkill.run", "command=cat note.txt"]).fine(), "noted\n");
    for command in ["rm note.txt", "sh -c id", "cat /etc/passwd", "cat ../operator.token"] {
        let said = exec(&["ShellSkill.run", &format!("command={command}")]);
        assert_eq!(said.code, 1, "{command}: {}", said.out);
    }
    assert!(spore.stop().1.contains("DEVELOPMENT MODE"));
    assert!(nexus.stop().1.contains("DEVELOPMENT MODE"));
}

#[test]
fn switched_off_skills_are_not_offered() {
    let home = Home::initialised();
    home.install_skill("file");
    home.install_skill("echo");
    home.write("venom.toml", "[spore]\nfile = false\n");
    let nexus = home.start(&["nexus", "--port", "0"], NEXUS);
    let _spore = home.start(&["spore", "--nexus", &nexus.ready], SPORE);
    let nodes = home.run(&["nodes", "list", "--json", "--nexus", &nexus.ready]).json();
    assert_eq!(
        nodes["nodes"][0]["capabilities"]["skills"],
        serde_json::json!(["EchoSkill"])
    );
}

#[test]
fn the_nexus_runs_what_no_node_has_unless_told_not_to() {
    let home = Home::initialised();
    home.install_skill("echo");
    let call = |url: &str| home.run(&["exec", "EchoSkill.say", "text=hi", "--json", "--nexus", url]);
    let nexus = home.start(&["nexus", "--port", "0"], NEXUS);
    assert_eq!(call(&nexus.ready).json()["executed_by"], "nexus");
    drop(nexus);
    let nexus = home.start(&["nexus", "--port", "0", "--local-fallback", "off"], NEXUS);
    assert_eq!(call(&nexus.ready).code, 1);
}

#[test]
fn one_spore_a_data_directory() {
    let home = Home::initialised();
    let nexus = home.start(&["nexus", "--port", "0"], NEXUS);
    let first = home.start(&["spore", "--nexus", &nexus.ready], SPORE);
    let second = home.run(&["spore", "--nexus", &nexus.ready, "--log", "error"]);
    assert_eq!(second.code, 1);
    insta::assert_snapshot!("second_spore", home.tidy(&second.failure()));
    // The lock goes with the process, however that ends.
    first.signal("-KILL");
    first.wait();
    home.start(&["spore", "--nexus", &nexus.ready], SPORE);
}

#[test]
fn a_spore_with_a_wrong_token_never_gets_ready_and_says_why() {
    let home = Home::initialised();
    let nexus = home.start(&["nexus", "--port", "0"], NEXUS);
    let log = home.path().join("spore.log");
    let mut spore = home
        .command(&["spore", "--nexus", &nexus.ready, "--token", "wrong"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let told = until("the spore says that its token is refused", || {
        let told = home.read("spore.log");
        told.contains("token")
            .then_some(told)
            .filter(|told| told.contains("refused"))
    });
    spore.kill().unwrap();
    let output = spore.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{told}");
}

#[test]
fn a_second_signal_quits_at_once() {
    let home = Home::initialised();
    home.install_skill("echo");
    let nexus = home.start(
        &[
            "nexus",
            "--port",
            "0",
            "--local-fallback",
            "off",
            "--drain-timeout",
            "10m",
        ],
        NEXUS,
    );
    let spore = home.start(&["spore", "--nexus", &nexus.ready, "--drain-timeout", "10m"], SPORE);
    let mut call = home
        .command(&[
            "exec",
            "EchoSkill.sleep",
            "milliseconds:=600000",
            "--timeout",
            "10m",
            "--nexus",
            &nexus.ready,
        ])
        .spawn()
        .unwrap();
    let active = |count: u64| {
        let nodes = home.run(&["nodes", "list", "--json", "--nexus", &nexus.ready]).json();
        (nodes["nodes"][0]["active_tasks"] == count).then_some(())
    };
    until("the call runs", || active(1));
    spore.signal("-TERM");
    until("the spore drains", || {
        let nodes = home.run(&["nodes", "list", "--json", "--nexus", &nexus.ready]).json();
        (nodes["nodes"][0]["draining"] == true).then_some(())
    });
    spore.signal("-TERM");
    spore.wait();
    // The caller is told; nobody waits ten minutes.
    assert!(!call.wait().unwrap().success());
}

#[test]
fn log_lines_can_be_json() {
    let home = Home::initialised();
    let nexus = home.start(&["nexus", "--port", "0", "--log-format", "json"], NEXUS);
    let (_, told) = nexus.stop();
    let lines: Vec<serde_json::Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line["fields"]["message"] == "settings of this nexus"),
        "{told}"
    );
}
