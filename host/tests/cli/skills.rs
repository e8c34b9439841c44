//! `skill new`, `skill build` and `run`: from nothing to a result.

use crate::home::{Home, repository};

#[test]
fn a_new_skill_builds_and_runs() {
    let home = Home::initialised();
    let project = home.path().parent().unwrap().join("greeter");
    let place = project.display().to_string();
    home.run(&["skill", "new", "Greeter", "--dir", &place]).fine();
    // The versions this repository was tested with, so that the build needs nothing it has not fetched.
    std::fs::copy(repository().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let built = home.run(&["skill", "build", &place, "--json"]);
    assert_eq!(built.code, 0, "{}{}", built.out, built.err);
    let bundle = project.join("Greeter.venom").display().to_string();
    assert_eq!(
        home.run(&["run", "Greeter.hello", "name=Ada", "--bundle", &bundle])
            .fine(),
        "hello, Ada\n"
    );

    let again = home.run(&["skill", "new", "Greeter", "--dir", &place]);
    assert_eq!(again.code, 1, "nothing is overwritten");
    assert!(again.err.contains("not an empty directory"), "{}", again.err);
}

#[test]
fn parameters_come_in_any_form() {
    let home = Home::initialised();
    home.install_skill("echo");
    home.write("params.json", "{\"text\": \"from a file\"}");
    let file = format!("@{}", home.path().join("params.json").display());
    assert_eq!(home.run(&["run", "EchoSkill.say", "text=pair"]).fine(), "pair\n");
    assert_eq!(
        home.run(&["run", "EchoSkill.say", "{\"text\": \"json\"}"]).fine(),
        "json\n"
    );
    assert_eq!(home.run(&["run", "EchoSkill.say", &file]).fine(), "from a file\n");
    assert_eq!(
        home.run_with_stdin(&["run", "EchoSkill.say", "-"], "{\"text\": \"piped\"}")
            .fine(),
        "piped\n"
    );
}

#[test]
fn a_failed_call_is_exit_code_1_in_both_forms() {
    let home = Home::initialised();
    home.install_skill("echo");
    let text = home.run(&["run", "EchoSkill.nosuch"]);
    assert_eq!(text.code, 1);
    insta::assert_snapshot!("unknown_method", text.failure());
    let json = home.run(&["run", "EchoSkill.nosuch", "--json"]);
    assert_eq!((json.code, json.err.as_str()), (1, ""));
    assert_eq!(
        (&json.json()["success"], &json.json()["error_code"]),
        (&false.into(), &"unknown_method".into())
    );
}

#[test]
fn a_skill_is_granted_nothing_until_the_policy_says_so() {
    let home = Home::initialised();
    home.install_skill("file");
    let write = ["run", "FileSkill.write_file", "path=/work/a.txt", "content=hello"];
    let refused = home.run(&write);
    assert_eq!(refused.code, 1, "{}", refused.out);

    let workspace = home.path().join("workspace").display().to_string();
    let policy = format!("[skills.FileSkill]\nfs = [{{ host = {workspace:?}, guest = \"/work\", access = \"rw\" }}]\n");
    home.write("policy.toml", &policy);
    home.run(&write).fine();
    assert_eq!(home.read("workspace/a.txt"), "hello");
    home.write("other.toml", "");
    let other = home.path().join("other.toml").display().to_string();
    assert_eq!(
        home.run(&[&write[..], &["--policy", &other]].concat()).code,
        1,
        "--policy beats the directory's"
    );
}

/// Scaffolds, builds and runs the template of another language.
fn builds_and_runs(language: &str) {
    let home = Home::initialised();
    let place = home.path().parent().unwrap().join("greeter").display().to_string();
    home.run(&["skill", "new", "Greeter", "--lang", language, "--dir", &place])
        .fine();
    home.run(&["skill", "build", &place, "--install"]).fine();
    assert_eq!(home.run(&["run", "Greeter.hello", "name=Ada"]).fine(), "hello, Ada\n");
}

#[test]
#[ignore = "fetches componentize-py; needs python3 with venv and the network"]
fn a_python_skill_builds_and_runs() {
    builds_and_runs("python");
}

#[test]
#[ignore = "fetches jco; needs node 20 or later with npm and the network"]
fn a_javascript_skill_builds_and_runs() {
    builds_and_runs("js");
}

/// Builds an example of the repository by its own script, packs it as its README says, and calls it.
fn example_builds_and_runs(language: &str) {
    let home = Home::initialised();
    let example = repository().join("examples").join(language);
    let built = std::process::Command::new("sh")
        .arg(example.join("build.sh"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let component = String::from_utf8(built.stdout)
        .unwrap()
        .lines()
        .last()
        .unwrap()
        .to_owned();
    let manifest = example.join("skill.toml").display().to_string();
    let bundle = home.path().join("example.venom").display().to_string();
    home.run(&["bundle", "pack", &component, "--manifest", &manifest, "--out", &bundle])
        .fine();
    let say = ["run", "EchoSkill.say", "text=ab", "times:=2", "--bundle", &bundle];
    assert_eq!(home.run(&say).fine(), "abab\n");
    let refused = home.run(&["run", "EchoSkill.say", "nosuch=1", "--bundle", &bundle]);
    assert!(refused.code == 1 && refused.err.contains("nosuch"), "{}", refused.err);
}

#[test]
#[ignore = "fetches componentize-py; needs python3 with venv and the network"]
fn the_python_example_builds_and_runs() {
    example_builds_and_runs("python");
}

#[test]
#[ignore = "fetches jco; needs node 20 or later with npm and the network"]
fn the_javascript_example_builds_and_runs() {
    example_builds_and_runs("javascript");
}
