//! `host sign`, `host verify` and `host apply`. The programs here are scripts that say their version: what is signed,
//! measured and replaced is a file, whatever is in it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::home::{Home, Said, until};

/// What this very test, and so the program it runs, is built for.
const TARGET: &str = env!("VENOM_TARGET");

/// A program that says it is this version.
fn program(version: &str) -> String {
    format!("#!/bin/sh\necho venom-host {version}\n")
}

/// A home, and a directory where a program is installed.
struct Setting {
    home: Home,
}

impl Setting {
    fn new() -> Self {
        let home = Home::initialised();
        std::fs::create_dir(home.path().join("bin")).unwrap();
        Self { home }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn place(&self) -> PathBuf {
        self.file("bin/venom-host")
    }

    /// Writes a program and signs it as what it says.
    fn release(&self, name: &str, version: &str) -> PathBuf {
        self.sign(name, &program(version), version, &[]).fine();
        self.file(name)
    }

    fn sign(&self, name: &str, text: &str, version: &str, more: &[&str]) -> Said {
        self.home.write(name, text);
        let path = self.file(name).display().to_string();
        let args = ["host", "sign", &path, "--version", version, "--target", TARGET];
        self.home.run(&[&args, more].concat())
    }

    /// `host verify` or `host apply` of a program with the artefact beside it.
    fn args(&self, verb: &str, name: &str) -> Vec<String> {
        let path = self.file(name).display().to_string();
        let mut args = vec!["host".to_owned(), verb.to_owned(), path.clone()];
        args.extend(["--artefact".to_owned(), format!("{path}.json")]);
        if verb == "apply" {
            args.extend(["--to".to_owned(), self.place().display().to_string()]);
        }
        args
    }

    fn run(&self, verb: &str, name: &str, more: &[&str]) -> Said {
        let args = self.args(verb, name);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.home.run(&args)
    }

    fn verify(&self, name: &str) -> Said {
        self.run("verify", name, &[])
    }

    fn apply(&self, name: &str) -> Said {
        self.run("apply", name, &[])
    }

    fn installed(&self) -> String {
        std::fs::read_to_string(self.place()).unwrap()
    }

    /// Names of what lies in the directory of the installed program.
    fn beside(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.file("bin")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// Asserts that a command failed for this reason.
fn refused(said: &Said, why: &str) {
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.err.contains(why), "{why}: {}", said.err);
}

#[test]
fn a_signed_program_verifies_and_takes_the_place_of_the_old_one() {
    let setting = Setting::new();
    setting.release("one", "1.0.0");
    let verified = setting.run("verify", "one", &["--json"]).json();
    assert_eq!(
        (&verified["verified"], &verified["version"]),
        (&Value::Bool(true), &"1.0.0".into())
    );
    setting.apply("one").fine();
    assert_eq!(setting.installed(), program("1.0.0"));
    assert_eq!(setting.beside(), ["venom-host"], "there was none before");

    std::fs::set_permissions(setting.place(), std::fs::Permissions::from_mode(0o750)).unwrap();
    setting.release("two", "1.1.0");
    let applied = setting.run("apply", "two", &["--json"]).json();
    assert_eq!(
        (&applied["changed"], &applied["before"]),
        (&Value::Bool(true), &"1.0.0".into())
    );
    assert_eq!(setting.installed(), program("1.1.0"));
    assert_eq!(setting.beside(), ["venom-host", "venom-host.previous"]);
    let previous = std::fs::read_to_string(setting.file("bin/venom-host.previous")).unwrap();
    assert_eq!(previous, program("1.0.0"));
    let mode = std::fs::metadata(setting.place()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750, "who could run it before can run it now");

    // A timer does it again and again.
    let again = setting.run("apply", "two", &["--json"]).json();
    assert_eq!(again["changed"], false);
    let previous = std::fs::read_to_string(setting.file("bin/venom-host.previous")).unwrap();
    assert_eq!(previous, program("1.0.0"), "the way back is still there");
}

#[test]
fn a_program_that_was_changed_is_refused() {
    let setting = Setting::new();
    setting.release("one", "1.0.0");
    setting.apply("one").fine();
    setting.release("two", "2.0.0");
    for text in [program("2.0.1"), program("2.0.0") + "\n", String::new()] {
        setting.home.write("two", &text);
        refused(&setting.verify("two"), "is not the program that was signed");
        refused(&setting.apply("two"), "is not the program that was signed");
    }
    let json = setting.run("verify", "two", &["--json"]);
    assert_eq!((json.code, &json.json()["verified"]), (1, &Value::Bool(false)));
    // Nor is an artefact that was.
    setting.home.write("two", &program("2.0.0"));
    setting.verify("two").fine();
    let artefact = setting.home.read("two.json");
    setting
        .home
        .write("two.json", &artefact.replacen("payload\":\"ey", "payload\":\"eY", 1));
    refused(&setting.apply("two"), "is not believed");
    assert_eq!(setting.installed(), program("1.0.0"));
    assert_eq!(setting.beside(), ["venom-host"], "nothing is left of them");
}

#[test]
fn keys_of_somebody_else_do_not_count() {
    let setting = Setting::new();
    let stranger = setting.home.run(&["key", "new", "--out", "stranger.key"]);
    assert_eq!(stranger.code, 0, "{}", stranger.err);
    let signed = setting.sign("one", &program("1.0.0"), "1.0.0", &["--key", "stranger.key"]);
    refused(&signed, "is no release key");
    let more = ["--key", "stranger.key", "--any-swarm"];
    setting.sign("one", &program("1.0.0"), "1.0.0", &more).fine();
    refused(&setting.verify("one"), "is not believed");
    refused(&setting.apply("one"), "is not believed");
    assert!(setting.beside().is_empty());
    // One more signature, by a key that counts.
    setting.sign("one", &program("1.0.0"), "1.0.0", &["--any-swarm"]).fine();
    setting.verify("one").fine();
    // Of another program there is another artefact.
    refused(
        &setting.sign("one", &program("1.0.1"), "1.0.1", &["--any-swarm"]),
        "of something else",
    );

    // Signed for a swarm, it is for that one only.
    let other = Setting::new();
    setting.release("two", "1.0.0");
    let root = other.file("root.json").display().to_string();
    refused(&setting.run("verify", "two", &["--root", &root]), "is not believed");
    // A bundle's or a release's signature is none on a program.
    let release = setting
        .home
        .run(&["release", "create", "--first", "--sign", "--out", "release.json"]);
    assert_eq!(release.code, 0, "{}", release.err);
    let release = setting.file("release.json");
    std::fs::copy(setting.home.path().with_file_name("release.json"), &release).unwrap();
    std::fs::copy(&release, setting.file("two.json")).unwrap();
    refused(&setting.verify("two"), "is not believed");
}

#[test]
fn a_program_for_another_machine_is_refused() {
    let setting = Setting::new();
    setting.release("one", "1.0.0");
    refused(
        &setting.run("verify", "one", &["--target", "aarch64-unknown-linux-musl"]),
        "this machine is",
    );
    setting.home.write("broken", "#!/nowhere/interpreter\n");
    let broken = setting.home.read("broken");
    setting.sign("broken", &broken, "3.0.0", &[]).fine();
    refused(&setting.apply("broken"), "does not run on this machine");
    setting.sign("liar", &program("3.0.1"), "3.0.0", &[]).fine();
    refused(&setting.apply("liar"), "says that it is version 3.0.1");
    assert!(setting.beside().is_empty());
}

#[test]
fn an_older_program_is_only_installed_on_request() {
    let setting = Setting::new();
    for (name, version) in [
        ("old", "1.0.0"),
        ("new", "1.2.0"),
        ("other", "1.2.0+other"),
        ("draft", "1.2.0-rc.1"),
    ] {
        setting.release(name, version);
    }
    setting.apply("new").fine();
    for name in ["old", "other", "draft"] {
        refused(&setting.apply(name), "is not newer than the installed 1.2.0");
    }
    assert_eq!(setting.installed(), program("1.2.0"));
    setting.run("apply", "old", &["--allow-older"]).fine();
    assert_eq!(setting.installed(), program("1.0.0"));
    // What does not say its version may be anything.
    std::fs::write(setting.place(), "#!/bin/sh\nexit 1\n").unwrap();
    refused(&setting.apply("new"), "--allow-older");
    setting.run("apply", "new", &["--allow-older"]).fine();
    assert_eq!(setting.installed(), program("1.2.0"));
}

#[test]
fn an_artefact_ends_with_its_time_or_its_root() {
    let setting = Setting::new();
    setting
        .sign("one", &program("1.0.0"), "1.0.0", &["--expires", "1h"])
        .fine();
    setting.verify("one").fine();
    // A root that has ended: signed like any other, with a short life.
    let mut root: Value = serde_json::from_str(&setting.home.read("root.json")).unwrap();
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let payload = engine.decode(root["payload"].as_str().unwrap()).unwrap();
    let mut claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["created"] = "2020-01-01T00:00:00+00:00".into();
    claims["expires"] = "2021-01-01T00:00:00+00:00".into();
    root["payload"] = engine.encode(claims.to_string()).into();
    root["signatures"] = Value::Array(Vec::new());
    setting.home.write("ended.json", &root.to_string());
    let ended = setting.file("ended.json").display().to_string();
    setting.home.run(&["root", "sign", &ended]).fine();
    refused(
        &setting.run("verify", "one", &["--root", &ended]),
        "must not be installed any more",
    );
    refused(
        &setting.run("apply", "one", &["--root", &ended]),
        "must not be installed any more",
    );
}

#[test]
fn a_place_is_a_plain_file() {
    let setting = Setting::new();
    setting.release("one", "1.0.0");
    std::os::unix::fs::symlink(setting.file("one"), setting.place()).unwrap();
    refused(&setting.apply("one"), "no plain file");
    std::fs::remove_file(setting.place()).unwrap();
    std::fs::create_dir(setting.place()).unwrap();
    refused(&setting.apply("one"), "no plain file");
    let args = setting.args("apply", "one");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let nowhere = setting.file("nowhere/venom-host").display().to_string();
    let said = setting.home.run(&[&args[..args.len() - 1], &[&nowhere]].concat());
    refused(&said, "cannot install to");
}

#[test]
fn two_at_once_do_not_meet() {
    let setting = Setting::new();
    setting.release("one", "1.0.0");
    let directory = std::fs::File::open(setting.file("bin")).unwrap();
    directory.lock().unwrap();
    refused(&setting.apply("one"), "another `host apply`");
    drop(directory);
    setting.apply("one").fine();
}

/// Programs so large that writing one takes a while.
fn large(version: &str) -> String {
    program(version) + &format!("exit 0\n{}", "#".repeat(16 * 1024 * 1024))
}

/// Kills `host apply` once `moment` has come.
fn kill_when(setting: &Setting, name: &str, moment: impl Fn() -> bool) {
    let args = setting.args("apply", name);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command: Command = setting.home.command(&args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the moment to be killed", || {
        (moment() || child.try_wait().unwrap().is_some()).then_some(())
    });
    // It may have ended; that is one of the moments too.
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn killed_at_any_step_the_place_holds_the_old_program_or_the_new_one() {
    let setting = Setting::new();
    let (old, new) = (large("1.0.0"), large("2.0.0"));
    setting.sign("old", &old, "1.0.0", &[]).fine();
    setting.sign("new", &new, "2.0.0", &[]).fine();
    // The new program is started before it is installed: here it kills who starts it, which is after the copy and before
    // the swap, each time.
    let assassin = "#!/bin/sh\nkill -KILL $PPID\n";
    setting.sign("assassin", assassin, "3.0.0", &[]).fine();
    let draft = setting.file("bin/.venom-host.new");
    let previous = setting.file("bin/venom-host.previous");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let whole = new.len() as u64;
    let moments: [(&str, &dyn Fn() -> bool); 5] = [
        ("begun", &|| draft.exists()),
        ("half copied", &|| size(&draft) > whole / 2),
        ("copied", &|| size(&draft) == whole),
        ("kept", &|| previous.exists()),
        ("done", &|| {
            size(&setting.place()) == whole && previous.exists() && !draft.exists()
        }),
    ];
    for (moment, come) in moments {
        for entry in setting.beside() {
            std::fs::remove_file(setting.file("bin").join(entry)).unwrap();
        }
        setting.apply("old").fine();
        kill_when(&setting, "new", come);
        let found = setting.installed();
        assert!(found == old || found == new, "{moment}: {} bytes", found.len());
        assert!(
            size(&previous) == 0 || std::fs::read_to_string(&previous).unwrap() == old,
            "{moment}"
        );
        setting.apply("new").fine();
        assert!(setting.installed() == new, "{moment}: the next one comes through");
        assert!(
            !draft.exists() && setting.beside().len() <= 2,
            "{moment}: {:?}",
            setting.beside()
        );
    }
    let said = setting.apply("assassin");
    assert_eq!(said.code, -1, "killed: {}{}", said.out, said.err);
    assert!(draft.exists(), "after the copy");
    assert!(setting.installed() == new, "before the swap");
    setting.release("last", "4.0.0");
    setting.apply("last").fine();
    assert_eq!(setting.installed(), program("4.0.0"));
    assert_eq!(setting.beside(), ["venom-host", "venom-host.previous"]);
}
