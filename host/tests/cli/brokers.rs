//! Where a nexus keeps its tasks: a file of its own, a Redis, or nowhere.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use crate::hive::LONG;
use crate::home::{Home, until};
use crate::redis_server::RedisServer;

const NEXUS: &str = "nexus ready ";

/// Status and body of `GET path`.
fn get(url: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: nexus\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn submit(home: &Home, url: &str) -> String {
    let submitted = home.run(&["task", "submit", "EchoSkill.say", "text=kept", "--nexus", url]);
    submitted.fine().trim().to_owned()
}

#[test]
fn a_file_keeps_tasks_while_no_nexus_runs_and_is_one_nexuss_alone() {
    let home = Home::initialised();
    home.install_skill("echo");
    let nexus = home.start(&["nexus", "--port", "0", "--hive-durability", "power"], NEXUS);
    let second = home.run(&["nexus", "--port", "0", "--log", "error"]);
    assert_eq!(second.code, 1);
    let told = second.failure();
    let process = told
        .split("process ")
        .nth(1)
        .and_then(|rest| rest.split(')').next())
        .unwrap();
    insta::assert_snapshot!("second_nexus", home.tidy(&told).replace(process, "[pid]"));

    let id = submit(&home, &nexus.ready);
    nexus.signal("-KILL");
    let (_, told) = nexus.wait();
    assert!(
        home.tidy(&told).contains("tasks are kept in sqlite at [data]/hive.db"),
        "{told}"
    );
    let nexus = home.start(&["nexus", "--port", "0"], NEXUS);
    let _spore = home.start(&["spore", "--nexus", &nexus.ready], "spore ready ");
    let task = home
        .run(&["task", "get", &id, "--wait", LONG, "--json", "--nexus", &nexus.ready])
        .json();
    assert_eq!(task["result"], "kept");
}

#[test]
fn a_nexus_without_tasks_says_so() {
    let home = Home::initialised();
    let nexus = home.start(&["nexus", "--port", "0", "--no-hive"], NEXUS);
    let said = home.run(&["task", "submit", "EchoSkill.say", "text=x", "--nexus", &nexus.ready]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("keeps no tasks"), "{}", said.err);
    assert!(!home.path().join("hive.db").exists());
}

#[test]
fn two_nexuses_share_a_redis_and_no_log_holds_its_password() {
    let redis = RedisServer::with(&["--save", "", "--appendonly", "no", "--requirepass", "s3cret"]);
    let (home, other) = (Home::initialised(), Home::initialised());
    home.install_skill("echo");
    let url = format!("redis://:s3cret@127.0.0.1:{}/0", redis.port());
    let first = home.start(&["nexus", "--port", "0", "--redis-url", &url], NEXUS);
    let address = format!("redis://127.0.0.1:{}/0", redis.port());
    other.write(
        "venom.toml",
        &format!("[redis]\nurl = \"{address}\"\npassword = \"s3cret\"\n"),
    );
    let second = other.start(&["nexus", "--port", "0"], NEXUS);
    let id = submit(&other, &second.ready);
    let _spore = home.start(&["spore", "--nexus", &first.ready], "spore ready ");
    let task = other
        .run(&["task", "get", &id, "--wait", LONG, "--json", "--nexus", &second.ready])
        .json();
    assert_eq!(
        task["result"], "kept",
        "a spore of the first ran what the second took in"
    );
    for nexus in [first, second] {
        let (status, told) = nexus.stop();
        assert!(status.success(), "{told}");
        assert!(
            told.contains(&format!("tasks are kept in redis at 127.0.0.1:{}", redis.port())),
            "{told}"
        );
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[test]
fn a_redis_that_comes_later_is_waited_for() {
    let mut redis = RedisServer::stopped(&["--save", "", "--appendonly", "no"]);
    let home = Home::initialised();
    let nexus = home.start(&["nexus", "--port", "0", "--redis-url", &redis.url()], NEXUS);
    until("it says that it is not ready and why", || {
        let answer = get(&nexus.ready, "/readyz");
        (answer.starts_with("HTTP/1.1 503") && answer.contains("cannot be reached")).then_some(())
    });
    let refused = home.run(&["task", "submit", "EchoSkill.say", "text=x", "--nexus", &nexus.ready]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("cannot be reached"), "{}", refused.err);
    redis.start();
    until("it is ready", || {
        get(&nexus.ready, "/readyz").starts_with("HTTP/1.1 200").then_some(())
    });
    submit(&home, &nexus.ready);
    let (_, told) = nexus.stop();
    assert!(
        told.contains("ERROR") && told.contains("tasks wait until it is back"),
        "{told}"
    );
}

#[test]
fn a_url_that_cannot_be_used_is_found_before_anything_is_bound() {
    let home = Home::initialised();
    let said = home.run(&[
        "nexus",
        "--port",
        "0",
        "--redis-url",
        "http://me:s3cret@h",
        "--log",
        "error",
    ]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!("bad_redis_url", said.failure());
}

#[test]
fn doctor_logs_in_to_redis_as_a_nexus_would() {
    let redis = RedisServer::with(&["--save", "", "--appendonly", "no", "--requirepass", "s3cret"]);
    let home = Home::initialised();
    let check = |url: &str, name: &str| {
        let output = home
            .command(&["doctor", "--json"])
            .env("REDIS_URL", url)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["name"] == name).unwrap();
        (
            found["status"].as_str().unwrap().to_owned(),
            found["detail"].as_str().unwrap().to_owned(),
        )
    };
    let port = redis.port();
    let (status, detail) = check(&format!("redis://:s3cret@127.0.0.1:{port}/0"), "redis");
    assert_eq!(status, "ok", "{detail}");
    let (status, detail) = check(&format!("redis://:wrong@127.0.0.1:{port}/0"), "redis");
    assert_eq!(status, "fail", "{detail}");
    assert!(detail.contains("refused"), "{detail}");
    assert_eq!(check("redis://127.0.0.1:1/0", "redis").0, "fail");
    assert_eq!(check("http://h", "redis").0, "fail");
    assert_eq!(
        check("redis://127.0.0.1:1/0", "tasks").0,
        "skip",
        "the file is not used then"
    );
}

#[test]
fn a_watcher_and_a_map_outlive_their_nexus() {
    let home = Home::initialised();
    home.install_skill("echo");
    let nexus = home.start(&["nexus", "--port", "0", "--local-fallback", "off"], NEXUS);
    let url = nexus.ready.clone();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let _spore = home.start(&["spore", "--nexus", &url], "spore ready ");
    let sleep = [
        "task",
        "submit",
        "EchoSkill.sleep",
        "milliseconds:=2000",
        "--nexus",
        &url,
    ];
    let id = home.run(&sleep).fine().trim().to_owned();
    home.write("items.jsonl", &"{\"milliseconds\": 2000}\n".repeat(20));
    let items = home.path().join("items.jsonl").display().to_string();
    let start = |args: &[&str]| {
        let mut command = home.command(&[args, &["--nexus", &url]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let watcher = start(&["task", "watch", &id]);
    let map = start(&["map", "EchoSkill.sleep", "--items", &items, "--json"]);
    until("all run", || {
        let queues = home.run(&["task", "queues", "--json", "--nexus", &url]).json();
        (queues["tasks_running"] == 21).then_some(())
    });
    nexus.signal("-KILL");
    nexus.wait();
    let _nexus = home.start(&["nexus", "--port", &port, "--local-fallback", "off"], NEXUS);
    let output = watcher.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "2000\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = map.wait_with_output().unwrap();
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["summary"]["completed"], 20, "{result}");
}

#[test]
fn a_redis_that_does_not_let_the_nexus_in_is_said_and_asked_again() {
    let redis = RedisServer::with(&["--save", "", "--appendonly", "no", "--requirepass", "s3cret"]);
    let home = Home::initialised();
    let nexus = home.start(&["nexus", "--port", "0", "--redis-url", &redis.url()], NEXUS);
    until("it says that it is refused", || {
        let answer = get(&nexus.ready, "/readyz");
        (answer.starts_with("HTTP/1.1 503") && answer.contains("refused")).then_some(())
    });
    redis.commands(&[&["AUTH", "s3cret"], &["CONFIG", "SET", "requirepass", ""]]);
    until("it is let in", || {
        get(&nexus.ready, "/readyz").starts_with("HTTP/1.1 200").then_some(())
    });
    submit(&home, &nexus.ready);
}
