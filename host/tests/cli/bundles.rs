//! `bundle`, `skill list` and `skill inspect` on a real bundle.

use crate::home::Home;

#[test]
fn a_bundle_is_trusted_where_its_key_is() {
    let (home, stranger) = (Home::initialised(), Home::initialised());
    let path = home.install_skill("echo").display().to_string();
    let trusted = home.run(&["bundle", "verify", &path, "--json"]);
    assert_eq!(
        (trusted.code, &trusted.json()["name"]),
        (0, &"EchoSkill".into()),
        "{}",
        trusted.err
    );

    let key_id = home.run(&["key", "show", "--json"]).json()["key_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let said = stranger.run(&["bundle", "verify", &path]);
    assert_eq!(said.code, 1);
    let told = stranger.tidy(&home.tidy(&said.failure()));
    let told = told.replace(&key_id, "[key id]").replace(&key_id[..12], "[short id]");
    insta::assert_snapshot!("not_trusted", told);

    // A second signature, by a key the stranger trusts, is what it takes.
    let out = stranger.path().join("twice.venom").display().to_string();
    stranger.run(&["bundle", "sign", &path, "--out", &out]).fine();
    stranger.run(&["bundle", "verify", &out]).fine();
    home.run(&["bundle", "verify", &out]).fine();
    assert_eq!(
        stranger.run(&["bundle", "inspect", &out, "--json"]).json()["key_ids"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn one_flipped_bit_is_refused() {
    let home = Home::initialised();
    let path = home.install_skill("echo");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(home.run(&["bundle", "verify", path.to_str().unwrap()]).code, 1);
    let list = home.run(&["skill", "list", "--json"]).json();
    assert_eq!(list["skills"][0]["trusted"], false, "{list}");
    assert_eq!(home.run(&["run", "EchoSkill.say", "text=hi"]).code, 1);
}

#[test]
fn packing_by_hand_equals_building() {
    let home = Home::initialised();
    let source = crate::home::repository().join("skills/echo");
    let built = home.run(&[
        "skill",
        "build",
        source.to_str().unwrap(),
        "--profile",
        "skill",
        "--out",
        "a.venom",
        "--json",
    ]);
    let component = built.json()["component"].as_str().unwrap().to_owned();
    let manifest = source.join("skill.toml").display().to_string();
    let packed = home.run(&[
        "bundle",
        "pack",
        &component,
        "--manifest",
        &manifest,
        "--out",
        "b.venom",
        "--json",
    ]);
    assert_eq!(packed.code, 0, "{}", packed.err);
    let digest = |said: &crate::home::Said| {
        let path = said.json()["path"].as_str().unwrap().to_owned();
        home.run(&["bundle", "inspect", &path, "--json"]).json()["component_sha256"].clone()
    };
    assert_eq!(digest(&built), digest(&packed));
}

#[test]
fn inspect_says_what_is_granted_and_why() {
    let home = Home::initialised();
    home.install_skill("file");
    let refused = home.run(&["skill", "inspect", "FileSkill", "--json"]);
    assert_eq!(refused.code, 0, "{}{}", refused.out, refused.err);
    let verdicts = |said: &crate::home::Said, capability: &str| -> Vec<String> {
        let report = said.json();
        let decisions = report["decisions"].as_array().unwrap().clone();
        let of = decisions.iter().filter(|decision| decision["capability"] == capability);
        of.map(|decision| decision["verdict"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(verdicts(&refused, "fs"), ["refused"]);
    let methods = refused.json()["methods"].clone();
    assert!(
        methods
            .as_array()
            .unwrap()
            .iter()
            .any(|method| method["name"] == "read_file"),
        "{methods}"
    );

    let granted = home.run(&["skill", "inspect", "FileSkill", "--dev", "--json"]);
    assert!(
        verdicts(&granted, "fs").iter().any(|verdict| verdict != "refused"),
        "{}",
        granted.out
    );
    let text = home.run(&["skill", "inspect", "FileSkill"]).fine();
    for word in [
        "asked for",
        "granted here",
        "refused",
        "methods",
        "read_file",
        "imports",
        "trusted",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn near_names_are_offered() {
    let home = Home::initialised();
    home.install_skill("echo");
    let said = home.run(&["run", "EcoSkill.echo"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!("near_names", home.tidy(&said.failure()));
}
