//! `doctor` on healthy and broken installations.

use std::os::unix::fs::PermissionsExt as _;

use crate::home::{Home, Said};

/// Status of one check.
fn status(said: &Said, name: &str) -> String {
    let report = said.json();
    let checks = report["checks"].as_array().unwrap();
    let check = checks
        .iter()
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("no `{name}` in {report}"));
    check["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_fresh_installation_is_healthy() {
    let home = Home::initialised();
    let said = home.run(&["doctor", "--json", "--nexus", "http://127.0.0.1:1"]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert_eq!(said.json()["healthy"], true);
    for name in [
        "settings",
        "private files",
        "publisher key",
        "tokens",
        "trust",
        "policy",
        "sandbox",
        "clock",
    ] {
        assert_eq!(status(&said, name), "ok", "{name}");
    }
    assert_eq!(status(&said, "nexus"), "warn");
    assert_eq!(status(&said, "redis"), "skip");
    let text = home.run(&["doctor"]).fine();
    assert!(text.contains("publisher key") && text.contains("ok"), "{text}");
}

#[test]
fn an_empty_directory_is_not() {
    let said = Home::new().run(&["doctor", "--json"]);
    assert_eq!(said.code, 1);
    assert_eq!(status(&said, "data directory"), "fail");
    assert_eq!(said.json()["healthy"], false);
}

/// What breaks, by the name of its check, and how.
type Break = (&'static str, fn(&Home));

#[test]
fn each_broken_part_is_found() {
    let breaks: [Break; 7] = [
        ("settings", |home| home.write("venom.toml", "[nexus]\nprot = 1\n")),
        ("settings", |home| {
            home.write("venom.toml", "[spore]\nconcurrency = 0\n")
        }),
        ("private files", |home| {
            let path = home.path().join("operator.token");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap();
        }),
        ("tokens", |home| {
            home.write(
                "tokens.toml",
                "[[tokens]]\nname = \"a\"\nscope = \"root\"\nsha256 = \"00\"\n",
            )
        }),
        ("policy", |home| {
            home.write("policy.toml", "[skills.ShellSkill]\nshell = true\n")
        }),
        ("trust", |home| home.write("trust.toml", "[[publishers]]\nname = 1\n")),
        ("skills", |home| home.write("skills/Fake.venom", "no bundle")),
    ];
    for (name, spoil) in breaks {
        let home = Home::initialised();
        spoil(&home);
        let said = home.run(&["doctor", "--json"]);
        assert_eq!(
            (said.code, status(&said, name).as_str()),
            (1, "fail"),
            "{name}: {}",
            said.out
        );
    }
}

#[test]
fn the_file_of_tasks_must_be_writable_and_is_seen_in_use() {
    let home = Home::initialised();
    let detail = |said: &Said| {
        let report = said.json();
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == "tasks").unwrap();
        check["detail"].as_str().unwrap().to_owned()
    };
    let doctor = || home.run(&["doctor", "--json"]);
    assert!(detail(&doctor()).contains("is made by the first nexus"));
    let nexus = home.start(&["nexus", "--port", "0"], "nexus ready ");
    assert!(detail(&doctor()).contains("is used by a nexus now"));
    drop(nexus);
    assert!(detail(&doctor()).contains("can be written"));
}
