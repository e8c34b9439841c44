//! `doctor` on healthy and broken installations.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
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
fn redis_is_asked_only_when_configured() {
    let home = Home::initialised();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = [0; 6];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(b"+PONG\r\n").unwrap();
        heard
    });
    let ask = |url: String| {
        let output = home
            .command(&["doctor", "--json"])
            .env("REDIS_URL", url)
            .output()
            .unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    };
    let said = ask(format!("redis://:s3cret@{address}/0"));
    assert_eq!(status(&said, "redis"), "ok");
    assert!(!said.out.contains("s3cret") && !said.err.contains("s3cret"));
    assert_eq!(&server.join().unwrap(), b"PING\r\n");
    assert_eq!(status(&ask(format!("redis://{address}/0")), "redis"), "fail");
}
