//! `release` and `root publish` against a real nexus, up to where spores take over.

use std::process::Stdio;

use serde_json::Value;

use crate::drafts::echo;
use crate::home::{Home, Running, Said, until};

/// A nexus with nobody to install anything.
struct Store {
    home: Home,
    nexus: Running,
}

impl Store {
    fn new() -> Self {
        let home = Home::initialised();
        let nexus = home.start(&["nexus", "--port", "0", "--local-fallback", "off"], "nexus ready ");
        Self { home, nexus }
    }

    fn run(&self, args: &[&str]) -> Said {
        self.home.run(&[args, &["--nexus", &self.nexus.ready]].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.run(&[args, &["--json"]].concat());
        assert_eq!(said.code, 0, "{args:?}: {}{}", said.out, said.err);
        said.json()
    }

    /// `epoch.seq entries`, newest first.
    fn list(&self) -> Vec<String> {
        let list = self.json(&["release", "list"]);
        let word = |release: &Value| {
            let entries: Vec<&str> = release["entries"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let (epoch, seq) = (&release["epoch"], &release["seq"]);
            format!("{epoch}.{seq} {}", entries.join(","))
        };
        list["releases"].as_array().unwrap().iter().map(word).collect()
    }
}

#[test]
fn a_bundle_is_published_in_one_command_and_the_next_goes_on_from_it() {
    let store = Store::new();
    let bundles = ["1.0.0", "2.0.0"].map(|version| echo(&store.home, version, ""));
    let none = store.run(&["release", "status"]);
    assert!(
        none.code == 1 && none.err.contains("channel stable has no release"),
        "{}",
        none.err
    );

    let dry = store.json(&["release", "publish", "--bundle", &bundles[0], "--dry-run"]);
    assert_eq!(
        (&dry["changes"][0]["to"], &dry["problems"]),
        (&"1.0.0".into(), &serde_json::json!([]))
    );
    let kept = store.home.path().join("releases");
    let is_kept = || std::fs::read_dir(&kept).unwrap().count();
    let before = is_kept();
    assert!(store.list().is_empty(), "a dry run publishes nothing");

    let first = store.json(&["release", "publish", "--bundle", &bundles[0]]);
    assert_eq!((&first["state"], &first["seq"]), (&"running".into(), &1.into()));
    assert!(is_kept() >= before);
    let plan = [
        "--waves",
        "1,50,100",
        "--soak",
        "2m",
        "--min-reports",
        "3",
        "--min-success",
        "0.8",
        "--on-failure",
        "revert",
    ];
    let second = store.json(&[&["release", "publish", "--bundle", &bundles[1]], &plan[..]].concat());
    assert_eq!(second["plan"]["on_failure"], "revert");
    let wave = serde_json::json!({"percent": 1.0, "soak": 120.0, "min_reports": 3, "min_success": 0.8});
    assert_eq!(
        (
            &second["plan"]["waves"][0],
            second["plan"]["waves"].as_array().unwrap().len()
        ),
        (&wave, 3)
    );
    assert_eq!(store.list(), ["1.2 EchoSkill 2.0.0", "1.1 EchoSkill 1.0.0"]);
    let status = store.run(&["release", "status"]).fine();
    assert!(
        status.starts_with("release 1.2 of stable: running, wave 1 of 3 (1%)"),
        "{status}"
    );
    assert_eq!(
        store.json(&["release", "status"])["release_sha256"],
        second["release_sha256"]
    );
}

#[test]
fn a_thief_of_the_online_key_publishes_nothing_and_is_told_why() {
    let store = Store::new();
    let thief = Home::new();
    let keys = thief.path().join("keys");
    std::fs::create_dir_all(&keys).unwrap();
    for (from, to) in [("online.key", "publisher.key"), ("online.pub", "publisher.pub")] {
        std::fs::copy(store.home.path().join("keys").join(from), keys.join(to)).unwrap();
    }
    thief.run(&["init"]).fine();
    let bundle = echo(&thief, "6.6.6", "");
    let forged = thief.path().join("forged.json").display().to_string();
    let create = [
        "release", "create", "--first", "--sign", "--add", &bundle, "--out", &forged,
    ];
    thief.run(&create).fine();
    let refused = store.run(&["release", "publish", &forged]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("signed by 0 of the 1"), "{}", refused.err);
    assert!(refused.err.contains("the keys of its root"), "{}", refused.err);
    assert!(store.list().is_empty());
}

#[test]
fn a_release_made_elsewhere_is_published_once_its_bundles_are_there() {
    let store = Store::new();
    let bundle = echo(&store.home, "1.0.0", "");
    store.run(&["release", "create", "--add", &bundle, "--sign"]).fine();
    let early = store.run(&["release", "publish", "release.json"]);
    assert!(
        early.code == 1 && early.err.contains("upload it first"),
        "{}",
        early.err
    );
    let uploaded = store.json(&["bundle", "publish", &bundle]);
    let view = &uploaded["bundles"][0];
    assert_eq!(
        (&view["name"], &view["publisher"]),
        (&"EchoSkill".into(), &"local".into())
    );
    store.run(&["release", "publish", "release.json"]).fine();
    assert_eq!(store.list(), ["1.1 EchoSkill 1.0.0"]);
    store.home.write_beside("no.venom", "none");
    let no_bundle = store.run(&["bundle", "publish", "no.venom"]);
    assert!(
        no_bundle.code == 1 && no_bundle.err.contains("not a bundle"),
        "{}",
        no_bundle.err
    );
}

#[test]
fn operators_hold_a_rollout_and_whoever_follows_it_sees_its_end() {
    let store = Store::new();
    let bundle = echo(&store.home, "1.0.0", "");
    store.json(&["release", "publish", "--bundle", &bundle]);
    let paused = store.json(&["release", "pause", "--reason", "smoke in the north"]);
    assert_eq!(paused["state"], "paused");
    let followed = store.run(&["release", "status", "--follow"]);
    assert_eq!(followed.code, 1);
    assert!(
        followed.err.contains("smoke in the north") && followed.err.contains("release resume"),
        "{}",
        followed.err
    );
    assert_eq!(store.json(&["release", "resume"])["state"], "running");

    let log = store.home.path().join("follow.log");
    let mut follower = store
        .home
        .command(&["release", "status", "--follow", "--json", "--nexus", &store.nexus.ready])
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    assert_eq!(store.json(&["release", "abort"])["state"], "aborted");
    let ended = until("the follower ends", || follower.try_wait().unwrap());
    assert_eq!(ended.code(), Some(1));
    let told = std::io::read_to_string(follower.stdout.take().unwrap()).unwrap();
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(last["rollout"]["state"], "aborted");

    let too_late = store.run(&["release", "resume"]);
    assert!(
        too_late.code == 1 && too_late.err.contains("publish another release"),
        "{}",
        too_late.err
    );
    store.json(&["release", "publish", "--bundle", &bundle]);
    assert_eq!(store.json(&["release", "revert"])["state"], "reverted");
}

#[test]
fn what_asks_for_more_is_held_until_it_is_approved() {
    let store = Store::new();
    let plain = echo(&store.home, "1.0.0", "");
    let wide = echo(&store.home, "2.0.0", "[capabilities]\nenv = [\"LANG\"]\n");
    store.json(&["release", "publish", "--bundle", &plain]);
    let said = store.run(&["release", "create", "--add", &wide]).fine();
    assert!(
        said.contains("asks for  env LANG") && said.contains("--approve EchoSkill"),
        "{said}"
    );
    let approved = store.json(&["release", "create", "--add", &wide, "--approve", "EchoSkill"]);
    assert_eq!(approved["changes"][0]["held"], false);
    let dry = store.json(&["release", "publish", "--bundle", &wide, "--dry-run"]);
    assert_eq!(
        (&dry["changes"][0]["held"], &dry["changes"][0]["asks_more"][0]),
        (&true.into(), &"env LANG".into())
    );

    store.json(&["release", "publish", "--bundle", &wide]);
    let said = store.run(&["release", "approve", "EchoSkill"]).fine();
    assert!(said.contains("EchoSkill 2.0.0 asks for env LANG"), "{said}");
    assert_eq!(store.list()[0], "1.3 EchoSkill 2.0.0");
    store.run(&["release", "create", "--sign", "--out", "now.json"]).fine();
    assert!(
        store
            .run(&["release", "approve", "EcoSkill"])
            .err
            .contains("did you mean EchoSkill?")
    );
}

#[test]
fn a_new_key_is_given_to_the_nexus_and_signs_the_next_release() {
    let store = Store::new();
    let bundle = echo(&store.home, "1.0.0", "");
    store.json(&["release", "publish", "--bundle", &bundle]);
    for _ in 0..2 {
        store.home.run(&["key", "rotate"]).fine();
    }
    let unknown = store.run(&["release", "publish", "--bundle", &bundle]);
    assert_eq!(unknown.code, 1, "the nexus does not know the new key yet");
    let view = store.json(&["root", "publish"]);
    assert_eq!(view["root_version"], 3, "the one in between went there too");
    assert_eq!(store.json(&["release", "publish", "--bundle", &bundle])["seq"], 2);
}

#[test]
fn an_epoch_begins_with_no_entries_but_those_that_are_given() {
    let store = Store::new();
    let bundle = echo(&store.home, "1.0.0", "");
    store.json(&["release", "publish", "--bundle", &bundle]);
    store.run(&["release", "create", "--out", "mine.json"]).fine();
    store.home.run(&["root", "new", "--epoch-up"]).fine();
    store.home.run(&["root", "sign", "next.json"]).fine();
    let said = store.run(&["root", "publish", "next.json"]);
    assert!(said.code == 0 && said.err.contains("is that root now"), "{}", said.err);
    assert_eq!(store.home.run(&["root", "show", "--json"]).json()["root"]["epoch"], 2);
    let anew = store.run(&["release", "create"]);
    assert!(anew.code == 0 && anew.err.contains("no longer counts"), "{}", anew.err);
    let kept = store.json(&["release", "create", "--from", "mine.json", "--sign"]);
    assert_eq!((&kept["epoch"], &kept["seq"]), (&2.into(), &1.into()));
    store.run(&["release", "publish", "release.json"]).fine();
    assert_eq!(store.list()[0], "2.1 EchoSkill 1.0.0");
}

#[test]
fn the_loop_of_development_publishes_each_edit_and_outlives_a_broken_one() {
    let store = Store::new();
    let project = store.home.path().parent().unwrap().join("greeter");
    let place = project.display().to_string();
    store.home.run(&["skill", "new", "Greeter", "--dir", &place]).fine();
    std::fs::copy(crate::home::repository().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let log = store.home.path().join("loop.log");
    let mut developing = store
        .home
        .command(&[
            "skill",
            "build",
            &place,
            "--watch",
            "--publish",
            "--json",
            "--nexus",
            &store.nexus.ready,
        ])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let published = |count: usize| {
        until("a release comes", || {
            Some(store.list()).filter(|list| list.len() == count)
        })
    };
    let watching = |times: usize| {
        until("it waits for an edit", || {
            (store.home.read("loop.log").matches("watching").count() == times).then_some(())
        })
    };
    let first = published(1);
    assert!(first[0].starts_with("1.1 Greeter 0.1.0-dev."), "{first:?}");
    watching(1);
    let lib = project.join("src/lib.rs");
    let good = std::fs::read_to_string(&lib).unwrap();
    std::fs::write(&lib, "this is no Rust").unwrap();
    watching(2);
    assert!(store.home.read("loop.log").contains("building Greeter failed"));
    std::fs::write(&lib, good.replace("hello, {name}", "good day, {name}")).unwrap();
    let second = published(2);
    assert_ne!(second[0], first[0]);
    developing.kill().unwrap();
    developing.wait().unwrap();
    assert!(
        !project.join("Greeter.venom").exists(),
        "a build of development lies in target"
    );
}
