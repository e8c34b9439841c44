//! What README.md, docs/tasks.md, docs/releases.md and docs/agents.md tell people to type works as it is written.

use std::process::Command;

use crate::agents::AgentHome;
use crate::hive::LONG;
use crate::home::{Home, Running, Said};
use crate::redis_server::RedisServer;

const GUIDE: &str = include_str!("../../../docs/tasks.md");
const AGENTS: &str = include_str!("../../../docs/agents.md");
const RELEASES: &str = include_str!("../../../docs/releases.md");
const README: &str = include_str!("../../../README.md");

/// Blocks of one language.
pub(crate) fn blocks(text: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let blocks = text.split(&*fence).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Commands of a console block that concern tasks, one after the other.
fn script(block: &str) -> String {
    let commands = block.lines().filter_map(|line| line.strip_prefix("$ "));
    let ours = commands.filter(|line| line.contains("venom-host task") || line.contains("venom-host map"));
    ours.map(|line| format!("{line}\n")).collect()
}

/// Runs a script as a person would, with `venom-host` in the path.
fn type_in(home: &Home, nexus: &Running, script: &str) -> Said {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_venom-host"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("sh")
        .args(["-euc", script])
        .env_clear()
        .current_dir(home.path().parent().unwrap())
        .env("PATH", path)
        .env("VENOM_DATA_DIR", home.path())
        .env("VENOM_NEXUS", &nexus.ready)
        .output()
        .unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn commands_work_as_they_are_written() {
    let home = Home::initialised();
    home.install_skill("echo");
    let nexus = home.start(
        &["nexus", "--dev", "--port", "0", "--local-fallback", "off"],
        "nexus ready ",
    );
    let _spore = home.start(&["spore", "--dev", "--nexus", &nexus.ready], "spore ready ");
    let scripts: Vec<String> = [GUIDE, README]
        .iter()
        .flat_map(|text| blocks(text, "console"))
        .map(script)
        .collect();
    let scripts: Vec<&String> = scripts.iter().filter(|script| !script.is_empty()).collect();
    assert!(scripts.len() >= 5, "the guide and the tour show commands");
    for script in scripts {
        let said = type_in(&home, &nexus, script);
        assert_eq!(said.code, 0, "{script}\n{}{}", said.out, said.err);
    }
}

#[test]
fn the_graph_adds_up() {
    let home = Home::initialised();
    home.install_skill("echo");
    let nexus = home.start(&["nexus", "--port", "0", "--local-fallback", "off"], "nexus ready ");
    let _spore = home.start(&["spore", "--nexus", &nexus.ready], "spore ready ");
    for graph in blocks(GUIDE, "json") {
        let submit = ["task", "submit", "--file", "-", "--json", "--nexus", &nexus.ready];
        let accepted: serde_json::Value = serde_json::from_str(&home.run_with_stdin(&submit, graph).fine()).unwrap();
        let id = accepted["task_ids"][2].as_str().unwrap();
        let task = home
            .run(&["task", "get", id, "--wait", LONG, "--json", "--nexus", &nexus.ready])
            .json();
        assert_eq!(task["result"], 42.0);
    }
}

#[test]
fn the_settings_are_settings() {
    let home = Home::initialised();
    let [settings] = blocks(GUIDE, "toml")[..] else {
        panic!("one block of settings")
    };
    let redis = settings.find("[redis]").unwrap();
    let load = settings.find("[nexus.load]").unwrap();
    // Without the Redis and the certificate that are not there.
    home.write("venom.toml", &format!("{}{}", &settings[..redis], &settings[load..]));
    home.start(&["nexus", "--port", "0"], "nexus ready ");
    home.write("venom.toml", settings);
    let said = home.run(&[
        "nexus",
        "--port",
        "0",
        "--log",
        "warn",
        "--no-hive",
        "--bind",
        "203.0.113.1",
    ]);
    assert_eq!(
        said.code, 1,
        "all keys are known, and the address is none of this machine: {}",
        said.err
    );
}

#[test]
fn the_user_of_redis_may_do_what_a_nexus_does_and_no_more() {
    let redis = RedisServer::new();
    let [rule] = blocks(GUIDE, "text")[..] else {
        panic!("one rule")
    };
    let words: Vec<&str> = rule.split_whitespace().collect();
    assert_eq!(redis.command(&words), "+OK\r\n");
    let home = Home::initialised();
    home.install_skill("echo");
    let url = format!("redis://hive:PASSWORD@127.0.0.1:{}/0", redis.port());
    let nexus = ["nexus", "--port", "0", "--local-fallback", "off", "--redis-url", &url];
    let nexus = home.start(&nexus, "nexus ready ");
    let _spore = home.start(&["spore", "--nexus", &nexus.ready], "spore ready ");
    let scripts: String = blocks(GUIDE, "console").into_iter().map(script).collect();
    let said = type_in(&home, &nexus, &scripts);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let (_, told) = nexus.stop();
    assert!(!told.contains("lacks a right") && !told.contains("NOPERM"), "{told}");
    let others = redis.commands(&[&["AUTH", "hive", "PASSWORD"], &["GET", "other"], &["FLUSHALL"]]);
    assert_eq!(others.matches("-NOPERM").count(), 2, "{others}");
}

/// Bundles the guide speaks of, built from the template; the third asks for more.
fn greeters(home: &Home) {
    let place = home.path().parent().unwrap().join("greeter");
    let project = place.display().to_string();
    home.run(&["skill", "new", "Greeter", "--dir", &project]).fine();
    std::fs::copy(crate::home::repository().join("Cargo.lock"), place.join("Cargo.lock")).unwrap();
    let built = home.run(&["skill", "build", &project, "--json"]);
    assert_eq!(built.code, 0, "{}", built.err);
    let component = built.json()["component"].as_str().unwrap().to_owned();
    let manifest = std::fs::read_to_string(place.join("skill.toml")).unwrap();
    for (version, name, asks) in [
        ("1.0.0", "Greeter.venom", ""),
        ("2.0.0", "Greeter-2.venom", ""),
        ("3.0.0", "Greeter-3.venom", "\n[capabilities]\nenv = [\"LANG\"]\n"),
    ] {
        home.write_beside("skill.toml", &format!("{}{asks}", manifest.replace("0.1.0", version)));
        home.run(&["bundle", "pack", &component, "--out", name]).fine();
    }
}

#[test]
fn the_guide_of_releases_can_be_followed_from_end_to_end() {
    let home = Home::initialised();
    greeters(&home);
    let nexus = home.start(&["nexus", "--port", "0", "--local-fallback", "off"], "nexus ready ");
    let spore = ["spore", "--nexus", &nexus.ready, "--update-soak", "1s"];
    let _spore = home.start(&spore, "spore ready ");
    let of_readme = blocks(README, "console")
        .into_iter()
        .filter(|block| block.contains("venom-host release"));
    let shown: Vec<&str> = of_readme.chain(blocks(RELEASES, "console")).collect();
    assert!(shown.len() >= 8, "the guide shows commands");
    for block in shown {
        let commands = block.lines().filter_map(|line| line.strip_prefix("$ "));
        // That one goes on for ever, and has a test of its own.
        let ends = commands.filter(|line| !line.contains("--watch"));
        let script: String = ends.map(|line| format!("{line}\n")).collect();
        let said = type_in(&home, &nexus, &script);
        assert_eq!(said.code, 0, "{script}\n{}{}", said.out, said.err);
    }
}

#[test]
fn the_settings_of_releases_are_settings() {
    let home = Home::initialised();
    let [settings] = blocks(RELEASES, "toml")[..] else {
        panic!("one block of settings")
    };
    home.write("venom.toml", settings);
    let doctor = home.run(&["doctor", "--json"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    assert_eq!(of("settings")["status"], "ok", "{doctor}");
    assert!(of("updates")["detail"].as_str().unwrap().contains("within its window"));
}

/// Commands of one machine of a guide whose prompts name the machine.
fn typed_on(machine: &str, line: &'static str) -> Option<&'static str> {
    line.strip_prefix(machine)?.strip_prefix("$ ")
}

#[test]
fn the_guide_of_agents_can_be_followed_from_end_to_end() {
    let operator = Home::initialised();
    let nexus = operator.start(&["nexus", "--port", "0", "--local-fallback", "off"], "nexus ready ");
    let create = [
        "enrol",
        "create",
        "--site",
        "Berlin",
        "--quiet",
        "--nexus",
        &nexus.ready,
    ];
    let enrol = operator.run(&create).fine();
    let pi = AgentHome(Home::new());
    pi.0.write("venom.toml", "");
    let mut typed = 0;
    for line in blocks(AGENTS, "console").into_iter().flat_map(str::lines) {
        let said = if let Some(command) = typed_on("nexus", line) {
            type_in(&operator, &nexus, command)
        } else {
            let command = typed_on("pi", line).unwrap_or_else(|| panic!("`{line}` is typed on no machine"));
            let command = command.replace("venom://nexus.example:8000/?token=T", enrol.trim());
            type_in(&pi.0, &nexus, &command)
        };
        assert_eq!(said.code, 0, "{line}\n{}{}", said.out, said.err);
        typed += 1;
    }
    assert!(typed >= 20, "the guide shows commands");
}

#[test]
fn the_settings_of_agents_are_settings() {
    let mut settings = blocks(AGENTS, "toml");
    // the other is a policy
    settings.retain(|block| !block.contains("[skills."));
    let [settings] = settings[..] else {
        panic!("one block of settings")
    };
    let file = venom_agent::AgentFile::parse(settings).unwrap();
    assert_eq!(file.schedules[0].name, "lan");
    let home = Home::initialised();
    for line in AGENTS.lines().filter(|line| line.contains("| `VENOM_AGENT_")) {
        let name = line.split('`').nth(1).unwrap();
        assert!(home.read("venom.toml").contains(name), "{name}");
    }
}
