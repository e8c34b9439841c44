//! `root` and what `init` and `key rotate` do to it: who must sign the next root, and what is said when too few did.

use serde_json::Value;

use crate::home::Home;

/// A new key pair beside the data directory; gives its id.
fn key(home: &Home, name: &str) -> String {
    let made = home
        .run(&["key", "new", "--out", &format!("{name}.key"), "--json"])
        .json();
    made["key_id"].as_str().unwrap().to_owned()
}

fn show(home: &Home, file: &str) -> Value {
    let said = home.run(&["root", "show", file, "--json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    said.json()
}

fn root_file(home: &Home) -> String {
    home.path().join("root.json").display().to_string()
}

/// Which roles still lack signatures, and how many.
fn missing(said: &Value) -> Vec<(String, u64)> {
    let missing = said["missing"].as_array().unwrap().iter();
    missing
        .map(|one| {
            (
                one["role"].as_str().unwrap().to_owned(),
                one["missing"].as_u64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn init_begins_a_swarm_of_its_own() {
    let homes = [Home::initialised(), Home::initialised()];
    let roots = homes.each_ref().map(|home| show(home, &root_file(home)));
    let [root, other] = roots.each_ref().map(|shown| &shown["root"]);
    assert_ne!(root["swarm_id"], other["swarm_id"]);
    assert_eq!((&root["version"], &root["epoch"]), (&1.into(), &1.into()));
    assert!(missing(&roots[0]).is_empty(), "it is signed");
    let publisher = homes[0].run(&["key", "show", "--json"]).json()["public_key"].clone();
    assert_eq!(root["roles"]["root"]["keys"][0], publisher);
    assert_eq!(root["roles"]["release"]["keys"][0], publisher);
    assert_ne!(root["roles"]["rollout"]["keys"][0], publisher);
    assert_eq!(
        (&root["publishers"][0]["prefix"], &root["publishers"][0]["keys"][0]),
        (&"*".into(), &publisher)
    );
    let text = homes[0].run(&["root", "show"]).fine();
    assert!(
        text.contains("keys/publisher.key here") && text.contains("keys/online.key here"),
        "{text}"
    );
}

#[test]
fn an_older_data_directory_gets_what_is_missing() {
    let home = Home::initialised();
    for name in ["root.json", "keys/online.key", "keys/online.pub"] {
        std::fs::remove_file(home.path().join(name)).unwrap();
    }
    let publisher = home.read("keys/publisher.key");
    home.run(&["init"]).fine();
    assert_eq!(home.read("keys/publisher.key"), publisher);
    assert!(missing(&show(&home, &root_file(&home))).is_empty());
}

#[test]
fn a_rotated_key_takes_the_place_of_the_old_one_in_the_next_root() {
    let home = Home::initialised();
    let old = home.read("root.json");
    let said = home.tidy(&home.run(&["key", "rotate"]).fine());
    assert!(
        said.contains("root.json is root 2 now") && said.contains("venom-host root publish"),
        "{said}"
    );
    assert_eq!(home.read("root-1.json"), old);
    let next = show(&home, &root_file(&home));
    assert_eq!(next["root"]["version"], 2);
    let key = home.run(&["key", "show", "--json"]).json()["public_key"].clone();
    assert_eq!(next["root"]["roles"]["release"]["keys"], serde_json::json!([key]));
    let publishers = next["root"]["publishers"][0]["keys"].as_array().unwrap().clone();
    assert_eq!(publishers.len(), 2, "what the old key signed goes on running");
    assert!(home.run(&["doctor", "--json"]).json()["healthy"].as_bool().unwrap());
}

#[test]
fn offline_root_keys_take_over_and_say_who_is_missing() {
    let home = Home::initialised();
    let ids = ["a", "b", "c"].map(|name| key(&home, name));
    let new = [
        "root",
        "new",
        "--root-key",
        "a.pub",
        "--root-key",
        "b.pub",
        "--root-key",
        "c.pub",
        "--root-threshold",
        "2",
        "--expires",
        "5y",
        "--json",
    ];
    let made = home.run(&new).json();
    let [first, second] = ["root keys of root 1", "root keys of root 2"].map(str::to_owned);
    assert_eq!(missing(&made), [(first, 1), (second.clone(), 2)]);
    assert_eq!(
        home.run(&new).code,
        1,
        "a file that may hold signatures is not overwritten"
    );

    let refused = home.run(&["root", "publish", "next.json", "--nexus", "http://127.0.0.1:1"]);
    let stranger = key(&home, "stranger");
    let useless = home.run(&["root", "sign", "next.json", "--key", "stranger.key"]);
    let mut told = format!("{}\n{}", home.tidy(&refused.failure()), home.tidy(&useless.failure()));
    let publisher = home.run(&["key", "show", "--json"]).json()["key_id"]
        .as_str()
        .unwrap()
        .to_owned();
    for (name, id) in [
        ("publisher", &publisher),
        ("a", &ids[0]),
        ("b", &ids[1]),
        ("c", &ids[2]),
        ("stranger", &stranger),
    ] {
        told = told.replace(&id[..12], &format!("[key {name}]"));
    }
    insta::assert_snapshot!("too_few_root_keys", told);

    let signed = home.run(&["root", "sign", "next.json", "--json"]).json();
    assert_eq!(missing(&signed), [(second.clone(), 2)]);
    let signed = home
        .run(&["root", "sign", "next.json", "--key", "c.key", "--json"])
        .json();
    assert_eq!(missing(&signed), [(second, 1)]);
    let text = home.run(&["root", "sign", "next.json", "--key", "a.key"]).fine();
    assert!(text.contains("root publish next.json"), "{text}");
    // All there; only the nexus is not.
    let said = home.run(&["root", "publish", "next.json", "--nexus", "http://127.0.0.1:1"]);
    assert!(said.err.contains("no nexus answers"), "{}", said.err);
    assert_eq!(
        show(&home, &root_file(&home))["root"]["version"],
        1,
        "nothing is kept that the nexus has not taken"
    );
}

#[test]
fn publishers_epochs_and_revocations_go_into_the_next_root() {
    let home = Home::initialised();
    let id = key(&home, "acme");
    let new = [
        "root",
        "new",
        "--publisher",
        "acme",
        "--prefix",
        "Acme",
        "--publisher-key",
        "acme.pub",
        "--revoke",
        &id,
        "--epoch-up",
        "--out",
        "wide.json",
    ];
    home.run(&new).fine();
    let root = show(&home, "wide.json")["root"].clone();
    assert_eq!((&root["epoch"], &root["revoked"][0]), (&2.into(), &id.clone().into()));
    assert_eq!(
        (&root["publishers"][1]["name"], &root["publishers"][1]["prefix"]),
        (&"acme".into(), &"Acme".into())
    );
    home.run(&["root", "new", "--without-publisher", "local", "--out", "none.json"])
        .fine();
    assert_eq!(show(&home, "none.json")["root"]["publishers"], serde_json::json!([]));
    for (wrong, code, word) in [
        (&["--publisher", "x", "--publisher-key", "acme.pub"][..], 2, "--prefix"),
        (&["--root-key", "nowhere.pub"], 1, "neither a file nor a public key"),
        (&["--root-threshold", "2"], 1, "threshold"),
        (&["--without-publisher", "x"], 1, "there are: local"),
    ] {
        let said = home.run(&[&["root", "new", "--out", "wrong.json"], wrong].concat());
        assert_eq!(said.code, code, "{wrong:?}: {}", said.err);
        assert!(said.err.contains(word), "{wrong:?}: {}", said.err);
    }
}

#[test]
fn a_rotated_release_key_waits_for_the_offline_root_keys() {
    let home = Home::initialised();
    let offline = key(&home, "offline");
    home.run(&["root", "new", "--root-key", "offline.pub"]).fine();
    home.run(&["root", "sign", "next.json"]).fine();
    home.run(&["root", "sign", "next.json", "--key", "offline.key"]).fine();
    std::fs::rename(home.path().parent().unwrap().join("next.json"), root_file(&home)).unwrap();
    let said = home.tidy(&home.run(&["key", "rotate"]).fine());
    assert!(
        said.contains(&offline[..12]) && said.contains("root sign [data]/next-root.json"),
        "{said}"
    );
    assert_eq!(show(&home, &root_file(&home))["root"]["version"], 2);
    let next = home.path().join("next-root.json").display().to_string();
    assert_eq!(show(&home, &next)["root"]["version"], 3);
    home.run(&["root", "sign", &next, "--key", "offline.key"]).fine();
    assert!(missing(&show(&home, &next)).is_empty());
}
