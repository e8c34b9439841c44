//! `init` and `key`: what they make, how private it is, and that nothing is ever overwritten.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::home::Home;

fn contents(directory: &Path, into: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let bytes = if entry.path().is_dir() {
            contents(&entry.path(), into);
            Vec::new()
        } else {
            std::fs::read(entry.path()).unwrap()
        };
        into.insert(entry.path().display().to_string(), (mode, bytes));
    }
}

#[test]
fn a_second_init_changes_nothing_and_says_so() {
    let home = Home::new();
    let first = home.run(&["init", "--json"]).json();
    assert!(
        first["parts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|part| part["made"] == true),
        "{first}"
    );
    let mut before = BTreeMap::new();
    contents(&home.path(), &mut before);
    let second = home.run(&["init", "--json"]).json();
    assert!(
        second["parts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|part| part["made"] == false),
        "{second}"
    );
    assert_eq!(first["key_id"], second["key_id"]);
    let mut after = BTreeMap::new();
    contents(&home.path(), &mut after);
    assert_eq!(before, after);
}

#[test]
fn secrets_are_private_from_the_first_byte() {
    let home = Home::initialised();
    for (name, mode) in [
        ("", 0o700),
        ("keys", 0o700),
        ("compiled", 0o700),
        ("keys/publisher.key", 0o600),
        ("keys/publisher.pub", 0o644),
        ("operator.token", 0o600),
        ("node.token", 0o600),
        ("tokens.toml", 0o600),
    ] {
        let metadata = std::fs::metadata(home.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    assert!(
        !home.read("tokens.toml").contains(home.read("operator.token").trim()),
        "only the digest is kept there"
    );
    assert_ne!(home.read("operator.token"), home.read("node.token"));
    assert!(home.read("operator.token").trim().len() >= 43, "32 bytes or more");
}

#[test]
fn a_half_made_directory_is_completed() {
    let home = Home::initialised();
    let token = home.read("operator.token");
    std::fs::remove_file(home.path().join("tokens.toml")).unwrap();
    std::fs::remove_file(home.path().join("policy.toml")).unwrap();
    home.run(&["init"]).fine();
    assert_eq!(home.read("operator.token"), token, "the token stays");
    assert!(home.path().join("tokens.toml").exists() && home.path().join("policy.toml").exists());
    assert!(home.run(&["doctor", "--json"]).json()["healthy"].as_bool().unwrap());
}

#[test]
fn what_init_says() {
    let home = Home::new();
    let said = home.tidy(&home.run(&["init"]).fine());
    let key = home.run(&["key", "show", "--json"]).json()["key_id"]
        .as_str()
        .unwrap()
        .to_owned();
    insta::assert_snapshot!("init", said.replace(&key, "[key id]"));
}

#[test]
fn a_rotated_key_signs_while_the_old_one_stays_trusted() {
    let home = Home::initialised();
    let old = home.run(&["key", "show", "--json"]).json();
    let new = home.run(&["key", "rotate", "--json"]).json();
    assert_ne!(old["key_id"], new["key_id"]);
    assert_eq!(home.run(&["key", "show", "--json"]).json()["key_id"], new["key_id"]);
    let trust = home.read("trust.toml");
    for key in [&old, &new] {
        assert!(trust.contains(key["public_key"].as_str().unwrap()), "{trust}");
    }
    let kept = Path::new(new["replaced"].as_str().unwrap());
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_key_is_never_overwritten() {
    let home = Home::initialised();
    let before = home.read("keys/publisher.key");
    let said = home.run(&["key", "new"]);
    assert_eq!(said.code, 1);
    assert_eq!(home.read("keys/publisher.key"), before);
    insta::assert_snapshot!("key_exists", home.tidy(&said.failure()));
}
