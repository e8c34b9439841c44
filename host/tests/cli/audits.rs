//! The audit log as an operator sees it: of a real nexus, whole, and not whole any more.

use std::path::{Path, PathBuf};

use serde_json::json;
use venom_audit::{AuditLog, Event};
use venom_protocol::Timestamp;

use crate::home::Home;

/// A log of four events that is the same each time.
fn log(home: &Home) -> PathBuf {
    let path = home.path().with_file_name("audit.jsonl");
    std::fs::write(&path, "{\"event\":\"from an older version\"}\n").unwrap();
    let event = |second: u32, event: &str, facts| {
        let mut event = Event::now(event, facts);
        event.timestamp = Timestamp::parse(&format!("2026-01-02T03:04:0{second}Z")).unwrap();
        event
    };
    let events = [
        event(1, "nexus_started", json!({ "bind": "127.0.0.1:8000" })),
        event(2, "auth_failed", json!({ "peer": "10.0.0.1", "what": "wrong token" })),
        event(3, "auth_failed", json!({ "peer": "10.0.0.2", "tries": 3 })),
        event(4, "node_registered", json!({ "node_id": "n1" })),
    ];
    AuditLog::open(&path).unwrap().append_all(&events).unwrap();
    path
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn change(path: &Path, from: &str, to: &str) {
    let before = std::fs::read_to_string(path).unwrap();
    let after = before.replace(from, to);
    assert_ne!(before, after);
    std::fs::write(path, after).unwrap();
}

#[test]
fn an_intact_log_is_said_to_be_and_its_head_can_be_kept() {
    let home = Home::new();
    let path = log(&home);
    let said = home.run(&["audit", "verify", &text(&path)]).fine();
    insta::assert_snapshot!("intact", said.replace(&text(&path), "[LOG]"));
    let told = home.run(&["audit", "verify", &text(&path), "--json"]).json();
    let head = told["head"]["hash"].as_str().unwrap().to_owned();
    assert_eq!(
        (
            told["intact"].as_bool(),
            told["lines"].as_u64(),
            told["before"].as_u64()
        ),
        (Some(true), Some(4), Some(1))
    );
    AuditLog::open(&path).unwrap().append("later", json!({})).unwrap();
    let verify = ["audit", "verify", &text(&path), "--head", &head];
    home.run(&verify).fine();
    let lines = std::fs::read_to_string(&path).unwrap();
    let cut: Vec<_> = lines.lines().take(4).collect();
    std::fs::write(&path, format!("{}\n", cut.join("\n"))).unwrap();
    home.run(&["audit", "verify", &text(&path)]).fine();
    let said = home.run(&verify).failure();
    assert!(
        said.starts_with("exit 1\n") && said.contains("missing at the end"),
        "{said}"
    );
}

#[test]
fn a_changed_log_is_broken_and_the_line_is_named() {
    let home = Home::new();
    let path = log(&home);
    change(&path, "10.0.0.1", "10.0.0.9");
    let said = home.run(&["audit", "verify", &text(&path)]).failure();
    insta::assert_snapshot!("broken", said.replace(&text(&path), "[LOG]"));
    let said = home.run(&["audit", "verify", &text(&path), "--json"]);
    let told = said.json();
    assert_eq!(
        (said.code, told["intact"].as_bool(), told["line"].as_u64()),
        (1, Some(false), Some(3))
    );
    let shown = home.run(&["audit", "show", &text(&path)]);
    assert_eq!(shown.code, 1);
    assert!(
        shown.out.contains("nexus_started") && shown.err.contains("line 3"),
        "{}{}",
        shown.out,
        shown.err
    );
}

#[test]
fn events_are_shown_by_name_and_from_the_end() {
    let home = Home::new();
    let path = log(&home);
    let said = home.run(&["audit", "show", &text(&path)]).fine();
    insta::assert_snapshot!("shown", said);
    let last = [
        "audit",
        "show",
        &text(&path),
        "--event",
        "auth_failed",
        "--last",
        "1",
        "--json",
    ];
    let told: serde_json::Value = serde_json::from_str(&home.run(&last).fine()).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 1);
    assert_eq!(
        (told[0]["peer"].as_str(), told[0]["seq"].as_u64()),
        (Some("10.0.0.2"), Some(3))
    );
}

#[test]
fn wrong_use_and_what_is_no_file_are_told_apart() {
    let home = Home::new();
    let path = log(&home);
    for wrong in [
        vec!["audit"],
        vec!["audit", "verify"],
        vec!["audit", "verify", "x", "--head", "short"],
        vec!["audit", "show", "x", "--last", "few"],
    ] {
        assert_eq!(home.run(&wrong).code, 2, "{wrong:?}");
    }
    let missing = path.with_file_name("nowhere.jsonl");
    let said = home.run(&["audit", "verify", &text(&missing)]).failure();
    assert!(said.starts_with("exit 1\n") && said.contains("help:"), "{said}");
    std::fs::write(&missing, "").unwrap();
    let said = home.run(&["audit", "verify", &text(&missing)]).fine();
    assert!(said.contains("no chain"), "{said}");
}
