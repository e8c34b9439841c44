//! What docs/registries.md and docs/host-update.md tell people to type works, and the units of deploy/systemd are units.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::docs::blocks;
use crate::home::{Home, Said, repository};
use crate::registry_server::RegistryServer;

const REGISTRIES: &str = include_str!("../../../docs/registries.md");
const HOST_UPDATE: &str = include_str!("../../../docs/host-update.md");

/// What this test, and so the program it runs, is built for.
const TARGET: &str = env!("VENOM_TARGET");

/// All commands of a guide.
fn script(guide: &'static str) -> String {
    let lines = blocks(guide, "console").into_iter().flat_map(str::lines);
    lines
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Types them in where `home` runs its commands.
fn type_in(home: &Home, environment: &[(&str, &str)], script: &str) -> Said {
    let binary = Path::new(env!("CARGO_BIN_EXE_venom-host"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(home.path().parent().unwrap())
        .env_clear()
        .env("PATH", path)
        .env("VENOM_DATA_DIR", home.path())
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn bundles_go_to_a_registry_and_into_a_release_as_it_is_written() {
    let (home, registry) = (Home::initialised(), RegistryServer::new());
    let bundle = home.install_skill("echo");
    std::fs::copy(bundle, home.path().with_file_name("EchoSkill.venom")).unwrap();
    let nexus = home.start(&["nexus", "--port", "0", "--local-fallback", "off"], "nexus ready ");
    let script = script(REGISTRIES).replace("registry.example", &registry.address());
    assert!(script.lines().count() >= 8, "{script}");
    let said = type_in(&home, &[("VENOM_NEXUS", &nexus.ready)], &script);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let [settings] = blocks(REGISTRIES, "toml")[..] else {
        panic!("one block of settings")
    };
    home.write("venom.toml", settings);
    home.run(&["doctor", "--json"]).json();
}

#[test]
fn the_host_program_is_signed_and_installed_as_it_is_written() {
    let home = Home::initialised();
    let directory = home.path().parent().unwrap().to_owned();
    std::fs::create_dir(directory.join("bin")).unwrap();
    let program = "#!/bin/sh\necho venom-host 1.3.0\n";
    home.write_beside("venom-host", program);
    let script = script(HOST_UPDATE)
        .replace("x86_64-unknown-linux-musl", TARGET)
        .replace("/etc/venom", home.path().to_str().unwrap())
        .replace("/usr/local/bin", "bin");
    assert!(script.lines().count() >= 3, "{script}");
    let said = type_in(&home, &[], &script);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let installed = directory.join("bin/venom-host");
    assert_eq!(std::fs::read_to_string(&installed).unwrap(), program);
    assert_eq!(installed.metadata().unwrap().permissions().mode() & 0o111, 0o111);
}

/// The units, with the program of this build in the place of the installed one.
fn units(home: &Home) -> Vec<PathBuf> {
    let source = repository().join("deploy/systemd");
    let entries = std::fs::read_dir(source).unwrap();
    let units = entries.map(|entry| {
        let entry = entry.unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let name = entry.file_name().into_string().unwrap();
        home.write_beside(
            &name,
            // Whether this machine has curl says nothing about the unit.
            &text
                .replace("/usr/local/bin/venom-host", env!("CARGO_BIN_EXE_venom-host"))
                .replace("/usr/bin/curl", "/bin/sh"),
        );
        home.path().with_file_name(name)
    });
    units.collect()
}

#[test]
fn the_units_are_units() {
    let home = Home::new();
    let units = units(&home);
    assert_eq!(units.len(), 5);
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&units)
        .output()
        .unwrap_or_else(|error| panic!("this test needs systemd-analyze in PATH: {error}"));
    let said = String::from_utf8(output.stderr).unwrap();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("venom")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn the_update_service_restarts_only_what_changed() {
    let home = Home::initialised();
    let text = std::fs::read_to_string(repository().join("deploy/systemd/venom-host-update.service")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/bin/sh -euc '"));
    // As systemd reads it: `\\\\` is a backslash, `$$` a dollar, and the quotes go.
    let script = line.unwrap().trim_end_matches('\'');
    let script = script.replace("\\\\", "\\").replace("$$", "$");
    let script = script
        .replace("--to /usr/local/bin", "--to bin")
        .replace("/usr/local/bin/venom-host", "venom-host")
        .replace("/etc/venom", home.path().to_str().unwrap())
        .replace("systemctl", "echo systemctl");
    std::fs::create_dir(home.path().with_file_name("bin")).unwrap();
    home.write_beside("venom-host", "#!/bin/sh\necho venom-host 1.3.0\n");
    let sign = ["host", "sign", "venom-host", "--version", "1.3.0", "--target", TARGET];
    home.run(&sign).fine();
    let first = type_in(&home, &[], &script).fine();
    assert!(
        first.contains("try-restart venom-nexus.service venom-spore.service"),
        "{first}"
    );
    let again = type_in(&home, &[], &script).fine();
    assert_eq!(again, "", "nothing changed, nothing is restarted");
    // What does not verify fails the unit, and restarts nothing.
    std::fs::remove_file(home.path().with_file_name("venom-host.json")).unwrap();
    home.write_beside("venom-host", "#!/bin/sh\necho venom-host 1.4.0\n");
    home.run(&sign.map(|word| if word == "1.3.0" { "1.4.0" } else { word }))
        .fine();
    home.write_beside("venom-host", "#!/bin/sh\necho venom-host 1.4.0 # and more\n");
    let refused = type_in(&home, &[], &script);
    assert_eq!((refused.code, &*refused.out), (1, ""), "{}", refused.err);
}

/// The blocks of a document that grant something to skills.
fn policies(text: &'static str) -> Vec<&'static str> {
    let grants = |block: &&str| block.contains("[skills.") || block.contains("[[skills.");
    blocks(text, "toml").into_iter().filter(grants).collect()
}

#[test]
fn the_policies_that_are_shown_are_policies() {
    let mut count = 0;
    for text in [
        include_str!("../../../docs/policy.md"),
        include_str!("../../../docs/netscan.md"),
        include_str!("../../../docs/shield.md"),
        include_str!("../../../docs/agents.md"),
        include_str!("../../../README.md"),
    ] {
        for block in policies(text) {
            let policy: Result<venom_bundle::capability::Policy, _> = toml::from_str(block);
            let policy = policy.unwrap_or_else(|error| panic!("{error}\n{block}"));
            assert!(!policy.skills.is_empty(), "{block}");
            count += 1;
        }
    }
    assert!(count >= 5, "{count} policies are shown");
}
