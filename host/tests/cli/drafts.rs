//! `release create` and `release sign` without a nexus: what goes into a release, and who must sign it.

use serde_json::Value;

use crate::home::{Home, repository};

const NOWHERE: &str = "http://127.0.0.1:1";

/// The payload of a release.
fn read(home: &Home, file: &str) -> Value {
    let path = home.path().parent().unwrap().join(file);
    let envelope: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let payload = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        envelope["payload"].as_str().unwrap(),
    );
    serde_json::from_slice(&payload.unwrap()).unwrap()
}

/// EchoSkill as another version, asking for what is given; the name of its bundle.
pub(crate) fn echo(home: &Home, version: &str, asks: &str) -> String {
    let source = repository().join("skills/echo");
    let built = home.run(&[
        "skill",
        "build",
        source.to_str().unwrap(),
        "--profile",
        "skill",
        "--out",
        "component.venom",
        "--json",
    ]);
    assert_eq!(built.code, 0, "{}", built.err);
    let component = built.json()["component"].as_str().unwrap().to_owned();
    let manifest =
        format!("name = \"EchoSkill\"\nversion = \"{version}\"\nsummary = \"echoes\"\nhost = \">=0.1.0\"\n{asks}");
    home.write_beside("skill.toml", &manifest);
    let out = format!("echo-{version}.venom");
    home.run(&["bundle", "pack", &component, "--out", &out]).fine();
    out
}

#[test]
fn a_release_is_put_together_step_by_step() {
    let home = Home::initialised();
    let [one, two] = ["1.0.0", "2.0.0"].map(|version| echo(&home, version, ""));
    let create = |args: &[&str]| {
        let said = home.run(&[&["release", "create", "--nexus", NOWHERE, "--json"], args].concat());
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        said.json()
    };
    let first = create(&["--first", "--add", &one, "--sign"]);
    assert_eq!(
        (&first["epoch"], &first["seq"], &first["missing"]),
        (&1.into(), &1.into(), &Value::Null)
    );
    assert_eq!(
        (&first["changes"][0]["skill"], &first["changes"][0]["to"]),
        (&"EchoSkill".into(), &"1.0.0".into())
    );
    home.write_beside("grants.toml", "dns = [\"example.com\"]\n");
    let second = create(&[
        "--from",
        "release.json",
        "--out",
        "second.json",
        "--add",
        &two,
        "--tag",
        "canary",
        "--percent",
        "10",
        "--source",
        "EchoSkill=https://bundles.example/echo.venom",
        "--floor",
        "EchoSkill=1.0.0",
        "--grants",
        "EchoSkill=grants.toml",
        "--fallback",
        &format!("EchoSkill={one}"),
        "--approve",
        "EchoSkill",
    ]);
    assert_eq!((&second["seq"], &second["missing"]["missing"]), (&2.into(), &1.into()));
    let release = read(&home, "second.json");
    assert_eq!(release["prev_sha256"], first["release_sha256"]);
    let [canary, everybody] = &release["entries"].as_array().unwrap()[..] else {
        panic!("{release}")
    };
    assert_eq!(
        (&canary["bundle"]["version"], &everybody["bundle"]["version"]),
        (&"2.0.0".into(), &"1.0.0".into())
    );
    assert_eq!(
        canary["selector"],
        serde_json::json!({"tags": ["canary"], "percent": 10})
    );
    assert_eq!(canary["fallback"]["version"], "1.0.0");
    assert_eq!(everybody["fallback"], Value::Null, "it is that bundle itself");
    for entry in [canary, everybody] {
        assert_eq!((&entry["approved"], &entry["floor"]), (&true.into(), &"1.0.0".into()));
        assert_eq!(entry["grants"]["dns"][0], "example.com");
        assert_eq!(entry["bundle"]["sources"][0], "https://bundles.example/echo.venom");
    }
    create(&["--from", "second.json", "--remove", "EchoSkill", "--out", "third.json"]);
    assert_eq!(read(&home, "third.json")["entries"], serde_json::json!([]));
    home.run(&["release", "sign", "third.json"]).fine();
}

#[test]
fn what_cannot_be_released_is_said_before_anything_is_sent() {
    let (home, stranger) = (Home::initialised(), Home::initialised());
    let bundle = echo(&home, "1.0.0", "");
    stranger.run(&["bundle", "pack", "--help"]).fine();
    let create = |home: &Home, args: &[&str]| {
        let path = home.path().parent().unwrap().join("x.json").display().to_string();
        home.run(&[&["release", "create", "--nexus", NOWHERE, "--out", &path], args].concat())
    };
    create(&home, &["--first", "--add", &bundle, "--sign", "--out", "one.json"]);
    let theirs = home.path().parent().unwrap().join(&bundle).display().to_string();
    for (said, word) in [
        (create(&stranger, &["--first", "--add", &theirs]), "root's publishers"),
        (
            create(&home, &["--first", "--add", &bundle, "--add", &bundle]),
            "two bundles of EchoSkill",
        ),
        (
            create(&home, &["--first", "--remove", "EchoSkill"]),
            "it has none at all",
        ),
        (
            create(&home, &["--first", "--add", &bundle, "--approve", "EcoSkill"]),
            "did you mean EchoSkill?",
        ),
        (
            create(&home, &["--first", "--add", &bundle, "--floor", "EchoSkill=2.0.0"]),
            "floor",
        ),
        (create(&home, &["--add", &bundle]), "no nexus answers"),
    ] {
        assert_ne!(said.code, 0);
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
    home.run(&["key", "new", "--out", "other.key"]).fine();
    home.run(&["release", "create", "--first", "--nexus", NOWHERE, "--add", &bundle])
        .fine();
    let wrong_key = home.run(&["release", "sign", "release.json", "--key", "other.key"]);
    assert!(wrong_key.err.contains("no release key of root 1"), "{}", wrong_key.err);
    let unsigned = home.run(&["release", "publish", "release.json", "--nexus", NOWHERE]);
    assert!(
        unsigned.err.contains("1 more of the release keys of root 1"),
        "{}",
        unsigned.err
    );
}

#[test]
fn waves_and_other_flags_used_wrongly_are_usage() {
    let home = Home::initialised();
    for wrong in [
        &["publish"][..],
        &["publish", "a.json", "--bundle", "b.venom"],
        &["publish", "a.json", "--waves", "50,10,100"],
        &["publish", "a.json", "--dry-run", "--follow"],
        &["create", "--percent", "0"],
        &["create", "--floor", "EchoSkill"],
        &["create", "--expires", "5"],
        &["create", "--revoke", "abc"],
        &["status", "--channel", "Stable"],
        &["approve"],
    ] {
        let said = home.run(&[&["release"], wrong].concat());
        assert_eq!(said.code, 2, "{wrong:?}: {}{}", said.out, said.err);
    }
}
